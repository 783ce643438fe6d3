// SPDX-License-Identifier: BSD-2-Clause

//! The numbers that the kernel's C headers name: enumerators and plain `#define`s.
//!
//! Not a C compiler. It follows `#if` for the kernel's configuration and reads integer constants; whatever else a
//! header holds is passed over.

use std::collections::BTreeMap;

use crate::configuration::Configuration;
use crate::expression::evaluate;

#[cfg(test)]
mod tests;

/// Named integers, as found in headers.
pub type Constants = BTreeMap<String, i64>;

/// Adds the constants of the header `text`. They may be written in terms of earlier ones in `constants`.
pub fn read_constants(text: &str, configuration: &Configuration, constants: &mut Constants) {
    let mut declarations = String::new();
    for line in active_lines(&without_comments(text), configuration) {
        match line.strip_prefix("#define") {
            Some(definition) => define(definition, configuration, constants),
            None if line.starts_with('#') => {}
            None => {
                declarations.push_str(&line);
                declarations.push('\n');
            }
        }
    }
    for body in enum_bodies(&declarations) {
        read_enumerators(body, configuration, constants);
    }
}

/// The tags of the tagged union `union` in a bit field description, `tag NAME NUMBER` a line, each prefixed `union_`.
pub fn read_tags(
    text: &str,
    union: &str,
    configuration: &Configuration,
    constants: &mut Constants,
) {
    let mut inside = false;
    for line in active_lines(text, configuration) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["tagged_union", name, ..] => inside = *name == union,
            ["}"] => inside = false,
            ["tag", name, number] if inside => {
                if let Ok(number) = number.parse() {
                    constants.insert(format!("{union}_{name}"), number);
                }
            }
            _ => {}
        }
    }
}

/// `text` with each comment replaced by a space, and continued lines joined.
fn without_comments(text: &str) -> String {
    let joined = text.replace("\\\n", " ");
    let mut plain = String::new();
    let mut rest = joined.as_str();
    while let Some(start) = rest.find("/*") {
        plain.push_str(&rest[..start]);
        plain.push(' ');
        rest = match rest[start..].find("*/") {
            Some(length) => &rest[start + length + 2..],
            None => "",
        };
    }
    plain.push_str(rest);
    plain
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The lines that the preprocessor would keep, trimmed; its conditions are gone, other directives stay.
fn active_lines(text: &str, configuration: &Configuration) -> Vec<String> {
    /// One `#if` that is open: whether its present branch counts, and whether one of its branches did so far.
    struct Branch {
        active: bool,
        taken: bool,
    }
    let holds = |condition: &str| {
        let value = |name: &str| configuration.macro_value(name);
        evaluate(condition, &value).unwrap_or(0) != 0
    };
    let mut branches: Vec<Branch> = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines().map(str::trim) {
        let directive = line.strip_prefix('#').map(str::trim_start).unwrap_or("");
        let word_end = directive
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(directive.len());
        let (word, rest) = directive.split_at(word_end);
        let opening = match word {
            "if" => Some(holds(rest)),
            "ifdef" => Some(configuration.macro_value(rest.trim()).is_some()),
            "ifndef" => Some(configuration.macro_value(rest.trim()).is_none()),
            _ => None,
        };
        match (opening, word) {
            (Some(active), _) => branches.push(Branch {
                active,
                taken: active,
            }),
            (None, "elif" | "else") => {
                if let Some(branch) = branches.last_mut() {
                    branch.active = !branch.taken && (word == "else" || holds(rest));
                    branch.taken |= branch.active;
                }
            }
            (None, "endif") => drop(branches.pop()),
            _ if branches.iter().all(|branch| branch.active) => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

/// One `NAME EXPRESSION`. Function-like macros and what is no integer are passed over.
fn define(definition: &str, configuration: &Configuration, constants: &mut Constants) {
    let Some((name, expression)) = definition.trim().split_once(char::is_whitespace) else {
        return;
    };
    let value = |name: &str| {
        constants
            .get(name)
            .copied()
            .or(configuration.macro_value(name))
    };
    if let Some(number) = evaluate(expression, &value) {
        constants.insert(name.to_owned(), number);
    }
}

/// What stands between the braces of each enumeration.
fn enum_bodies(declarations: &str) -> impl Iterator<Item = &str> {
    declarations.split("enum").skip(1).filter_map(|rest| {
        let (head, rest) = rest.split_once('{')?;
        let anonymous_or_named = head
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c.is_whitespace());
        let (body, _) = rest.split_once('}')?;
        anonymous_or_named.then_some(body)
    })
}

/// Enumerators count up from the one before. A macro among them (`FORCE_LONG(x)`) adds none that matters here.
fn read_enumerators(body: &str, configuration: &Configuration, constants: &mut Constants) {
    let mut next = Some(0);
    for enumerator in body.split(',').map(str::trim) {
        if enumerator.is_empty() || (enumerator.contains('(') && !enumerator.contains('=')) {
            continue;
        }
        let (name, number) = match enumerator.split_once('=') {
            None => (enumerator, next),
            Some((name, expression)) => {
                let value = |name: &str| {
                    constants
                        .get(name)
                        .copied()
                        .or(configuration.macro_value(name))
                };
                (name.trim(), evaluate(expression, &value))
            }
        };
        // An enumerator of unknown value makes those that count up from it unknown too.
        if let Some(number) = number {
            constants.insert(name.to_owned(), number);
        }
        next = number.map(|number| number + 1);
    }
}
