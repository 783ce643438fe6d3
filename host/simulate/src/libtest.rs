// SPDX-License-Identifier: BSD-2-Clause
//! What `cargo test` prints.

#[cfg(test)]
mod tests;

/// The counts and failures of a `cargo test`, gathered line by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u64,
    /// Names of tests that failed.
    pub failed: Vec<String>,
    announced: u64,
    counted: u64,
    in_failures: bool,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A test passed.
    Passed(&'a str),
    /// A test failed.
    Failed(&'a str),
    /// A test was left out.
    Ignored,
    /// Part of what failed tests had to say.
    Explanation,
    /// Something else.
    Other,
}

impl Tally {
    /// Takes note of a line.
    pub fn line<'a>(&mut self, line: &'a str) -> Line<'a> {
        if let Some(count) = line.strip_prefix("running ").and_then(first_number) {
            self.announced += count;
            self.in_failures = false;
            return Line::Other;
        }
        if line.starts_with("test result: ") {
            self.in_failures = false;
            return Line::Other;
        }
        if line == "failures:" {
            self.in_failures = true;
        }
        if self.in_failures {
            return Line::Explanation;
        }
        let Some((name, result)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        else {
            return Line::Other;
        };
        self.counted += 1;
        match result {
            "ok" => {
                self.passed += 1;
                Line::Passed(name)
            }
            _ if result.starts_with("ignored") => Line::Ignored,
            _ => {
                self.failed.push(name.to_string());
                Line::Failed(name)
            }
        }
    }

    /// Tests that were announced but gave no result: the program that ran them died, or printed over them.
    pub fn lost(&self) -> u64 {
        self.announced.saturating_sub(self.counted)
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split(' ').next()?.parse().ok()
}
