//! Text, JSON and the page; targets and exit codes.

use crate::peer::{count, echo, load, load_text};
use crate::support::{run, run_on_a_terminal};

#[test]
fn targets_decide_the_exit_code() {
    let address = echo();
    let (report, exit_code) = load(address, "-n 50 --slo p99=1h,max=1h,mean=1h,errors=0%");
    assert_eq!(exit_code, 0, "{report}");
    assert_eq!(report["targets"].as_array().unwrap().len(), 4);
    let (report, exit_code) = load(address, "-n 50 --slo p99=1h,max=1ns");
    assert_eq!(exit_code, 3);
    assert_eq!(
        (&report["targets"][0]["met"], &report["targets"][1]["met"]),
        (&true.into(), &false.into())
    );
    let output = load_text(address, "-n 50 --slo max=1ns");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("max=1ns") && text.contains("MISSED: "),
        "{text}"
    );
}

#[test]
fn the_noise_floor_is_measured_first_and_told() {
    let address = echo().to_string();
    let output = run(
        &["load", &address, "-n", "50", "--json", "--noise", "100ms"],
        b"",
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for distribution in ["noise_echo", "noise_wake_up"] {
        // 2 000 a second.
        assert_eq!(report["latency"][distribution]["samples"], 200, "{report}");
        assert!(report["latency"][distribution]["p50"].as_u64().unwrap() > 0);
    }
    let output = run(&["load", &address, "-n", "50", "--noise", "50ms"], b"");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("noise, echo") && text.contains("noise, wake-up"),
        "{text}"
    );
}

#[test]
fn what_happened_over_time_adds_up() {
    let (report, _) = load(echo(), "-r 1k/s -d 600ms");
    let slots = report["over_time"]["slots"].as_array().unwrap();
    let sum = |name: &str| {
        slots
            .iter()
            .map(|slot| slot[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((sum("sent"), sum("answered")), (600, 600), "{report}");
    assert!(slots.len() > 30 && slots.len() < 260, "{}", slots.len());
    assert_eq!(count(&report, "answered"), 600);
}

#[test]
fn the_page_stands_alone_and_has_its_pictures() {
    let path = std::env::temp_dir().join(format!("trunkline-load-{}.html", std::process::id()));
    let address = echo().to_string();
    let nasty = "<script>alert(1)</script>{seq}";
    let page = path.to_str().unwrap();
    let arguments = [
        "load", &address, "-r", "500/s", "-d", "300ms", "--html", page, "-m", nasty, "--noise",
        "50ms", "--slo", "max=1ns",
    ];
    let output = run(&arguments, b"");
    assert_eq!(output.status.code(), Some(3));
    let html = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    // Three figures, each for a wide screen and for a narrow one.
    assert_eq!(html.matches("<svg").count(), 6);
    for expected in [
        "Time by percentile",
        "Response time over time",
        "Messages over time",
        "noise floor, echo",
        "Missed: max=1ns",
    ] {
        assert!(html.contains(expected), "{expected}");
    }
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
    for outside in ["http://", "https://", " src=", "url(", "NaN"] {
        assert!(!html.contains(outside), "{outside}");
    }
}

#[test]
fn on_a_terminal_a_line_tells_how_far_it_is() {
    let address = echo().to_string();
    let arguments = ["load", &address, "-r", "1k/s", "-d", "1s", "--noise", "off"];
    let (shown, exit_code) = run_on_a_terminal(&arguments);
    assert_eq!(exit_code, 0, "{shown}");
    let lines: Vec<_> = shown.split("\r\x1b[K").collect();
    let (report, told) = lines.split_last().unwrap();
    let all_is_told = |line: &&&str| {
        let parts = [
            " s · ",
            " answers · ",
            " sent · ",
            " under way · ",
            "0 lost",
        ];
        parts.iter().all(|part| line.contains(part))
    };
    assert!(told.iter().filter(all_is_told).count() > 0, "{shown:?}");
    assert!(told.iter().all(|line| !line.contains('\n')), "{shown:?}");
    // The line is gone before the report begins.
    assert!(report.starts_with(&address), "{shown:?}");
    // To a file it says nothing.
    let output = run(&arguments, b"");
    assert!(output.stderr.is_empty(), "{output:?}");
}
