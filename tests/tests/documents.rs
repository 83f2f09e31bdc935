//! The documents that say what is here and what proves it: every name in them is there.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use inferry_behaviour::elsewhere::{ELSEWHERE, Place};
use inferry_behaviour::table::BEHAVIOURS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// What stands between `open` and `close`, each time.
fn between<'t>(text: &'t str, open: &'t str, close: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close).map(|(inside, _)| inside))
}

#[test]
fn every_feature_stands_in_the_table_once() {
    let text = document("features.md");
    let ids: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| F")?.split(' ').next()).collect();
    let all: Vec<String> = (1..=150).map(|number| format!("{number:03}")).collect();
    assert_eq!(ids, all);
    for line in text.lines().filter(|line| line.starts_with("| F")) {
        let parts: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        assert_eq!(parts.len(), 5, "{line}");
        assert!(["yes", "otherwise", "partly", "not yet", "no"].contains(&parts[3]), "{line}");
    }
}

#[test]
fn a_feature_that_is_here_names_rows_that_are_proved() {
    let proved = |row: u16| {
        let id = format!("T{row:03}");
        let tested = |(first, last, place): &(u16, u16, Place)| {
            (*first..=*last).contains(&row) && matches!(place, Place::Test(..) | Place::Package(_))
        };
        BEHAVIOURS.iter().any(|it| it.rows.contains(&&*id)) || ELSEWHERE.iter().any(tested)
    };
    let text = document("features.md");
    for line in text.lines().filter(|line| line.starts_with("| F") && line.contains("| yes |")) {
        for row in line.split(['T', '|']).filter_map(|part| part.get(..3)?.parse().ok()) {
            // A range is named by its ends.
            assert!(proved(row), "T{row:03} in {line}");
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    for name in ["features.md", "seed-map.md"] {
        let text = document(name);
        for link in between(&text, "](", ")") {
            assert!(root().join("docs").join(link).exists(), "{name}: {link}");
        }
    }
}

#[test]
fn every_proof_of_the_seed_map_is_a_test() {
    let mut tests = String::new();
    for folder in ["tests/tests", "tests/src"] {
        for file in fs::read_dir(root().join(folder)).unwrap() {
            tests += &fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        }
    }
    let text = document("seed-map.md");
    let mut proofs = 0;
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let proof = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for name in proof.split('`').skip(1).step_by(2) {
            let there = match name.split_once("::") {
                Some((room, name)) => BEHAVIOURS.iter().any(|it| it.room == room && it.name == name),
                None => tests.contains(&format!("fn {name}(")),
            };
            assert!(there, "{name} in {line}");
            proofs += 1;
        }
    }
    assert!(proofs > 40, "{proofs}");
}
