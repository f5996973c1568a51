//! Which answer belongs to which message.

use crate::peer::{answering_lines, count, echo, load};

#[test]
fn lost_repeated_corrupt_and_late_answers_are_told_apart() {
    // Of each ten: the fourth gets none, the sixth two, the eighth rubbish, and the ninth its own after the tenth's.
    let address = answering_lines(|number, line| match number % 10 {
        3 | 8 => String::new(),
        5 => format!("{line}\n{line}\n"),
        7 => "rubbish\n".to_owned(),
        9 => {
            let before = line.replace(&format!("{number:010}"), &format!("{:010}", number - 1));
            format!("{line}\n{before}\n")
        }
        _ => format!("{line}\n"),
    });
    let arguments = "-m line-{seq} --frame lines --verify echo -n 100 -r 1k/s --wait 200ms";
    let (report, exit_code) = load(address, arguments);
    assert_eq!(exit_code, 1);
    assert_eq!(count(&report, "sent"), 100);
    assert_eq!(count(&report, "duplicate"), 10, "{report}");
    assert_eq!(count(&report, "corrupt"), 10, "{report}");
    assert_eq!(count(&report, "reordered"), 10, "{report}");
    assert_eq!(count(&report, "lost"), 10, "{report}");
    assert_eq!(
        (count(&report, "answered"), count(&report, "unanswered")),
        (90, 0),
        "{report}"
    );
}

#[test]
fn answers_that_differ_are_known_by_the_number_they_contain() {
    let address = answering_lines(|_, line| format!("Got {line}\n"));
    let numbered = "-m line-{seq} --frame lines -c 3 -n 99 --depth 5";
    let (report, exit_code) = load(address, &format!("{numbered} --verify sequence"));
    assert_eq!((count(&report, "answered"), exit_code), (99, 0), "{report}");
    // They are not the messages; in their order they will do.
    let (report, exit_code) = load(address, &format!("{numbered} --verify echo"));
    assert_eq!((count(&report, "corrupt"), exit_code), (99, 1), "{report}");
    let (report, exit_code) = load(address, &format!("{numbered} --verify order"));
    assert_eq!((count(&report, "answered"), exit_code), (99, 0), "{report}");
}

#[test]
fn an_answer_to_nothing_is_unexpected() {
    let address = answering_lines(|_, line| format!("{line}\nand another thing\n"));
    let (report, exit_code) = load(address, "-m hello --frame lines -n 10 -r 50/s");
    assert_eq!(exit_code, 1);
    assert!(count(&report, "unexpected") > 0, "{report}");
}

#[test]
fn every_framing_carries_the_load() {
    use crate::support::Serving;
    for framing in [
        "none",
        "lines",
        "lines:crlf",
        "eom:||",
        "length:u16",
        "length:varint",
        "fixed:40",
        "netstring",
        "cobs",
    ] {
        let serving = Serving::start(&["echo", ":0", "--frame", framing], 1);
        let arguments = format!(
            "-m {{conn}}/{{seq}} --size 40 --frame {framing} --verify echo -c 5 --depth 3 -n 500"
        );
        let (report, exit_code) = load(serving.address(0), &arguments);
        assert_eq!(
            (count(&report, "answered"), exit_code),
            (500, 0),
            "{framing}: {report}"
        );
    }
}

#[test]
fn an_echo_without_frames_is_compared_byte_by_byte() {
    let (report, exit_code) = load(echo(), "-c 4 -n 400 --depth 10 --size 1000");
    assert_eq!(
        (count(&report, "answered"), exit_code),
        (400, 0),
        "{report}"
    );
    assert_eq!(report["bytes_out"], 400_000);
    assert_eq!(report["bytes_in"], 400_000);
}
