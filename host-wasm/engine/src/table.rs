//! Things that JavaScript names by a number, each for one call at a time.
//!
//! A call takes its thing out of the table, works on it without a lock, and puts it back; so two agents that name the same
//! one do not wait for each other: the second gets an error. Numbers that the table gives are never given again, so a stale
//! one finds nothing.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use spin::Mutex;

use crate::trouble::Trouble;

/// Things by number.
pub(crate) struct Table<T> {
    /// What they are, for errors.
    what: &'static str,
    /// `None` while a call has it.
    things: Mutex<BTreeMap<u32, Option<Box<T>>>>,
    /// The last number that was given.
    last: Mutex<u32>,
}

impl<T> Table<T> {
    pub(crate) const fn new(what: &'static str) -> Table<T> {
        Table { what, things: Mutex::new(BTreeMap::new()), last: Mutex::new(0) }
    }

    /// Puts a thing in; gives its number, which no other thing ever had.
    pub(crate) fn add(&self, thing: T) -> u32 {
        let thing = Some(Box::new(thing));
        let mut things = self.things.lock();
        let mut number = self.last.lock();
        *number += 1;
        things.insert(*number, thing);
        *number
    }

    /// Puts a thing in under a number of the caller's choice.
    pub(crate) fn insert(&self, number: u32, thing: T) -> Result<(), Trouble> {
        let thing = Some(Box::new(thing));
        let mut things = self.things.lock();
        if things.contains_key(&number) {
            return Err(Trouble::new("busy", alloc::format!("there is a {} {number} already", self.what)));
        }
        things.insert(number, thing);
        Ok(())
    }

    /// Works on a thing.
    pub(crate) fn with<R>(&self, number: u32, work: impl FnOnce(&mut T) -> R) -> Result<R, Trouble> {
        let mut thing = match self.things.lock().get_mut(&number) {
            Some(place) => place.take().ok_or_else(|| self.busy(number))?,
            None => return Err(Trouble::unknown(self.what, number)),
        };
        let result = work(&mut thing);
        // Nobody removes a thing while it is out, so its place is still there.
        if let Some(place) = self.things.lock().get_mut(&number) {
            *place = Some(thing);
        }
        Ok(result)
    }

    /// Takes a thing out for good.
    pub(crate) fn remove(&self, number: u32) -> Result<Box<T>, Trouble> {
        let mut things = self.things.lock();
        match things.remove(&number) {
            Some(Some(thing)) => Ok(thing),
            Some(None) => {
                things.insert(number, None);
                Err(self.busy(number))
            }
            None => Err(Trouble::unknown(self.what, number)),
        }
    }

    fn busy(&self, number: u32) -> Trouble {
        Trouble::new("busy", alloc::format!("{} {number} is in use by another agent", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_names_nothing_is_an_error() {
        let table = Table::new("thing");
        table.insert(7, 'a').unwrap();
        assert!(table.insert(7, 'b').is_err());
        assert_eq!(table.with(7, |thing| core::mem::replace(thing, 'c')).unwrap(), 'a');
        assert_eq!(table.with(8, |_| ()).unwrap_err().message, "there is no thing 8");
        assert_eq!(*table.remove(7).unwrap(), 'c');
        assert!(table.remove(7).is_err());
    }

    #[test]
    fn a_thing_that_a_call_works_on_is_busy_and_stays() {
        let table = Table::new("thing");
        table.insert(1, ()).unwrap();
        let inside = table.with(1, |()| (table.with(1, |()| ()), table.remove(1).map(drop)));
        let (with, remove) = inside.unwrap();
        assert_eq!((with.unwrap_err().code, remove.unwrap_err().code), ("busy", "busy"));
        assert!(table.remove(1).is_ok());
    }
}
