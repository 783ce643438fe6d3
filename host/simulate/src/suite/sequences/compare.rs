// SPDX-License-Identifier: BSD-2-Clause
//! What the kernel gave, beside what its model gives.
use std::collections::BTreeMap;
use std::fmt;

use fake_kernel::{FakeKernel, Release};
use kernel_sequences::{Generator, Operation, Outcome, Theme, decode};

#[cfg(test)]
mod tests;

/// The memory of the model: a sequence's arena, four large pages, wherever it is.
const RAM: [(u64, u32); 1] = [(0x100_0000, 23)];
/// Operations before one that differs that are told of.
const BEFORE: usize = 4;

/// What the root task has printed so far of a sequence.
#[derive(Debug, Default)]
pub struct Told {
    release: Option<Release>,
    retype_max: Option<usize>,
    seed: Option<u64>,
    outcomes: String,
}

/// A sequence, and what the kernel gave.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// The kernel's release.
    pub release: Release,
    /// The objects that one retype makes at the most.
    pub retype_max: usize,
    /// The seed.
    pub seed: u64,
    /// Outcomes as they are written, one behind the other.
    pub outcomes: String,
}

impl Told {
    /// Takes a line; a sequence when it is complete. Lines of other kinds mean nothing here.
    pub fn line(&mut self, line: &str) -> Option<Sequence> {
        let (what, text) = line.strip_prefix("= ")?.split_once(' ')?;
        if what == "release" {
            let (release, retype_max) = text.split_once(" retype-max ")?;
            self.release = Release::named(release);
            self.retype_max = retype_max.parse().ok();
            return None;
        }
        let seed = what.parse().ok();
        if self.seed != seed {
            self.outcomes.clear();
            self.seed = seed;
        }
        match text.strip_suffix('.') {
            Some(last) => {
                self.outcomes.push_str(last);
                Some(Sequence {
                    release: self.release?,
                    retype_max: self.retype_max?,
                    seed: self.seed.take()?,
                    outcomes: std::mem::take(&mut self.outcomes),
                })
            }
            None => {
                self.outcomes.push_str(text);
                None
            }
        }
    }

    /// What there is of a sequence that is not complete, for people.
    pub fn rest(&self) -> String {
        match self.seed {
            Some(seed) => format!("(in seed {seed}, after {})", self.outcomes),
            None => String::new(),
        }
    }
}

/// How a sequence differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its seed.
    pub seed: u64,
    /// The first operation that differs, counted from 0.
    pub step: usize,
    /// That operation; `None` behind the last one.
    pub operation: Option<Operation>,
    /// What the kernel gave, if anything.
    pub kernel: Option<Outcome>,
    /// What the model gives, if anything.
    pub model: Option<Outcome>,
    /// The operations before it, with what they gave.
    pub before: Vec<(Operation, Outcome)>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |outcome: Option<Outcome>| match outcome {
            Some(outcome) => outcome.to_string(),
            None => "nothing more".into(),
        };
        write!(f, "seed {}, step {}", self.seed, self.step)?;
        if let Some(operation) = self.operation {
            write!(f, ", {operation:?}")?;
        }
        let (kernel, model) = (shown(self.kernel), shown(self.model));
        write!(
            f,
            ": the kernel gave {kernel}, the model {model}; before it"
        )?;
        for (operation, outcome) in &self.before {
            write!(f, "\n    {operation:?}: {outcome}")?;
        }
        Ok(())
    }
}

/// All that was compared.
#[derive(Debug, Default)]
pub struct Comparer {
    generators: Vec<Generator>,
    operations: usize,
    sequences: u64,
    themes: BTreeMap<&'static str, Option<Difference>>,
}

impl Comparer {
    /// Runs a sequence on the model and compares.
    pub fn compare(&mut self, told: &Sequence) {
        let is_it = |generator: &Generator| {
            generator.release() == told.release && generator.retype_max() == told.retype_max
        };
        if !self.generators.iter().any(is_it) {
            let generator = Generator::new(told.release).with_retype_max(told.retype_max);
            self.generators.push(generator);
        }
        let Some(generator) = self
            .generators
            .iter_mut()
            .find(|generator| is_it(generator))
        else {
            return;
        };
        let (operations, difference) = compare(generator, told);
        self.operations += operations;
        self.sequences += 1;
        let first = self.themes.entry(name(generator.theme())).or_default();
        if first.is_none() {
            *first = difference;
        }
    }

    /// Operations that were compared.
    pub fn operations(&self) -> usize {
        self.operations
    }

    /// Sequences that were compared.
    pub fn sequences(&self) -> u64 {
        self.sequences
    }

    /// Each theme that there was, and how the first of its sequences that differ does.
    pub fn first_differences(&self) -> &BTreeMap<&'static str, Option<Difference>> {
        &self.themes
    }
}

fn name(theme: Theme) -> &'static str {
    match theme {
        Theme::Memory => "memory",
        Theme::Mapping => "mapping",
        Theme::Sharing => "sharing",
        Theme::Ledgers => "ledgers",
        Theme::Asids => "ASIDs",
    }
}

/// The operations that agree, and the first one that does not.
fn compare(generator: &mut Generator, told: &Sequence) -> (usize, Option<Difference>) {
    let (mut model, _) = FakeKernel::boot_bare(&RAM, told.release);
    model.set_retype_max(told.retype_max);
    let mut rest = told.outcomes.as_str();
    let mut agreed: Vec<(Operation, Outcome)> = Vec::new();
    let mut difference = None;
    let before =
        |agreed: &[(Operation, Outcome)]| agreed[agreed.len().saturating_sub(BEFORE)..].to_vec();
    kernel_sequences::run(
        generator,
        &mut model,
        told.seed,
        |step, operation, outcome| {
            if difference.is_some() {
                return;
            }
            let kernel = decode(rest).map(|(kernel, behind)| {
                rest = behind;
                kernel
            });
            if kernel == Some(outcome) {
                agreed.push((*operation, outcome));
                return;
            }
            difference = Some(Difference {
                seed: told.seed,
                step,
                operation: Some(*operation),
                kernel,
                model: Some(outcome),
                before: before(&agreed),
            });
        },
    );
    if difference.is_none() && !rest.is_empty() {
        difference = Some(Difference {
            seed: told.seed,
            step: agreed.len(),
            operation: None,
            kernel: decode(rest).map(|(kernel, _)| kernel),
            model: None,
            before: before(&agreed),
        });
    }
    (agreed.len(), difference)
}
