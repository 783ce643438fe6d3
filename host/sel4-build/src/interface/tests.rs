// SPDX-License-Identifier: BSD-2-Clause

use std::path::Path;

use super::{Interface, Syscall};
use crate::configuration::Configuration;
use crate::error::Error;

fn configuration(json: &str) -> Configuration {
    let mut configuration = Configuration::default();
    configuration.add_json(Path::new("test"), json).unwrap();
    configuration
}

/// Conditions as attributes, as in release 5.
const OLDER: &str = r#"<?xml version="1.0" ?>
<!DOCTYPE api>
<api>
  <struct name="Context"><member name="rip"/><member name="tls_base"/></struct>
  <interface name="Thread">
    <method id="ThreadStart" name="Start">
      <param dir="in" name="where" type="Word"/>
      <param dir="out" name="result" type="Word"/>
    </method>
    <method id="ThreadMove" name="Move" condition="CONFIG_NODES > 1"/>
    <method id="ThreadTrace" name="Trace" condition="defined(CONFIG_TRACE)"/>
    <method id="ThreadStop" name="Stop"/>
  </interface>
</api>"#;

/// Conditions as elements, as in release 13 and later.
const NEWER: &str = r#"
<api>
  <interface name="Thread">
    <method id="ThreadStart" name="Start">
      <condition><not><config var="CONFIG_MCS"/></not></condition>
      <param dir="in" name="handler" type="Word"/>
    </method>
    <method id="ThreadStart" name="Start">
      <condition><config var="CONFIG_MCS"/></condition>
    </method>
    <method id="ThreadMove" name="Move">
      <condition><or><config var="CONFIG_A"/><and><config var="CONFIG_B"/><config var="CONFIG_C"/></and></or></condition>
    </method>
    <method id="ThreadStop" name="Stop"/>
  </interface>
</api>"#;

fn labels(texts: &[&str], json: &str) -> Vec<(String, i64)> {
    let mut interface = Interface::default();
    for text in texts {
        interface
            .add_methods(Path::new("x.xml"), text, &configuration(json))
            .unwrap();
    }
    let mut labels: Vec<_> = interface
        .methods
        .into_values()
        .map(|method| (method.id, method.label))
        .collect();
    labels.sort_by_key(|(_, label)| *label);
    labels
}

fn named(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    expected
        .iter()
        .map(|(name, label)| ((*name).to_owned(), *label))
        .collect()
}

#[test]
fn labels_skip_what_is_configured_out() {
    let one_node = labels(&[OLDER], r#"{"NODES": "1", "TRACE": false}"#);
    assert_eq!(one_node, named(&[("ThreadStart", 1), ("ThreadStop", 2)]));
    let many_nodes = labels(&[OLDER], r#"{"NODES": "2", "TRACE": true}"#);
    assert_eq!(
        many_nodes,
        named(&[
            ("ThreadStart", 1),
            ("ThreadMove", 2),
            ("ThreadTrace", 3),
            ("ThreadStop", 4)
        ])
    );
}

#[test]
fn conditions_as_elements() {
    let without = labels(&[NEWER], r#"{"MCS": false, "A": false, "B": true}"#);
    assert_eq!(without, named(&[("ThreadStart", 1), ("ThreadStop", 2)]));
    let with = labels(&[NEWER], r#"{"MCS": true, "B": true, "C": "7"}"#);
    assert_eq!(
        with,
        named(&[("ThreadStart", 1), ("ThreadMove", 2), ("ThreadStop", 3)])
    );
}

#[test]
fn labels_count_on_through_the_files() {
    let second = r#"<api><interface name="Page"><method id="PageMap"/></interface></api>"#;
    let labels = labels(&[OLDER, second], r#"{"NODES": "1"}"#);
    assert_eq!(labels.last(), Some(&("PageMap".to_owned(), 3)));
}

#[test]
fn of_two_variants_the_configured_one_counts() {
    for (json, parameters) in [(r#"{"MCS": true}"#, 0), (r#"{"MCS": false}"#, 1)] {
        let mut interface = Interface::default();
        interface
            .add_methods(Path::new("x.xml"), NEWER, &configuration(json))
            .unwrap();
        assert_eq!(
            interface.methods["ThreadStart"].parameters.len(),
            parameters
        );
    }
}

#[test]
fn structures_keep_their_order() {
    let mut interface = Interface::default();
    interface
        .add_methods(
            Path::new("x.xml"),
            OLDER,
            &configuration(r#"{"NODES": "1"}"#),
        )
        .unwrap();
    assert_eq!(interface.structures["Context"], ["rip", "tls_base"]);
}

const SYSCALLS: &str = r#"
<syscalls>
  <api-master><config><syscall name="Call"/><syscall name="Recv"/></config></api-master>
  <api-mcs><config><syscall name="Call"/><syscall name="Wait"/><syscall name="Recv"/></config></api-mcs>
  <debug>
    <config><condition><config var="CONFIG_PRINTING"/></condition><syscall name="PutChar"/></config>
    <config><syscall name="SetTls"/></config>
  </debug>
</syscalls>"#;

#[test]
fn syscall_numbers_count_down_and_leave_gaps() {
    let mut interface = Interface::default();
    interface
        .add_syscalls(Path::new("x.xml"), SYSCALLS, &configuration("{}"))
        .unwrap();
    let expected = [("Call", -1), ("Recv", -2), ("SetTls", -4)];
    let expected = expected.map(|(name, number)| Syscall {
        name: name.to_owned(),
        number,
    });
    assert_eq!(interface.syscalls, expected);

    let mut interface = Interface::default();
    let mcs = configuration(r#"{"KERNEL_MCS": true, "PRINTING": true}"#);
    interface
        .add_syscalls(Path::new("x.xml"), SYSCALLS, &mcs)
        .unwrap();
    assert_eq!(interface.syscalls[2].number, -3);
    assert_eq!(interface.syscalls[3].name, "PutChar");
    assert_eq!(interface.syscalls[4].number, -5);
}

#[test]
fn what_is_not_understood_is_named() {
    for text in [
        "<api>",
        r#"<api><interface><method name="X"/></interface></api>"#,
        r#"<api><interface><method id="X" condition="a b"/></interface></api>"#,
        r#"<api><interface><method id="X"><condition><maybe/></condition></method></interface></api>"#,
    ] {
        let error = Interface::default()
            .add_methods(Path::new("x.xml"), text, &configuration("{}"))
            .unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
        assert!(error.to_string().starts_with("x.xml: "), "{error}");
    }
}
