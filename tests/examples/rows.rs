//! Prints the rows of the catalogue as `cargo xtask behaviours` reads them: a line each, its parts divided by tabs.
//!
//! ```text
//! behaviour  T001 T007  callback::it_has_returned_before_the_wait_ends  -
//! test       T011       threads  a_start_runs_nothing_on_its_callers_thread
//! open       T158       not yet: batched tensors are not there
//! ```
#![forbid(unsafe_code)]

use std::path::Path;

use inferry_behaviour::elsewhere::{ELSEWHERE, Place};
use inferry_behaviour::table::BEHAVIOURS;

fn main() {
    for it in BEHAVIOURS {
        let only = if it.only.is_empty() { "-" } else { it.only };
        println!("behaviour\t{}\t{}::{}\t{only}", it.rows.join(" "), it.room, it.name);
    }
    for (first, last, place) in ELSEWHERE {
        for row in *first..=*last {
            match place {
                Place::Test(file, function) => {
                    let stem = Path::new(file).file_stem().expect("a file").to_string_lossy();
                    println!("test\tT{row:03}\t{stem}\t{function}");
                }
                Place::Package(file) => println!("open\tT{row:03}\tproved by the package's tests, {file}"),
                Place::NotYet(why) => println!("open\tT{row:03}\tnot yet: {why}"),
                Place::Never(why) => println!("open\tT{row:03}\tnever: {why}"),
            }
        }
    }
}
