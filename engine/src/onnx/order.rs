//! The order in which nodes can run: the file's own wherever that is possible.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

/// The nodes in an order in which each comes after those whose values it reads, or the nodes of one cycle.
///
/// `reads` and `writes` are the names of values by node. A name that nothing writes is no obstacle. Files are nearly
/// always sorted already; then the order is 0, 1, 2 and so on.
pub(super) fn topological(reads: &[Vec<&str>], writes: &[Vec<&str>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut writer = BTreeMap::new();
    for (node, names) in writes.iter().enumerate() {
        writer.extend(names.iter().map(|name| (*name, node)));
    }
    let needs: Vec<BTreeSet<usize>> = reads
        .iter()
        .map(|names| names.iter().filter_map(|name| writer.get(name).copied()).collect())
        .collect();

    let mut readers = vec![Vec::new(); needs.len()];
    for (node, sources) in needs.iter().enumerate() {
        sources.iter().for_each(|source| readers[*source].push(node));
    }
    let mut waiting: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut ready: BTreeSet<usize> = (0..needs.len()).filter(|node| waiting[*node] == 0).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(node) = ready.pop_first() {
        order.push(node);
        for reader in &readers[node] {
            waiting[*reader] -= 1;
            if waiting[*reader] == 0 {
                ready.insert(*reader);
            }
        }
    }
    if order.len() == needs.len() { Ok(order) } else { Err(cycle(&needs, &waiting)) }
}

/// Walks from a node that never became ready to one that it waits for, and so on, until one comes up again.
fn cycle(needs: &[BTreeSet<usize>], waiting: &[usize]) -> Vec<usize> {
    let mut walk: Vec<usize> = Vec::new();
    let mut next = waiting.iter().position(|count| *count > 0);
    while let Some(node) = next {
        if let Some(begin) = walk.iter().position(|seen| *seen == node) {
            let mut nodes = walk.split_off(begin);
            nodes.reverse();
            return nodes;
        }
        walk.push(node);
        next = needs[node].iter().copied().find(|source| waiting[*source] > 0);
    }
    walk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sorted_file_keeps_its_order() {
        let reads = [vec!["x"], vec!["x"], vec!["a", "b"]];
        let writes = [vec!["a"], vec!["b"], vec!["c"]];
        assert_eq!(topological(&reads, &writes), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn a_node_moves_behind_those_it_reads_from_and_no_further() {
        let reads = [vec!["c"], vec!["x"], vec!["a"], vec!["x"]];
        let writes = [vec!["d"], vec!["a"], vec!["c"], vec!["e"]];
        assert_eq!(topological(&reads, &writes), Ok(vec![1, 2, 0, 3]));
    }

    #[test]
    fn a_cycle_is_told_without_its_readers() {
        let reads = [vec!["c"], vec!["a"], vec!["b"], vec!["c"]];
        let writes = [vec!["a"], vec!["b"], vec!["c"], vec!["d"]];
        assert_eq!(topological(&reads, &writes), Err(vec![1, 2, 0]));
        assert_eq!(topological(&[vec!["x"]], &[vec!["x"]]), Err(vec![0]));
    }
}
