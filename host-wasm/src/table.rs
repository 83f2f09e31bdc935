//! Objects that stay on their thread, found by numbers that do not have to.
//!
//! The core's traits ask for `Send`, and what JavaScript gives is not. So it stays in a table of the thread that made it, and
//! everything else holds its number. A number is never used twice.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A table; one for each type, in a `thread_local`.
pub(crate) struct Table<T> {
    entries: RefCell<BTreeMap<u32, Rc<T>>>,
    next: Cell<u32>,
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Table<T> {
        Table { entries: RefCell::new(BTreeMap::new()), next: Cell::new(0) }
    }

    pub(crate) fn put(&self, make: impl FnOnce(u32) -> Rc<T>) -> Rc<T> {
        let number = self.next.get();
        self.next.set(number + 1);
        let entry = make(number);
        self.entries.borrow_mut().insert(number, entry.clone());
        entry
    }

    pub(crate) fn get(&self, number: u32) -> Option<Rc<T>> {
        self.entries.borrow().get(&number).cloned()
    }

    /// Takes an entry out. Whoever drops it may get to this table again.
    pub(crate) fn remove(&self, number: u32) -> Option<Rc<T>> {
        self.entries.borrow_mut().remove(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_used_twice() {
        let table = Table::new();
        let first = Cell::new(0);
        table.put(|number| {
            first.set(number);
            Rc::new('a')
        });
        assert_eq!(table.get(first.get()).as_deref(), Some(&'a'));
        table.remove(first.get());
        table.put(|_| Rc::new('b'));
        assert_eq!(table.get(first.get()), None);
    }
}
