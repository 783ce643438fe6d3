// SPDX-License-Identifier: BSD-2-Clause
//! The committed figures that the tests compare with. Instructions repeat to the last one as long as the compilers stay
//! the same, so a figure that grows is a change of the code.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::figures::Figure;
use crate::kernel::Kernel;
use crate::project::Project;

/// A figure may grow by so much before it has to be said so.
const GROWTH: f64 = 1.03;
/// Figures of others, which no change here makes better or worse.
const OF_OTHERS: [&str; 2] = ["peer.", "floor."];

/// What the figures depend on besides the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compilers {
    rustc: String,
    gcc: String,
}

impl Compilers {
    /// Those of this machine.
    ///
    /// # Errors
    ///
    /// If one is missing.
    pub fn here() -> Result<Self> {
        Ok(Self {
            rustc: first_line("rustc", "--version")?,
            gcc: first_line("gcc", "-dumpfullversion")?,
        })
    }
}

fn first_line(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.with_context(|| format!("can't start {program}"))?;
    ensure!(output.status.success(), "{program} {argument} failed");
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().into())
}

/// The figures, and what they were made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    compilers: Compilers,
    figures: BTreeMap<String, f64>,
    /// Figures of others, to be shown beside; nothing is compared with them.
    #[serde(default)]
    others: BTreeMap<String, f64>,
}

fn is_of_others(name: &str) -> bool {
    OF_OTHERS.iter().any(|other| name.starts_with(other))
}

/// Where the baseline is.
pub fn file(project: &Project) -> PathBuf {
    project.root().join("clients/bench/baseline.json")
}

/// Whether the baseline is one for this kernel.
pub fn holds_for(kernel: &Kernel) -> bool {
    kernel.is_default() && kernel.config.variant() == "release"
}

impl Baseline {
    /// These figures, made with these compilers.
    pub fn of(figures: &[Figure], compilers: Compilers) -> Self {
        let named = figures
            .iter()
            .map(|figure| (figure.name.clone(), figure.value));
        let (others, figures) = named.partition(|(name, _)| is_of_others(name));
        Self {
            compilers,
            figures,
            others,
        }
    }

    /// All figures, names and instructions, those of others too.
    pub fn all(&self) -> impl Iterator<Item = (&str, f64)> {
        let all = self.figures.iter().chain(&self.others);
        all.map(|(name, value)| (name.as_str(), *value))
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// If it is not there, or is none.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        serde_json::from_str(&text).with_context(|| file.display().to_string())
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// If it can't be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(file, text).with_context(|| file.display().to_string())
    }

    /// Whether figures made with these compilers can be compared.
    pub fn is_of(&self, compilers: &Compilers) -> bool {
        self.compilers == *compilers
    }

    /// Why a figure does not pass, `None` where it does; `None` also for a figure of others.
    pub fn complaint(&self, figure: &Figure) -> Option<String> {
        if is_of_others(&figure.name) {
            return None;
        }
        let rewrite = "if that is meant, `./simulate bench --baseline` makes a new baseline";
        let Some(before) = self.figures.get(&figure.name) else {
            return Some(format!("the baseline does not have it; {rewrite}"));
        };
        let now = figure.value;
        (now > before * GROWTH).then(|| {
            let percent = (now / before - 1.0) * 100.0;
            format!(
                "{now} {} instead of {before}, {percent:.1} % more; {rewrite}",
                figure.unit
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, value: f64) -> Figure {
        Figure {
            name: name.into(),
            unit: "instructions".into(),
            value,
            min: None,
            max: None,
            samples: None,
        }
    }

    fn compilers(rustc: &str) -> Compilers {
        Compilers {
            rustc: rustc.into(),
            gcc: "12".into(),
        }
    }

    #[test]
    fn only_growth_of_more_than_three_percent_is_complained_about() {
        let baseline = Baseline::of(&[figure("a", 1000.0)], compilers("1"));
        for fine in [500.0, 1000.0, 1030.0] {
            assert_eq!(baseline.complaint(&figure("a", fine)), None, "{fine}");
        }
        let complaint = baseline.complaint(&figure("a", 1031.0)).unwrap();
        assert!(complaint.starts_with("1031 instructions instead of 1000, 3.1 % more"));
    }

    #[test]
    fn a_new_figure_needs_a_new_baseline_but_not_one_of_others() {
        let figures = [figure("peer.x.churn", 9.0), figure("floor.grant.2m", 9.0)];
        let baseline = Baseline::of(&figures, compilers("1"));
        assert!(baseline.figures.is_empty());
        assert_eq!(baseline.all().count(), 2);
        assert_eq!(baseline.complaint(&figures[0]), None);
        let complaint = baseline.complaint(&figure("b", 1.0)).unwrap();
        assert!(complaint.contains("--baseline"), "{complaint}");
    }

    #[test]
    fn other_compilers_make_other_figures() {
        let baseline = Baseline::of(&[], compilers("1"));
        assert!(baseline.is_of(&compilers("1")));
        assert!(!baseline.is_of(&compilers("2")));
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("baseline.json");
        let baseline = Baseline::of(&[figure("heap.churn", 34.43)], compilers("1"));
        baseline.write(&file).unwrap();
        assert_eq!(Baseline::read(&file).unwrap(), baseline);
        assert!(Baseline::read(&folder.path().join("none")).is_err());
    }
}
