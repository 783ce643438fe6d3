// SPDX-License-Identifier: BSD-2-Clause

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Error;

/// The value of one kernel option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// On or off.
    Flag(bool),
    /// Anything else, as the kernel's build wrote it; numbers are in decimal.
    Text(String),
}

/// The options a kernel was built with, by their names without `CONFIG_`.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    options: BTreeMap<String, OptionValue>,
}

impl Configuration {
    /// Adds the options of one generated configuration: a JSON object of booleans and strings.
    pub fn add_json(&mut self, path: &Path, text: &str) -> Result<(), Error> {
        let malformed = |reason: String| Error::Malformed {
            path: path.to_owned(),
            reason,
        };
        let options: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        for (name, value) in options {
            let value = match value {
                serde_json::Value::Bool(flag) => OptionValue::Flag(flag),
                serde_json::Value::String(text) => OptionValue::Text(text),
                serde_json::Value::Number(number) => OptionValue::Text(number.to_string()),
                _ => {
                    return Err(malformed(format!(
                        "option {name} is neither a flag nor a text"
                    )));
                }
            };
            self.options.insert(name, value);
        }
        Ok(())
    }

    /// Whether option `name` is on. An option that the kernel doesn't know is off.
    pub fn flag(&self, name: &str) -> bool {
        self.options.get(name) == Some(&OptionValue::Flag(true))
    }

    /// The number that option `name` is set to.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// The text that option `name` is set to.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.options.get(name) {
            Some(OptionValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// All options, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OptionValue)> {
        self.options
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// What the C preprocessor sees under `identifier`: `None` if it is not defined. Options that are off aren't.
    pub fn macro_value(&self, identifier: &str) -> Option<i64> {
        match self.options.get(identifier.strip_prefix("CONFIG_")?)? {
            OptionValue::Flag(true) => Some(1),
            OptionValue::Flag(false) => None,
            OptionValue::Text(text) => Some(text.parse().unwrap_or(0)),
        }
    }
}
