//! Names of mechanisms, and how one is chosen: by availability, or by the environment.

#![forbid(unsafe_code)]

use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::Command;

use trunkline_selectors::{ENVIRONMENT_VARIABLE, Interest, Mechanism, Selector, Support, Trigger};

#[test]
fn names_go_there_and_back() {
    let names: Vec<String> = Mechanism::all().iter().map(ToString::to_string).collect();
    for name in ["epoll", "io_uring", "poll", "select"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    for (name, mechanism) in names.iter().zip(Mechanism::all()) {
        assert_eq!(name.parse(), Ok(*mechanism));
        assert_eq!(*name, name.to_lowercase());
    }
}

#[test]
fn a_name_that_is_none_is_answered_with_those_there_are() {
    for name in ["", " ", "epol", "epoll ", "ePoll2", "iocp", "\u{1f600}"] {
        let error = name.parse::<Mechanism>().expect_err("no such name");
        let text = error.to_string();
        for mechanism in Mechanism::all() {
            assert!(text.contains(&mechanism.to_string()), "{text}");
        }
    }
}

#[test]
fn the_nearest_name_is_suggested() {
    for (typed, meant) in [
        ("epol", "epoll"),
        ("eppol", "epoll"),
        ("pol", "poll"),
        ("slect", "select"),
        ("selects", "select"),
        ("kqeue", "kqueue"),
        ("iouring", "io_uring"),
        ("IO-Uring", "io_uring"),
    ] {
        let error = typed.parse::<Mechanism>().expect_err("no such name");
        let text = error.to_string();
        // The list of names comes first: what is suggested is what comes last.
        let suggested = text.rsplit("did you mean").next().expect("some text");
        assert!(
            text.contains("did you mean") && suggested.contains(meant),
            "{typed}: {text}"
        );
    }
    let error = "windows".parse::<Mechanism>().expect_err("no such name");
    assert!(!error.to_string().contains("did you mean"), "{error}");
}

#[test]
fn what_is_available_is_listed_best_first_with_reasons() {
    let available = Mechanism::available();
    let listed: Vec<Mechanism> = available.iter().map(|entry| entry.mechanism).collect();
    assert_eq!(listed, Mechanism::all());
    for entry in &available {
        let made = Selector::<TcpStream>::with_mechanism(entry.mechanism);
        match (&entry.reason, made, entry.mechanism.check()) {
            (None, Ok(selector), Ok(())) => assert_eq!(selector.mechanism(), entry.mechanism),
            (Some(reason), Err(error), Err(again)) => {
                assert_eq!(*reason, again);
                assert_eq!(reason.mechanism(), entry.mechanism);
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                for text in [reason.to_string(), error.to_string()] {
                    assert!(text.contains(&entry.mechanism.to_string()), "{text}");
                }
            }
            (listed, _, checked) => {
                panic!(
                    "{}: listed {listed:?}, checked {checked:?}",
                    entry.mechanism
                )
            }
        }
    }
    assert!(Mechanism::Poll.check().is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn linux_has_all_but_kqueue() {
    for &mechanism in Mechanism::all() {
        if mechanism == Mechanism::IoUring {
            continue; // a kernel or a sandbox may be without
        }
        assert_eq!(
            mechanism.check().is_ok(),
            mechanism != Mechanism::Kqueue,
            "{mechanism}"
        );
    }
}

#[test]
fn capabilities_say_which_triggers_there_are_and_whose_work_they_are() {
    for &mechanism in Mechanism::all() {
        let capabilities = mechanism.capabilities();
        for trigger in Trigger::ALL {
            assert_eq!(
                mechanism.supports(trigger),
                capabilities.supports(trigger),
                "{mechanism} {trigger}"
            );
        }
        assert_ne!(capabilities.level, Support::None, "{mechanism}");
    }
    let triggers = |mechanism: Mechanism| {
        Trigger::ALL.map(|trigger| mechanism.capabilities().support(trigger))
    };
    assert_eq!(triggers(Mechanism::Epoll), [Support::Kernel; 4]);
    let [level_edge_one_shot @ .., exclusive] = triggers(Mechanism::IoUring);
    assert_eq!(level_edge_one_shot, [Support::Kernel; 3]);
    assert_eq!(exclusive, Support::None);
    for mechanism in [Mechanism::Poll, Mechanism::Select] {
        assert_eq!(
            triggers(mechanism),
            [
                Support::Kernel,
                Support::None,
                Support::Emulated,
                Support::None
            ]
        );
    }
}

/// Set in a child process, which then says what it chose.
const CHILD: &str = "TRUNKLINE_TEST_CHILD";

/// Not a test by itself: what the child process runs. Tests share one environment, so one that changes it needs a
/// process of its own.
#[test]
fn child_says_what_it_chose() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    match Selector::<TcpStream>::new() {
        Ok(selector) => {
            assert_eq!(selector.mechanism(), Mechanism::best());
            println!("chose {}.", selector.mechanism());
        }
        Err(error) => println!("failed {:?}: {error}", error.kind()),
    }
}

/// What a process says that has the environment variable set to `value`.
fn chosen_with(value: Option<&str>) -> String {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command
        .args(["--exact", "child_says_what_it_chose", "--nocapture"])
        .env(CHILD, "1")
        .env_remove(ENVIRONMENT_VARIABLE);
    if let Some(value) = value {
        command.env(ENVIRONMENT_VARIABLE, value);
    }
    let output = command.output().expect("the child runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn the_environment_overrides_the_choice() {
    assert_eq!(ENVIRONMENT_VARIABLE, "TRUNKLINE_MECHANISM");
    for &mechanism in Mechanism::all() {
        let name = mechanism.to_string();
        let text = chosen_with(Some(&name));
        if mechanism.check().is_ok() {
            assert!(text.contains(&format!("chose {name}.")), "{text}");
        } else {
            assert!(text.contains("failed Unsupported"), "{text}");
        }
    }
}

#[test]
fn without_the_variable_the_best_is_chosen() {
    let available = Mechanism::available();
    let best = available
        .iter()
        .find(|entry| entry.reason.is_none())
        .expect("one at least")
        .mechanism;
    for value in [None, Some("")] {
        let text = chosen_with(value);
        assert!(text.contains(&format!("chose {best}.")), "{text}");
    }
}

#[test]
fn a_bad_variable_is_an_error_that_explains_itself() {
    let text = chosen_with(Some("epol"));
    for part in [
        "failed InvalidInput",
        "TRUNKLINE_MECHANISM",
        "epol",
        "did you mean \"epoll\"?",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_variable_that_names_what_does_not_work_here_says_so() {
    let text = chosen_with(Some("kqueue"));
    for part in ["failed Unsupported", "TRUNKLINE_MECHANISM", "kqueue"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn an_unavailable_mechanism_is_refused_by_name() {
    let refused = Selector::<TcpStream, Interest>::with_mechanism(Mechanism::Kqueue);
    if Mechanism::Kqueue.check().is_err() {
        let error = refused.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("kqueue"), "{error}");
    }
}

#[test]
fn selectors_go_from_thread_to_thread_and_the_raw_door_is_shared_by_them() {
    fn is_sent<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    is_sent::<Selector<TcpStream, String>>();
    is_shared::<trunkline_selectors::raw::RawSelector>();
    is_sent::<trunkline_selectors::raw::Events>();
}
