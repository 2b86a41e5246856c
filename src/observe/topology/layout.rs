//! Where nodes are drawn: left to right in the direction of the calls, with few crossings, and as close as can be to where
//! they were before.

use std::collections::{BTreeMap, BTreeSet};

/// Of a node, with the space around it.
pub const WIDTH: f64 = 180.0;
pub const HEIGHT: f64 = 48.0;
const GAP_X: f64 = 100.0;
const GAP_Y: f64 = 28.0;
/// Sweeps over all ranks; more change little.
const SWEEPS: usize = 8;

/// A graph by the positions of its nodes in a list.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub nodes: usize,
    pub edges: Vec<(usize, usize)>,
    /// Where nodes were before.
    pub before: BTreeMap<usize, (f64, f64)>,
}

/// The middles of nodes, and the size of the drawing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    pub at: Vec<(f64, f64)>,
    pub width: f64,
    pub height: f64,
}

#[must_use]
pub fn layout(graph: &Graph) -> Drawing {
    let edges = clean(graph);
    let alone = alone(graph.nodes, &edges);
    let ranks = ranks(graph.nodes, &edges);
    let depth = ranks.iter().max().map_or(0, |last| last + 1);
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for node in (0..graph.nodes).filter(|node| !alone[*node]) {
        columns[ranks[node]].push(node);
    }
    columns.retain(|column| !column.is_empty());
    for column in &mut columns {
        column.sort_by(|a, b| {
            let y = |node: &usize| graph.before.get(node).map_or(f64::INFINITY, |(_, y)| *y);
            y(a).total_cmp(&y(b)).then(a.cmp(b))
        });
    }
    untangle(&mut columns, graph.nodes, &edges);
    place(&columns, &alone)
}

/// Edges between different nodes that are there, each once.
fn clean(graph: &Graph) -> Vec<(usize, usize)> {
    let there =
        |edge: &&(usize, usize)| edge.0 != edge.1 && edge.0 < graph.nodes && edge.1 < graph.nodes;
    graph.edges.iter().filter(there).copied().collect::<BTreeSet<_>>().into_iter().collect()
}

fn alone(nodes: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    let mut alone = vec![true; nodes];
    for (from, to) in edges {
        alone[*from] = false;
        alone[*to] = false;
    }
    alone
}

/// The longest path to each node, after edges that close a circle are left out.
fn ranks(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let mut calls_in = vec![0; nodes];
    for (from, to) in edges {
        out[*from].push(*to);
        calls_in[*to] += 1;
    }
    // Who is called by nobody comes first, so that edges are turned where they close a circle and not where they open one.
    let (roots, rest): (Vec<_>, Vec<_>) = (0..nodes).partition(|node| calls_in[*node] == 0);
    let mut state = vec![State::New; nodes];
    // Each node behind all that it calls.
    let mut order = Vec::with_capacity(nodes);
    let mut back = BTreeSet::new();
    for root in roots.into_iter().chain(rest) {
        if state[root] != State::New {
            continue;
        }
        state[root] = State::Open;
        let mut path = vec![(root, 0)];
        while let Some((node, next)) = path.pop() {
            let Some(to) = out[node].get(next) else {
                state[node] = State::Done;
                order.push(node);
                continue;
            };
            path.push((node, next + 1));
            match state[*to] {
                State::New => {
                    state[*to] = State::Open;
                    path.push((*to, 0));
                }
                State::Open => drop(back.insert((node, *to))),
                State::Done => {}
            }
        }
    }
    let mut ranks = vec![0; nodes];
    for node in order.into_iter().rev() {
        for to in &out[node] {
            if !back.contains(&(node, *to)) {
                ranks[*to] = ranks[*to].max(ranks[node] + 1);
            }
        }
    }
    ranks
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

/// Orders each column by where its neighbours are, to and fro.
fn untangle(columns: &mut [Vec<usize>], nodes: usize, edges: &[(usize, usize)]) {
    let mut near: Vec<[Vec<usize>; 2]> = vec![[Vec::new(), Vec::new()]; nodes];
    let mut column_of = vec![0; nodes];
    for (index, column) in columns.iter().enumerate() {
        for node in column {
            column_of[*node] = index;
        }
    }
    for (from, to) in edges {
        let (left, right) = if column_of[*from] < column_of[*to] { (from, to) } else { (to, from) };
        near[*right][0].push(*left);
        near[*left][1].push(*right);
    }
    // From 0 to 1, whatever the length of the column.
    let mut height = vec![0.0; nodes];
    let measure = |column: &[usize], height: &mut [f64]| {
        for (row, node) in column.iter().enumerate() {
            height[*node] = (row as f64 + 0.5) / column.len() as f64;
        }
    };
    for column in columns.iter() {
        measure(column, &mut height);
    }
    for sweep in 0..SWEEPS {
        let side = sweep % 2;
        for step in 0..columns.len() {
            let index = if side == 0 { step } else { columns.len() - 1 - step };
            let wish = |node: &usize| {
                let near = &near[*node][side];
                match near.len() {
                    0 => height[*node],
                    len => near.iter().map(|other| height[*other]).sum::<f64>() / len as f64,
                }
            };
            // Stable: who wants to be at the same place stays in order.
            let mut wishes: Vec<_> =
                columns[index].iter().map(|node| (wish(node), *node)).collect();
            wishes.sort_by(|a, b| a.0.total_cmp(&b.0));
            columns[index] = wishes.into_iter().map(|(_, node)| node).collect();
            measure(&columns[index], &mut height);
        }
    }
}

/// Columns side by side; one that would be much higher than the drawing is wide is broken into several. Who is alone stands
/// below.
fn place(columns: &[Vec<usize>], alone: &[bool]) -> Drawing {
    let nodes = alone.len();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive number"
    )]
    let rows = ((nodes as f64).sqrt().ceil() as usize * 2).max(12);
    let parts: Vec<&[usize]> = columns.iter().flat_map(|column| column.chunks(rows)).collect();
    let tallest = parts.iter().map(|part| part.len()).max().unwrap_or(0);
    let (step_x, step_y) = (WIDTH + GAP_X, HEIGHT + GAP_Y);
    let mut at = vec![(0.0, 0.0); nodes];
    for (index, part) in parts.iter().enumerate() {
        let top = (tallest - part.len()) as f64 * step_y / 2.0;
        for (row, node) in part.iter().enumerate() {
            let x = index as f64 * step_x + step_x / 2.0;
            at[*node] = (x, top + row as f64 * step_y + step_y / 2.0);
        }
    }
    let single: Vec<usize> = (0..nodes).filter(|node| alone[*node]).collect();
    let wide = parts.len().max(single.len().min(rows.max(1) / 2)).max(1);
    for (index, node) in single.iter().enumerate() {
        let (row, column) = (tallest + index / wide, index % wide);
        at[*node] = (column as f64 * step_x + step_x / 2.0, row as f64 * step_y + step_y / 2.0);
    }
    let columns = if single.is_empty() { parts.len() } else { wide };
    let rows = tallest + single.len().div_ceil(wide);
    Drawing { at, width: columns as f64 * step_x, height: rows as f64 * step_y }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph(nodes: usize, edges: &[(usize, usize)]) -> Graph {
        Graph { nodes, edges: edges.to_vec(), before: BTreeMap::new() }
    }

    fn x(drawing: &Drawing, node: usize) -> f64 {
        drawing.at[node].0
    }

    #[test]
    fn calls_go_from_left_to_right() {
        // outside → gateway → web → orders → pay, and gateway → pay
        let drawing = layout(&graph(5, &[(0, 1), (1, 2), (2, 3), (3, 4), (1, 4)]));
        for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
            assert!(x(&drawing, from) < x(&drawing, to), "{from} → {to}");
        }
    }

    #[test]
    fn a_circle_is_drawn_from_where_it_is_entered() {
        let drawing = layout(&graph(4, &[(3, 0), (0, 1), (1, 2), (2, 0)]));
        assert!(x(&drawing, 3) < x(&drawing, 0));
        assert!(x(&drawing, 0) < x(&drawing, 1));
        assert!(x(&drawing, 1) < x(&drawing, 2));
    }

    #[test]
    fn crossings_are_taken_away() {
        // 0 → 3, 1 → 2: the second column is turned round.
        let drawing = layout(&graph(4, &[(0, 3), (1, 2)]));
        let y = |node: usize| drawing.at[node].1;
        assert_eq!(y(0) < y(1), y(3) < y(2));
    }

    #[test]
    fn who_is_alone_stands_below_and_nobody_on_another() {
        let drawing = layout(&graph(6, &[(0, 1)]));
        let lowest = drawing.at[0].1.max(drawing.at[1].1);
        assert!((2..6).all(|node| drawing.at[node].1 > lowest));
    }

    #[test]
    fn a_new_node_leaves_the_order_of_others() {
        let star: Vec<_> = (1..9).map(|to| (0, to)).collect();
        let first = layout(&graph(9, &star));
        // Turned round by hand, as an earlier drawing may have left them.
        let before = (1..9).map(|node| (node, (0.0, 1000.0 - first.at[node].1))).collect();
        let more = (1..10).map(|to| (0, to)).collect();
        let second = layout(&Graph { nodes: 10, edges: more, before });
        assert!((1..8).all(|node| second.at[node].1 > second.at[node + 1].1));
    }

    fn any_graph() -> impl Strategy<Value = Graph> {
        (1_usize..60).prop_flat_map(|nodes| {
            proptest::collection::vec((0..nodes, 0..nodes), 0..120).prop_map(move |edges| Graph {
                nodes,
                edges,
                before: BTreeMap::new(),
            })
        })
    }

    proptest! {
        #[test]
        fn nodes_never_overlap_and_are_inside_the_drawing(graph in any_graph()) {
            let drawing = layout(&graph);
            prop_assert_eq!(&drawing, &layout(&graph));
            prop_assert_eq!(drawing.at.len(), graph.nodes);
            for (index, (x, y)) in drawing.at.iter().enumerate() {
                prop_assert!(x.is_finite() && y.is_finite());
                prop_assert!(x - WIDTH / 2.0 >= 0.0 && x + WIDTH / 2.0 <= drawing.width);
                prop_assert!(y - HEIGHT / 2.0 >= 0.0 && y + HEIGHT / 2.0 <= drawing.height);
                for (other_x, other_y) in &drawing.at[index + 1..] {
                    let apart = (x - other_x).abs() >= WIDTH || (y - other_y).abs() >= HEIGHT;
                    prop_assert!(apart);
                }
            }
        }
    }

    #[test]
    fn a_thousand_nodes_take_a_moment() {
        let edges: Vec<_> = (1..1000)
            .map(|to| (to * 7919 % to, to))
            .chain((0..500).map(|n| (n * 31 % 1000, n * 17 % 1000)))
            .collect();
        let started = std::time::Instant::now();
        let drawing = layout(&graph(1000, &edges));
        // Some 10 ms where it is measured (`cargo bench --bench topology`); the limit is for busy machines and debug builds.
        assert!(started.elapsed() < std::time::Duration::from_secs(2));
        assert_eq!(drawing.at.len(), 1000);
    }
}
