//! Situation `topology-1000`: a drawing of 1,000 services and 1,500 calls from nothing, and again with one more. Medians; prints
//! them only.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use observe::topology::layout::{Drawing, Graph, layout};

const NODES: usize = 1000;
const RUNS: usize = 21;

/// Each service is called by one that was there before, and some by others as well.
fn graph(nodes: usize) -> Graph {
    let first = (1..nodes).map(|to: usize| (to.wrapping_mul(2_654_435_761) / 128 % to, to));
    let more = (0..nodes / 2).map(|n| (n * 31 % nodes, n * 17 % nodes));
    Graph { nodes, edges: first.chain(more).collect(), before: BTreeMap::new() }
}

fn median(graph: &Graph) -> (Duration, Drawing) {
    let mut drawing = Drawing::default();
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            drawing = layout(graph);
            started.elapsed()
        })
        .collect();
    times.sort();
    (times[RUNS / 2], drawing)
}

fn main() {
    let (fresh, drawing) = median(&graph(NODES));
    let before = drawing.at.into_iter().enumerate().collect();
    let (again, _) = median(&Graph { before, ..graph(NODES + 1) });
    println!("topology-1000: {fresh:.1?} from nothing, {again:.1?} with one more");
}
