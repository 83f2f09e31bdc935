//! Every concurrent promise of the core as a loom model: all interleavings that loom can tell apart.
//!
//! Run with `cargo xtask loom`. One function a promise, two or three threads each, no loops that wait for another thread.
#![cfg(loom)]

#[path = "loom/crew.rs"]
mod crew;
#[path = "loom/jobs.rs"]
mod jobs;
#[path = "loom/parts.rs"]
mod parts;
#[path = "loom/remote.rs"]
mod remote;
#[path = "loom/request.rs"]
mod request;
#[path = "loom/state.rs"]
mod state;

use inferry_core::{ElementType, Tensor};
use loom::thread;

#[test]
fn a_writer_and_a_reader_never_hold_a_storage_together() {
    loom::model(|| {
        let tensor = Tensor::zeros(ElementType::U8, [2]);
        let writer = thread::spawn({
            let mut tensor = tensor.clone();
            // loom's cells complain when an access is not ordered after the other thread's.
            move || match tensor.as_slice_mut::<u8>() {
                Ok(mut bytes) => {
                    bytes.fill(1);
                    true
                }
                Err(_) => false,
            }
        });
        let read = tensor.as_slice::<u8>().map(|bytes| bytes.to_vec());
        let written = writer.join().unwrap();
        // Whoever came first was granted; a reader saw all of a write or nothing of it.
        assert!(written || read.is_ok());
        assert!(read.is_err() || read == Ok(vec![0, 0]) || (written && read == Ok(vec![1, 1])));
        assert_eq!(tensor.to_vec::<u8>().unwrap(), [u8::from(written); 2]);
    });
}

#[test]
fn of_two_writers_the_second_is_refused_or_comes_after_the_first() {
    loom::model(|| {
        let tensor = Tensor::zeros(ElementType::U8, [1]);
        let add = |mut tensor: Tensor| tensor.as_slice_mut::<u8>().map(|mut bytes| bytes[0] += 1).is_ok();
        let other = thread::spawn({
            let tensor = tensor.clone();
            move || add(tensor)
        });
        let granted = u8::from(add(tensor.clone())) + u8::from(other.join().unwrap());
        assert!(granted >= 1);
        assert_eq!(tensor.to_vec::<u8>().unwrap(), [granted]);
    });
}

#[test]
fn two_readers_are_both_granted() {
    loom::model(|| {
        let tensor = Tensor::zeros(ElementType::U8, [1]);
        let other = thread::spawn({
            let tensor = tensor.clone();
            move || tensor.to_vec::<u8>().unwrap()
        });
        assert_eq!(tensor.to_vec::<u8>().unwrap(), [0]);
        assert_eq!(other.join().unwrap(), [0]);
    });
}

#[test]
fn the_whole_is_granted_only_after_its_last_part_is_gone() {
    loom::model(|| {
        let mut whole = Tensor::zeros(ElementType::U8, [2]);
        let mut parts = whole.split_mut(0, &[1]).unwrap();
        let (mut second, mut first) = (parts.pop().unwrap(), parts.pop().unwrap());
        let other = thread::spawn(move || second.as_slice_mut::<u8>().unwrap()[0] = 2);
        first.as_slice_mut::<u8>().unwrap()[0] = 1;
        drop(first);
        let early = whole.to_vec::<u8>();
        assert!(early.is_err() || early == Ok(vec![1, 2]));
        other.join().unwrap();
        assert_eq!(whole.to_vec::<u8>().unwrap(), [1, 2]);
    });
}
