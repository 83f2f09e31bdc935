//! Which nodes make a part, and the order of the parts.
//!
//! Whoever's turn it is takes every node of its own whose inputs are there, and those that become ready by that, until none is
//! left; what it took is a part, and another owner has its turn. So every part reads only what parts before it wrote: there is
//! no circle, whatever the assignment. With two owners the turns alternate, and a turn that takes all it can never makes
//! another one necessary, so there are as few parts as possible when the better of the two beginnings is chosen. With more, the
//! next turn is that of the owner who can take most, which need not be the fewest.

use alloc::vec;
use alloc::vec::Vec;

use crate::graph::Graph;

/// The nodes of each part, by their index in the graph and in its order.
pub(super) fn parts(graph: &Graph, writers: &[Option<usize>], owners: &[usize]) -> Vec<Vec<usize>> {
    let start = Turns::new(graph, writers, owners);
    let beginnings = start.candidates().map(|owner| start.clone().play(owner));
    // The first of several that are equally short: the owner that stands first.
    beginnings.min_by_key(Vec::len).unwrap_or_default()
}

/// A graph whose nodes are being taken.
#[derive(Clone)]
struct Turns<'a> {
    owners: &'a [usize],
    /// For each node, who reads what it writes; once for each value that is read.
    readers: Vec<Vec<usize>>,
    /// For each node, how many inputs are not there yet.
    missing: Vec<usize>,
    /// For each owner, the nodes whose inputs are there.
    ready: Vec<Vec<usize>>,
}

impl<'a> Turns<'a> {
    fn new(graph: &Graph, writers: &[Option<usize>], owners: &'a [usize]) -> Turns<'a> {
        let count = owners.iter().max().map_or(0, |most| most + 1);
        let mut turns = Turns {
            owners,
            readers: vec![Vec::new(); owners.len()],
            missing: vec![0; owners.len()],
            ready: vec![Vec::new(); count],
        };
        for (reader, node) in graph.nodes.iter().enumerate() {
            for writer in node.inputs.iter().flatten().filter_map(|id| writers[id.index()]) {
                turns.readers[writer].push(reader);
                turns.missing[reader] += 1;
            }
        }
        for (node, owner) in owners.iter().enumerate() {
            if turns.missing[node] == 0 {
                turns.ready[*owner].push(node);
            }
        }
        turns
    }

    /// Those who could have the next turn.
    fn candidates(&self) -> impl Iterator<Item = usize> {
        (0..self.ready.len()).filter(|owner| !self.ready[*owner].is_empty())
    }

    /// Plays to the end, `first` first.
    fn play(mut self, first: usize) -> Vec<Vec<usize>> {
        let mut parts = vec![self.take(first)];
        while let Some(next) = self.next() {
            parts.push(self.take(next));
        }
        parts
    }

    /// Who can take most; the first of several.
    fn next(&self) -> Option<usize> {
        let mut candidates = self.candidates();
        let first = candidates.next()?;
        let Some(second) = candidates.next() else { return Some(first) };
        let takes = |owner| self.clone().take(owner).len();
        let mut best = (first, takes(first));
        for owner in [second].into_iter().chain(candidates) {
            let most = takes(owner);
            if most > best.1 {
                best = (owner, most);
            }
        }
        Some(best.0)
    }

    /// Takes all that `owner` can.
    fn take(&mut self, owner: usize) -> Vec<usize> {
        let mut taken = Vec::new();
        while let Some(node) = self.ready[owner].pop() {
            taken.push(node);
            for reader in core::mem::take(&mut self.readers[node]) {
                self.missing[reader] -= 1;
                if self.missing[reader] == 0 {
                    self.ready[self.owners[reader]].push(reader);
                }
            }
        }
        taken.sort_unstable();
        taken
    }
}
