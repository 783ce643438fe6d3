// SPDX-License-Identifier: BSD-2-Clause
//! The Test Anything Protocol, as clients that are tests speak it: the plan `1..N` first, then N results in order.

#[cfg(test)]
mod tests;

/// What a client has printed of its tests so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tap {
    /// Results in the order in which they came.
    pub results: Vec<TestResult>,
    plan: Option<u64>,
    problems: Vec<String>,
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// Why it failed, `None` if it passed.
    pub failure: Option<String>,
}

impl Tap {
    /// Takes note of a line that the client printed. Lines of other kinds mean nothing here.
    pub fn line(&mut self, line: &str) {
        if let Some(count) = line
            .strip_prefix("1..")
            .and_then(|count| count.parse().ok())
        {
            if self.plan.is_some() {
                self.problems.push(format!("a second plan, {line}"));
            } else if !self.results.is_empty() {
                self.problems
                    .push("the plan came after the first result".into());
            }
            self.plan.get_or_insert(count);
        } else if let Some(reason) = line.strip_prefix("Bail out!") {
            self.problems.push(format!("it gave up:{reason}"));
        } else if let Some((number, result)) = parse_result(line) {
            self.results.push(result);
            if number != self.results.len() as u64 {
                let due = self.results.len();
                self.problems
                    .push(format!("result {number} came when {due} was due"));
            }
        }
    }

    /// Whether the client has spoken TAP at all.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// Checks that every planned test gave its result; not whether they passed.
    ///
    /// # Errors
    ///
    /// What is wrong, for people.
    pub fn check_plan(&self) -> Result<(), String> {
        if let Some(problem) = self.problems.first() {
            return Err(problem.clone());
        }
        let count = self.results.len() as u64;
        match self.plan {
            None => Err("it printed no plan (1..N)".into()),
            Some(0) => Err("its plan has no test".into()),
            Some(plan) if plan != count => {
                Err(format!("{plan} tests planned, {count} results came"))
            }
            Some(_) => Ok(()),
        }
    }
}

/// Number and result in `ok 3 - name` or `not ok 3 - name: reason`.
fn parse_result(line: &str) -> Option<(u64, TestResult)> {
    let (passed, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let number = number.parse().ok()?;
    let text = text.strip_prefix("- ").unwrap_or(text);
    let (name, reason) = text.split_once(": ").unwrap_or((text, "no reason given"));
    let result = if passed {
        // A name may have a colon in it where no reason follows.
        TestResult {
            name: text.into(),
            failure: None,
        }
    } else {
        TestResult {
            name: name.into(),
            failure: Some(reason.into()),
        }
    };
    Some((number, result))
}
