//! Names of stages that say which device a part is on.
//!
//! The name of a stage lives as long as the process, so that errors and traces can carry it without a count. A name that is made
//! here is kept for good and used again: there are as many as devices with different names, times their stages, however many
//! models are compiled.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// `"npu: wait"` for the stage `wait` of the device `npu`.
pub(super) fn stage(device: &str, stage: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!("{device}: {stage}");
    if let Some(known) = names.get(&*name) {
        return known;
    }
    let name: &'static str = name.leak();
    names.insert(name);
    name
}

#[cfg(test)]
mod tests {
    use super::stage;

    #[test]
    fn a_name_is_made_once() {
        assert_eq!(stage("npu", "wait"), "npu: wait");
        assert!(std::ptr::eq(stage("npu", "wait"), stage("npu", "wait")));
    }
}
