// SPDX-License-Identifier: BSD-2-Clause

//! The kernel's interface XML: methods of objects with their labels, system calls with their numbers, structures.

use std::collections::BTreeMap;
use std::path::Path;

use roxmltree::{Document, Node};

use crate::configuration::Configuration;
use crate::error::Error;
use crate::expression::evaluate;

#[cfg(test)]
mod tests;

/// One method of a kernel object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its identifier, unique in the kernel: `TCBConfigure`.
    pub id: String,
    /// The label of a message that invokes it.
    pub label: i64,
    /// What goes in, in order.
    pub parameters: Vec<Parameter>,
}

/// One parameter that a method takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its C type.
    pub kind: String,
}

/// One system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syscall {
    /// Its name: `ReplyRecv`.
    pub name: String,
    /// Its number, negative.
    pub number: i64,
}

/// All that the XML of one kernel says under one configuration.
#[derive(Debug, Clone, Default)]
pub struct Interface {
    /// Methods by identifier. Those that the configuration leaves out are missing.
    pub methods: BTreeMap<String, Method>,
    /// The system calls that the configuration has.
    pub syscalls: Vec<Syscall>,
    /// Members of structures, by the structure's name.
    pub structures: BTreeMap<String, Vec<String>>,
    last_label: i64,
}

impl Interface {
    /// Adds the methods of one file. Labels count on from file to file: common objects first, then those of the seL4
    /// architecture, then those of the architecture. Label 0 is no method.
    pub fn add_methods(
        &mut self,
        path: &Path,
        text: &str,
        configuration: &Configuration,
    ) -> Result<(), Error> {
        let document = parse(path, text)?;
        for structure in elements(document.root_element(), "struct") {
            let members = elements(structure, "member")
                .map(|member| attribute(path, member, "name").map(str::to_owned))
                .collect::<Result<_, _>>()?;
            let name = attribute(path, structure, "name")?;
            self.structures.insert(name.to_owned(), members);
        }
        let interfaces = elements(document.root_element(), "interface");
        for method in interfaces.flat_map(|interface| elements(interface, "method")) {
            if !applies(path, method, configuration)? {
                continue;
            }
            self.last_label += 1;
            let method = Method {
                id: attribute(path, method, "id")?.to_owned(),
                label: self.last_label,
                parameters: parameters(path, method)?,
            };
            self.methods.insert(method.id.clone(), method);
        }
        Ok(())
    }

    /// Adds the system calls. Numbers count down from −1 through the calls of the API and then the debug calls; a debug
    /// call that the configuration leaves out keeps its number.
    pub fn add_syscalls(
        &mut self,
        path: &Path,
        text: &str,
        configuration: &Configuration,
    ) -> Result<(), Error> {
        let document = parse(path, text)?;
        let root = document.root_element();
        // Since MCS there are two lists of API calls to choose from.
        let chosen = if configuration.flag("KERNEL_MCS") {
            "api-mcs"
        } else {
            "api-master"
        };
        let api = elements(root, chosen)
            .chain(elements(root, "api"))
            .next()
            .ok_or_else(|| malformed(path, format!("no list of system calls named {chosen}")))?;
        let mut number = 0;
        for group in elements(api, "config")
            .chain(elements(root, "debug").flat_map(|list| elements(list, "config")))
        {
            let applies = applies(path, group, configuration)?;
            for syscall in elements(group, "syscall") {
                number -= 1;
                let name = attribute(path, syscall, "name")?.to_owned();
                if applies {
                    self.syscalls.push(Syscall { name, number });
                }
            }
        }
        Ok(())
    }
}

fn malformed(path: &Path, reason: String) -> Error {
    Error::Malformed {
        path: path.to_owned(),
        reason,
    }
}

fn parse<'a>(path: &Path, text: &'a str) -> Result<Document<'a>, Error> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    Document::parse_with_options(text, options).map_err(|error| malformed(path, error.to_string()))
}

fn elements<'a, 'i: 'a>(
    parent: Node<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    parent
        .children()
        .filter(move |child| child.has_tag_name(name))
}

fn attribute<'a>(path: &Path, node: Node<'a, '_>, name: &str) -> Result<&'a str, Error> {
    node.attribute(name)
        .ok_or_else(|| malformed(path, format!("<{}> without {name}", node.tag_name().name())))
}

fn parameters(path: &Path, method: Node) -> Result<Vec<Parameter>, Error> {
    elements(method, "param")
        .filter(|parameter| parameter.attribute("dir") == Some("in"))
        .map(|parameter| {
            Ok(Parameter {
                name: attribute(path, parameter, "name")?.to_owned(),
                kind: attribute(path, parameter, "type")?.to_owned(),
            })
        })
        .collect()
}

/// Whether the configuration has `node`. Older XML has the condition as a C expression in an attribute, newer XML as
/// an element.
fn applies(path: &Path, node: Node, configuration: &Configuration) -> Result<bool, Error> {
    if let Some(text) = node.attribute("condition") {
        let value = |name: &str| configuration.macro_value(name);
        return evaluate(text, &value)
            .map(|value| value != 0)
            .ok_or_else(|| malformed(path, format!("condition {text:?} is not understood")));
    }
    match elements(node, "condition").next() {
        Some(condition) => all_hold(path, condition, configuration),
        None => Ok(true),
    }
}

fn all_hold(path: &Path, parent: Node, configuration: &Configuration) -> Result<bool, Error> {
    for child in parent.children().filter(Node::is_element) {
        if !holds(path, child, configuration)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(path: &Path, condition: Node, configuration: &Configuration) -> Result<bool, Error> {
    match condition.tag_name().name() {
        "config" => {
            let variable = attribute(path, condition, "var")?;
            Ok(configuration.macro_value(variable).is_some())
        }
        "not" => all_hold(path, condition, configuration).map(|holds| !holds),
        "and" => all_hold(path, condition, configuration),
        "or" => {
            for child in condition.children().filter(Node::is_element) {
                if holds(path, child, configuration)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        other => Err(malformed(
            path,
            format!("condition <{other}> is not understood"),
        )),
    }
}
