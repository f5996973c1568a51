//! `trunkline compare`: what it prints and writes, and what it refuses. The figures themselves are the machine's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{
    PATIENCE, assert_fails, run, run_on_a_terminal, trunkline, working_mechanisms,
};

/// A folder for one test, removed when it is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = path.join(format!("compare-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MODELS: [&str; 8] = [
    "select",
    "poll",
    "epoll",
    "io_uring",
    "polling",
    "timeouts",
    "threads",
    "processes",
];

/// The models that can be measured here.
fn models() -> Vec<&'static str> {
    let working = working_mechanisms();
    let mut models = MODELS.to_vec();
    models.retain(|model| {
        let is_mechanism = ["select", "poll", "epoll", "io_uring"].contains(model);
        !is_mechanism || working.contains(model)
    });
    models
}

#[test]
fn a_table_is_printed_and_a_page_is_written() {
    let folder = Folder::new("table");
    let page = folder.file("page.html");
    let output = run(
        &[
            "compare",
            "--rounds",
            "2",
            "--sources-max",
            "40",
            "--connections-max",
            "4",
            "--html",
            &page,
        ],
        b"",
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    // No progress where there is no terminal.
    assert_eq!(stderr, format!("the page with the figures: {page}\n"));
    let text = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "MECHANISMS, 2 rounds",
        "One of n sources is active: time per event",
        "MODELS, 2 rounds",
        "Memory per connection",
        "  threads",
        "WHAT IS SAID, AND WHAT CAME OF IT",
        "poll costs in proportion to the sources: ",
        " × ",
    ] {
        assert!(text.contains(expected), "{expected}? {text}");
    }
    let html = fs::read_to_string(page).unwrap();
    // Four figures of the mechanisms and eight of the models, each for a wide and for a narrow screen.
    assert_eq!(html.matches("<svg ").count(), 2 * (4 + 8));
    for outside in ["http://", "https://", "src=", "href=", "url(", "<script"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn the_data_have_every_sample() {
    const ROUNDS: usize = 2;
    let folder = Folder::new("data");
    let page = folder.file("page.html");
    let rounds = ROUNDS.to_string();
    let arguments = [
        "compare",
        "--json",
        "--rounds",
        &rounds,
        "--sources-max",
        "20",
        "--connections-max",
        "10",
        "--html",
        &page,
    ];
    let output = run(&arguments, b"");
    assert!(output.status.success(), "{output:?}");
    let data: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = &data["findings"];
    for key in ["date", "processor", "system", "trunkline"] {
        assert!(findings["machine"][key].is_string(), "{key}");
    }
    let mechanisms = &findings["mechanisms"];
    for (name, last) in [
        ("one_active", 20),
        ("all_active", 20),
        ("some_active", 20),
        ("high_descriptors", 100),
    ] {
        let over = mechanisms[name]["over"].as_array().unwrap();
        assert_eq!(over.last().unwrap(), last, "{name}");
        let curves = mechanisms[name]["curves"].as_array().unwrap();
        assert_eq!(curves.len(), working_mechanisms().len());
        for curve in curves {
            let places = curve["nanoseconds_per_event"].as_array().unwrap();
            assert_eq!(places.len(), over.len());
            for samples in places {
                let samples = samples.as_array().unwrap();
                assert_eq!(samples.len(), ROUNDS);
                assert!(samples.iter().all(|sample| sample.as_f64().unwrap() > 0.0));
            }
        }
    }
    assert_eq!(
        findings["models"]["connections"],
        serde_json::json!([1, 10])
    );
    let servers = findings["models"]["servers"].as_array().unwrap();
    let names: Vec<_> = servers
        .iter()
        .map(|server| server["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, models());
    for server in servers {
        for (point, connections) in server["at"].as_array().unwrap().iter().zip([1, 10]) {
            assert_eq!(point["reason"], Value::Null, "{server}");
            let rounds = point["rounds"].as_array().unwrap();
            assert_eq!(rounds.len(), ROUNDS);
            for round in rounds {
                assert_model(server["name"].as_str().unwrap(), connections, round);
            }
        }
    }
    assert!(data["claims"].as_array().unwrap().len() > 15);
}

/// What does not depend on the machine.
fn assert_model(name: &str, connections: u64, round: &Value) {
    let count = |key: &str| round[key].as_u64().unwrap();
    let (threads, processes) = (count("threads"), count("processes"));
    match name {
        "threads" => assert!(threads > connections && processes == 1, "{round}"),
        "processes" => assert!(processes == 1 + connections, "{round}"),
        // Those that they have anyway.
        _ => assert!(threads < 10 && processes == 1, "{name}: {round}"),
    }
    for load in ["all_active", "one_active"] {
        let talked = &round[load];
        let number = |key: &str| talked[key].as_f64().unwrap();
        assert!(number("messages_per_second") > 0.0, "{name}");
        assert!(
            number("latency_p99_ns") >= number("latency_median_ns"),
            "{name}"
        );
    }
    if name == "processes" {
        // Whatever else a process is, it is more than sixteen pages.
        let memory = round["memory_bytes_per_connection"].as_f64();
        assert!(memory.unwrap() > 65_536.0, "{round}");
    }
}

/// As little as can be measured.
fn small<'a>(page: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["compare", "mechanisms", "--rounds", "1"];
    arguments.extend(["--sources-max", "2", "--html", page]);
    arguments.extend(more);
    arguments
}

#[test]
fn another_file_is_not_overwritten_unless_asked_but_an_older_page_is() {
    let folder = Folder::new("overwrite");
    let page = folder.file("page.html");
    fs::write(&page, "my thesis").unwrap();
    assert_fails(
        &run(&small(&page, &[]), b""),
        2,
        "is there already, and is no page of trunkline compare",
        "--force",
    );
    assert_eq!(fs::read_to_string(&page).unwrap(), "my thesis");
    assert!(run(&small(&page, &["--force"]), b"").status.success());
    let first = fs::read_to_string(&page).unwrap();
    assert!(run(&small(&page, &[]), b"").status.success());
    let second = fs::read_to_string(&page).unwrap();
    assert!(first.contains("<svg ") && second.contains("<svg ") && first != second);
    // Nothing is left beside it.
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_measured_is_refused_at_once() {
    let folder = Folder::new("refused");
    let nowhere = folder.file("no/such/folder/page.html");
    assert_fails(
        &run(&small(&nowhere, &[]), b""),
        1,
        "cannot write the page",
        "choose another place with --html",
    );
    for (arguments, what, hint) in [
        (
            &["compare", "--sources-max", "900m"][..],
            "--sources-max 900\u{202f}000\u{202f}000: there is room for ",
            "`ulimit -Hn`",
        ),
        (
            &["compare", "--connections-max", "900m"],
            "--connections-max 900\u{202f}000\u{202f}000: there is room for ",
            "`ulimit -Hn`",
        ),
        (
            &["compare", "--connections-max", "0"],
            "expected a number from 1",
            "trunkline --help",
        ),
        (
            &["compare", "--rounds", "many"],
            "expected a number from 1",
            "trunkline --help",
        ),
        (
            &["compare", "--time", "5 parsecs"],
            "invalid value '5 parsecs' for '--time <TIME>'",
            "trunkline --help",
        ),
        (
            &["compare", "--rounds", "1", "--time", "5s"],
            "cannot be used with",
            "trunkline compare --help",
        ),
        (
            &["compare", "modles"],
            "invalid value 'modles'",
            "a similar value exists: 'models'",
        ),
    ] {
        assert_fails(&run(arguments, b""), 2, what, hint);
    }
}

#[test]
fn servers_end_with_the_comparison_however_it_ends() {
    let folder = Folder::new("killed");
    let page = folder.file("page.html");
    let mut comparison = trunkline(&["compare", "models", "--html", &page]);
    let mut comparison = comparison.stdout(process::Stdio::null()).spawn().unwrap();
    let id = comparison.id();
    let deadline = Instant::now() + PATIENCE;
    let server = loop {
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        if let Some(child) = children.split_whitespace().next() {
            break child.to_owned();
        }
        assert!(Instant::now() < deadline, "no server is started");
    };
    kill_process(Pid::from_child(&comparison), Signal::KILL).unwrap();
    comparison.wait().unwrap();
    // Gone, or another's number: in either case no server of ours.
    let is_ours = || {
        let command = fs::read(format!("/proc/{server}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains("--die-with-parent")
    };
    while is_ours() {
        assert!(
            Instant::now() < deadline,
            "the server outlives the comparison"
        );
        std::thread::yield_now();
    }
}

/// The comparison may have been killed before its server could ask to be told of that.
#[test]
fn a_server_whose_comparison_has_ended_already_does_not_begin() {
    for model in ["engine", "polling"] {
        let orphan = ["serve", "echo", ":0", "--model", model, "--die-with-parent"];
        let output = run(&[&orphan[..], &["2147483647"]].concat(), b"");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("has ended"), "{stderr}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn progress_is_shown_on_a_terminal() {
    let folder = Folder::new("progress");
    let page = folder.file("page.html");
    let (shown, exit_code) = run_on_a_terminal(&small(&page, &[]));
    assert_eq!(exit_code, 0, "{shown}");
    assert!(
        shown.contains("  mechanisms, round 1 of 1: poll"),
        "{shown}"
    );
    // The line is gone before the result begins, with its date.
    assert!(shown.contains("\r\u{1b}[K20"), "{shown:?}");
}
