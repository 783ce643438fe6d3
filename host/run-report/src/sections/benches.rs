// SPDX-License-Identifier: BSD-2-Clause
//! What was measured, peers beside each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::section;
use crate::Figure;
use crate::chart::{self, Row};
use crate::names::{escaped, grouped, short};

/// What one's own figures are called among peers.
const OWN: &str = "kmalloc";
/// What the bare invocations of the kernel are called.
const FLOOR: &str = "the kernel alone";
/// Own figures that are compared with a floor of another name.
const FLOORS: [(&str, &str); 2] = [
    ("dma.kmalloc.64k", "dma.64k"),
    ("grant.64k.4k_frames", "grant.64k"),
];

/// What is drawn beside each other: by its name and unit.
type Groups = BTreeMap<(String, String), Vec<Member>>;

struct Member {
    label: String,
    value: f64,
    /// Somebody else's.
    is_peer: bool,
}

/// The figures: first what others have to compare with, then the rest.
pub fn benches(figures: &[Figure], are_baseline: bool) -> String {
    let (compared, alone) = groups(figures);
    let mut body = String::new();
    for ((group, unit), members) in compared.into_iter().chain(alone) {
        let most = members.iter().fold(0.0f64, |most, it| most.max(it.value));
        let rows: Vec<Row> = members
            .into_iter()
            .map(|member| Row {
                // One's own bar stands out.
                class: if member.is_peer { "c7" } else { "c0" },
                label: member.label,
                value: member.value,
                of: member.value,
                text: format!("{} {unit}", shown(member.value)),
            })
            .collect();
        let id = group.replace(|c: char| !c.is_alphanumeric(), "-");
        let _ = write!(
            body,
            "<h3>{} ({})</h3>{}",
            escaped(&group),
            escaped(&unit),
            chart::rows(&format!("bench-{id}"), &group, &rows, Some(most))
        );
    }
    let source = if are_baseline {
        " These are the committed figures of the release kernel; <code>./simulate bench --json FILE</code> counts anew."
    } else {
        ""
    };
    let reading = format!(
        "Blue is this project, grey is what it is compared with. Shorter is better where the unit is a time, an instruction \
         or a byte.{source}"
    );
    section("benches", "Benches", &reading, &body)
}

/// A value with the digits that count, in groups of three.
fn shown(value: f64) -> String {
    if value < 1000.0 {
        short(value)
    } else {
        grouped(value.round() as u64)
    }
}

/// Figures by what they are compared with, and those that stand alone, by the first part of their names.
fn groups(figures: &[Figure]) -> (Groups, Groups) {
    let of_peers = figures.iter().filter_map(|figure| of_others(&figure.name));
    let compared_groups: BTreeSet<String> = of_peers.map(|(group, _)| group).collect();
    let (mut compared, mut alone) = (Groups::new(), Groups::new());
    for figure in figures {
        let others = of_others(&figure.name);
        let candidate = others.clone().unwrap_or_else(|| own(&figure.name));
        let (groups, (group, label)) = if compared_groups.contains(&candidate.0) {
            (&mut compared, candidate)
        } else {
            let parts = figure.name.split_once('.');
            let (first, rest) = parts.unwrap_or(("single figures", &figure.name));
            (&mut alone, (first.into(), rest.into()))
        };
        let group = groups.entry((group, figure.unit.clone()));
        group.or_default().push(Member {
            is_peer: others.is_some() && !label.starts_with(OWN),
            label,
            value: figure.value,
        });
    }
    for members in compared.values_mut() {
        members.sort_by(|one, other| one.value.total_cmp(&other.value));
    }
    (compared, alone)
}

/// Group and label of a figure that others are compared by: a peer's, the kernel's, or one of the host's, ours among them.
fn of_others(name: &str) -> Option<(String, String)> {
    let (first, rest) = name.split_once('.')?;
    let (peer, what) = rest.split_once('.').unwrap_or((rest, ""));
    match first {
        "peer" => Some((what.into(), peer.into())),
        "host" => Some((format!("on the host: {what}"), peer.into())),
        "floor" => Some((rest.into(), FLOOR.into())),
        _ => None,
    }
}

/// Group and label of a figure of our own, if there is anything to compare it with.
fn own(name: &str) -> (String, String) {
    let floor = FLOORS.iter().find(|(own, _)| *own == name);
    match (name.strip_prefix("heap."), floor) {
        (Some(what), _) => (what.into(), format!("{OWN}, resident heap")),
        (None, Some((_, floor))) => (floor.to_string(), OWN.into()),
        (None, None) => (name.into(), OWN.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(names: &[&str]) -> Vec<Figure> {
        let figure = |name: &&str| Figure {
            name: name.to_string(),
            unit: "instructions".into(),
            value: name.len() as f64,
        };
        names.iter().map(figure).collect()
    }

    /// The groups of these figures, with their labels.
    fn labelled(groups: &Groups) -> Vec<String> {
        let labels = |members: &[Member]| {
            let labels: Vec<_> = members.iter().map(|it| it.label.as_str()).collect();
            labels.join(" | ")
        };
        let groups = groups.iter();
        groups
            .map(|((group, _), members)| format!("{group}: {}", labels(members)))
            .collect()
    }

    #[test]
    fn own_figures_stand_beside_those_of_peers_and_of_the_kernel() {
        let names = [
            "heap.pair.64",
            "peer.talc.pair.64",
            "map.page",
            "floor.map.page",
            "dma.kmalloc.64k",
            "floor.dma.64k",
            "host.kmalloc.churn.ns",
            "host.mimalloc.churn.ns",
        ];
        let (compared, alone) = groups(&figures(&names));
        assert_eq!(
            labelled(&compared),
            [
                "dma.64k: the kernel alone | kmalloc",
                "map.page: kmalloc | the kernel alone",
                "on the host: churn.ns: kmalloc | mimalloc",
                "pair.64: kmalloc, resident heap | talc",
            ]
        );
        assert!(alone.is_empty());
        let peers = compared.values().flatten().filter(|it| it.is_peer);
        let peers: Vec<_> = peers.map(|it| it.label.as_str()).collect();
        assert_eq!(
            peers,
            ["the kernel alone", "the kernel alone", "mimalloc", "talc"]
        );
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(shown(20_447.35), "20,447");
        assert_eq!(shown(33.64), "33.6");
    }

    #[test]
    fn what_nothing_is_compared_with_stands_with_its_kind() {
        let names = ["served.kfree.64", "served.kmalloc.64.cold", "counter"];
        let (compared, alone) = groups(&figures(&names));
        assert!(compared.is_empty());
        assert_eq!(
            labelled(&alone),
            [
                "served: kfree.64 | kmalloc.64.cold",
                "single figures: counter"
            ]
        );
    }
}
