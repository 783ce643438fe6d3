// SPDX-License-Identifier: BSD-2-Clause
//! Graphs, and what is computed of them. The build script runs the same on the host, for the results to expect.
//!
//! The library's hash maps iterate in another order each time; nothing here depends on it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use petgraph::algo;
use petgraph::data::FromElements;
use petgraph::graph::{DiGraph, NodeIndex, UnGraph};
use petgraph::stable_graph::StableDiGraph;

/// A computation, by its name.
pub type Computation = (&'static str, fn() -> u64);

/// What is computed.
pub const COMPUTATIONS: [Computation; 7] = [
    ("graph_shortest_paths", shortest_paths),
    ("graph_components", components),
    ("graph_spanning_tree", spanning_tree),
    ("graph_order", order),
    ("graph_names", names),
    ("graph_matching", matching),
    ("graph_page_rank", page_rank),
];

const NODES: u32 = 4000;
const EDGES: u32 = 4 * NODES;

/// Pseudo-random numbers, the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 32) * u64::from(limit)) >> 32) as u32
    }
}

/// A step of FNV-1a, with a word instead of a byte.
fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x100_0000_01b3)
}

fn hash(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// Ends and weights of random edges.
fn edges(seed: u64) -> impl Iterator<Item = (u32, u32, u32)> {
    let mut random = Random(seed);
    (0..EDGES).map(move |_| {
        (
            random.below(NODES),
            random.below(NODES),
            1 + random.below(1000),
        )
    })
}

/// Dijkstra, before and after nodes were taken out.
fn shortest_paths() -> u64 {
    let mut graph: StableDiGraph<u32, u32> = StableDiGraph::new();
    let nodes: Vec<_> = (0..NODES).map(|number| graph.add_node(number)).collect();
    for (from, to, weight) in edges(1) {
        graph.add_edge(nodes[from as usize], nodes[to as usize], weight);
    }
    let mut result = 0;
    for _ in 0..3 {
        let costs = algo::dijkstra(&graph, nodes[0], None, |edge| u64::from(*edge.weight()));
        let mut costs: Vec<_> = costs.into_iter().collect();
        costs.sort_unstable();
        result = mix(
            result,
            hash(
                costs
                    .iter()
                    .map(|(node, cost)| node.index() as u64 ^ (cost << 20)),
            ),
        );
        let mut random = Random(result);
        for _ in 0..NODES / 8 {
            graph.remove_node(nodes[1 + random.below(NODES - 1) as usize]);
        }
    }
    result
}

/// Strongly connected components, and the graph that is left when each becomes one node.
fn components() -> u64 {
    let graph = DiGraph::<(), u32>::from_edges(edges(2).filter(|(_, _, weight)| *weight < 300));
    let sizes = algo::tarjan_scc(&graph)
        .into_iter()
        .map(|part| part.len() as u64);
    let sizes = hash(sizes);
    let condensed = algo::condensation(graph, true);
    let parts = condensed.node_weights().map(|part| part.len() as u64);
    mix(mix(sizes, hash(parts)), condensed.edge_count() as u64)
}

fn spanning_tree() -> u64 {
    let graph = UnGraph::<(), u32>::from_edges(edges(3));
    let tree = UnGraph::<(), u32>::from_elements(algo::min_spanning_tree(&graph));
    let weights = tree.edge_references().map(|edge| u64::from(*edge.weight()));
    mix(weights.sum(), algo::connected_components(&tree) as u64)
}

/// An order in which every edge goes forward.
fn order() -> u64 {
    let forward = edges(4).filter(|(from, to, _)| from < to);
    let graph = DiGraph::<(), u32>::from_edges(forward);
    match algo::toposort(&graph, None) {
        Ok(nodes) => hash(nodes.iter().map(|node| node.index() as u64)),
        Err(_) => 0,
    }
}

/// Nodes with names and edges with lists, which are joined along the way and dropped.
fn names() -> u64 {
    let mut graph: DiGraph<String, Vec<u32>> = DiGraph::new();
    let nodes: Vec<_> = (0..NODES)
        .map(|number| graph.add_node(format!("node number {number}")))
        .collect();
    for (from, to, weight) in edges(5) {
        let list = (0..weight % 40).collect();
        graph.add_edge(nodes[from as usize], nodes[to as usize], list);
    }
    graph.retain_nodes(|graph, node| graph.edges(node).count() > 2);
    let joined = graph.map(
        |node, name| {
            let neighbours = graph.neighbors(node).map(|other| graph[other].as_str());
            neighbours.fold(name.clone(), |all, other| all + ", " + other)
        },
        |_, list| list.iter().copied().map(u64::from).sum::<u64>(),
    );
    let names = joined.node_weights().flat_map(|name| name.bytes());
    let sums = joined.edge_weights().copied();
    mix(hash(names.map(u64::from)), hash(sums))
}

fn matching() -> u64 {
    let sparse = edges(6).filter(|(from, to, _)| from != to && from < &1000 && to < &1000);
    let graph = UnGraph::<(), u32>::from_edges(sparse);
    let matching = algo::maximum_matching(&graph);
    let alone = graph
        .node_indices()
        .filter(|node| matching.mate(*node).is_none());
    mix(matching.len() as u64, alone.count() as u64)
}

/// Numbers with fractions: every bit of them has to be the same.
fn page_rank() -> u64 {
    let small = edges(7).filter(|(from, to, _)| *from < 600 && *to < 600);
    let graph = DiGraph::<(), u32>::from_edges(small);
    let ranks = algo::page_rank(&graph, 0.85_f64, 5);
    let first = graph.neighbors(NodeIndex::new(0)).count() as u64;
    mix(first, hash(ranks.iter().map(|rank| rank.to_bits())))
}
