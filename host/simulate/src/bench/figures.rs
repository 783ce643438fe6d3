// SPDX-License-Identifier: BSD-2-Clause
//! Figures, as programs print them and as they stand in JSON.
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a line of a figure begins with.
const MARK: &str = "@figure ";

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// Of what.
    pub unit: String,
    /// How many: the median of calls, the mean of workloads, the most where the worst is looked for.
    pub value: f64,
    /// The least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// What it was taken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
}

/// What a figure was taken of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Samples {
    /// So many, each like the other: what is counted in QEMU.
    Count(u64),
    /// These: what is measured on this machine.
    Values(Vec<f64>),
}

impl Figure {
    /// Reads a line, `@figure name=… unit=… value=…`; `None` where it is no figure, and the field that is wrong where it is
    /// a malformed one.
    pub fn parse(line: &str) -> Option<Result<Figure, &'static str>> {
        line.strip_prefix(MARK).map(Self::parse_fields)
    }

    fn parse_fields(fields: &str) -> Result<Figure, &'static str> {
        let field = |wanted: &str| {
            let mut words = fields.split_whitespace();
            words.find_map(|word| word.strip_prefix(wanted)?.strip_prefix('='))
        };
        fn number<T: FromStr>(
            text: Option<&str>,
            field: &'static str,
        ) -> Result<Option<T>, &'static str> {
            text.map(|text| text.parse().map_err(|_| field)).transpose()
        }
        Ok(Figure {
            name: field("name").ok_or("name")?.into(),
            unit: field("unit").ok_or("unit")?.into(),
            value: number(field("value"), "value")?.ok_or("value")?,
            min: number(field("min"), "min")?,
            max: number(field("max"), "max")?,
            samples: number(field("samples"), "samples")?.map(Samples::Count),
        })
    }
}

/// The value of this name.
pub fn value(figures: &[Figure], name: &str) -> Option<f64> {
    let figure = figures.iter().find(|figure| figure.name == name)?;
    Some(figure.value)
}

/// Writes all figures as a list.
///
/// # Errors
///
/// If the file can't be written.
pub fn write(file: &Path, figures: &[Figure]) -> Result<()> {
    let mut text = serde_json::to_string_pretty(figures)?;
    text.push('\n');
    fs::write(file, text).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_with_all_its_fields() {
        let line =
            "@figure name=ipc.null.0w unit=instructions value=382 min=380 max=1658 samples=9";
        let figure = Figure::parse(line).unwrap().unwrap();
        assert_eq!(figure.name, "ipc.null.0w");
        assert_eq!(figure.value, 382.0);
        assert_eq!((figure.min, figure.max), (Some(380.0), Some(1658.0)));
        assert_eq!(figure.samples, Some(Samples::Count(9)));
        let line = "@figure name=heap.churn unit=instructions value=34.43";
        assert_eq!(Figure::parse(line).unwrap().unwrap().value, 34.43);
    }

    #[test]
    fn what_is_no_figure_and_what_is_a_broken_one() {
        assert_eq!(Figure::parse("figure name=a"), None);
        let wrong = |line| Figure::parse(line).unwrap().unwrap_err();
        assert_eq!(wrong("@figure unit=ns value=1"), "name");
        assert_eq!(wrong("@figure name=a unit=ns"), "value");
        assert_eq!(wrong("@figure name=a unit=ns value=x"), "value");
        assert_eq!(
            wrong("@figure name=a unit=ns value=1 samples=-1"),
            "samples"
        );
    }

    #[test]
    fn json_leaves_out_what_is_not_known_and_can_do_without_it() {
        let text = r#"[{"name":"a","unit":"ns","value":1.5}]"#;
        let figures: Vec<Figure> = serde_json::from_str(text).unwrap();
        assert_eq!(value(&figures, "a"), Some(1.5));
        assert_eq!(value(&figures, "b"), None);
        assert_eq!(serde_json::to_string(&figures).unwrap(), text);
        // As heap-bench writes them.
        let text =
            r#"[{"name":"host.glibc.churn.ns","unit":"ns","value":2.0,"samples":[1.5,2.0,4.0]}]"#;
        let figures: Vec<Figure> = serde_json::from_str(text).unwrap();
        let values = Samples::Values(vec![1.5, 2.0, 4.0]);
        assert_eq!(figures[0].samples, Some(values));
        assert_eq!(serde_json::to_string(&figures).unwrap(), text);
    }
}
