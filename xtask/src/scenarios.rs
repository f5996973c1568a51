//! Holds `docs/scenarios.md` against the tests: whoever renames a test, or adds one, is told to say so there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::workspace_root;

/// The scenarios, by their numbers.
const SCENARIOS: [&str; 50] = [
    "`emfile-accept`",
    "`enfile-enobufs-accept`",
    "`econnaborted-accept`",
    "`rst-before-accept`",
    "`backlog-overflow`",
    "`accept-storm`",
    "`max-connections`",
    "`listener-close-mid-storm`",
    "`thundering-herd`",
    "`refused`",
    "`blackhole-timeout`",
    "`ephemeral-exhausted`",
    "`self-connect`",
    "`connect-close-race`",
    "`short-write-4MB`",
    "`slow-reader`",
    "`slow-writer-1Bps`",
    "`zero-window`",
    "`one-byte-frames`",
    "`pipelined-burst`",
    "`oversize-frame`",
    "`garbage-proxy-header`",
    "`both-full`",
    "`loss-reorder-dup`",
    "`oob-byte`",
    "`half-close-echo`",
    "`fin-with-unread-data`",
    "`rst-mid-write`",
    "`close-in-own-callback`",
    "`close-peer-in-callback`",
    "`fd-reuse-same-batch`",
    "`dup-then-close`",
    "`fin-wait-vanish`",
    "`graceful-drain`",
    "`register-twice`, `modify-missing`, `bad-fd`",
    "`regular-file`",
    "`fd-1024-select`",
    "`spurious-readiness`",
    "`wake-storm`",
    "`wake-in-callback`, `wake-before-wait`",
    "`eintr-storm`",
    "`timer-reentrancy`",
    "`clock-step`",
    "`sigstop-sigcont`",
    "`handler-panic`",
    "`fork-child`",
    "`20k-connections`",
    "`io-uring-unavailable`",
    "`cq-overflow`",
    "`churn-10min`",
];

/// The known defects: a letter, and how many there are.
const DEFECTS: [(char, usize); 4] = [('W', 6), ('R', 9), ('E', 7), ('A', 12)];

fn table() -> String {
    let path = workspace_root().join("docs/scenarios.md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of each row, in which code stands between backquotes.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().filter_map(|line| {
        let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(row.split(" | ").collect())
    })
}

fn codes(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// What is wrong with what a row names, if anything is.
fn complaint(row: &[&str]) -> Option<String> {
    let [id, what, shown_by, ..] = row else {
        return Some(format!("{row:?} is too short"));
    };
    if shown_by
        .strip_prefix("none: ")
        .is_some_and(|reason| !reason.is_empty())
    {
        return None;
    }
    let mut named = 0;
    for code in codes(shown_by) {
        named += 1;
        let is_there = if let Some(command) = code.strip_prefix("cargo xtask ") {
            let word = command.split(' ').next().unwrap_or(command);
            crate::USAGE.contains(&format!("\n  {word} "))
        } else if let Some((path, name)) = code.split_once("::") {
            let text = fs::read_to_string(workspace_root().join(path)).unwrap_or_default();
            [format!("fn {name}("), format!("fn {name}<")]
                .iter()
                .any(|head| text.contains(head))
        } else {
            false
        };
        if !is_there {
            return Some(format!("{id} {what}: there is no {code}"));
        }
    }
    (named == 0).then(|| format!("{id} {what}: names no test"))
}

#[test]
fn every_test_that_is_named_exists() {
    let table = table();
    let complaints: Vec<_> = rows(&table)
        .filter(|row| !["No.", "Id"].contains(&row[0]))
        .filter_map(|row| complaint(&row))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_scenario_and_every_defect_has_its_row() {
    let table = table();
    for (index, name) in SCENARIOS.iter().enumerate() {
        let number = (index + 1).to_string();
        let mut rows = rows(&table).filter(|row| row[0] == number);
        let row = rows.next().unwrap_or_else(|| panic!("no row {number}"));
        assert_eq!(row[1], *name, "row {number}");
        assert!(rows.next().is_none(), "two rows {number}");
    }
    assert!(rows(&table).any(|row| row[1] == "`1M-idle`"));
    for (letter, count) in DEFECTS {
        for number in 1..=count {
            let id = format!("{letter}{number}");
            let count = rows(&table).filter(|row| row[0] == id).count();
            assert_eq!(count, 1, "rows {id}");
        }
    }
}

/// The Rust sources below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of functions that are called after a scenario: `s05_backlog_overflow`.
fn scenario_tests(text: &str) -> impl Iterator<Item = &str> {
    text.split("fn s").skip(1).filter_map(|rest| {
        let name = rest.split(['(', '<']).next()?;
        let (number, words) = name.split_once('_')?;
        let is_one = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_one && !words.is_empty()).then_some(name)
    })
}

#[test]
fn every_test_called_after_a_scenario_is_named() {
    let table = table();
    let named: BTreeSet<_> = rows(&table)
        .filter_map(|row| row.get(2).map(|cell| codes(cell).collect::<Vec<_>>()))
        .flatten()
        .filter_map(|code| code.split("::").nth(1))
        .collect();
    let mut files = Vec::new();
    sources(&workspace_root().join("crates"), &mut files);
    assert!(files.len() > 100, "where are the sources?");
    for file in files {
        let text = fs::read_to_string(&file).expect("a source that was just listed");
        for name in scenario_tests(&text) {
            let name = format!("s{name}");
            assert!(
                named.contains(name.as_str()),
                "{name} is missing in docs/scenarios.md"
            );
        }
    }
}
