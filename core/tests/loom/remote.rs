//! Remote tensors: their ends reach the owner, once each, whoever drops them when.

use inferry_core::ElementType;
use inferry_core::remote::Objects;
use loom::thread;

/// Two threads drop their shares in two objects while the owner buries: an object is dropped after its last share, by the
/// owner, once; and memory is made room for while others post.
#[test]
fn the_dead_are_buried_once_each() {
    loom::model(|| {
        let mut objects = Objects::new("loom");
        let shape = [2].into();
        let first = objects.insert(1, ElementType::U8, &shape).unwrap();
        let second = objects.insert(2, ElementType::U8, &shape).unwrap();
        let others = [first.clone(), second].map(|tensor| thread::spawn(move || drop(tensor)));
        let third = objects.insert(3, ElementType::U8, &shape).unwrap();
        let id = first.as_remote().unwrap().object().clone();
        assert_eq!(objects.get(&id).ok(), Some(&1), "this thread still has a share");
        drop(first);
        others.into_iter().for_each(|other| other.join().unwrap());
        objects.bury();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects.get(third.as_remote().unwrap().object()).ok(), Some(&3));
        assert!(objects.get(&id).is_err());
    });
}

/// The lease of a remote tensor keeps two users apart like any other.
#[test]
fn of_two_users_of_a_remote_tensor_one_writes() {
    loom::model(|| {
        let mut objects = Objects::new("loom");
        let tensor = objects.insert((), ElementType::U8, &[2].into()).unwrap();
        let other = thread::spawn({
            let tensor = tensor.clone();
            move || tensor.lease_write().is_ok()
        });
        let here = tensor.lease_write().is_ok();
        assert!(other.join().unwrap() || here);
        assert!(tensor.lease_write().is_ok());
    });
}
