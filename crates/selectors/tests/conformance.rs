//! One suite for every mechanism: whatever a selector promises, it promises on all of them.
//!
//! Each case is a function of the mechanism, written once; the list in `conformance/mod.rs` turns it into one test per
//! mechanism, `epoll::w3_eintr_keeps_the_deadline` and so on. A name that starts with a letter and a number is the
//! row of the project's table of known defects that the case would catch.
//!
//! Where a case expects something else from one mechanism than from another, it asks the mechanism's
//! `capabilities()`, never for its name: so the differences are those that users are told of, and no others.

#![forbid(unsafe_code)]

#[macro_use]
#[path = "conformance/mod.rs"]
mod conformance;

/// Instantiates the suite for the mechanisms of a platform.
macro_rules! mechanisms_of {
    ($($platform:meta => $($module:ident $mechanism:ident),+;)+) => {
        $(
            #[cfg($platform)]
            conformance_cases!($($module $mechanism),+);

            #[cfg($platform)]
            const TESTED: &[trunkline_selectors::Mechanism] =
                &[$(trunkline_selectors::Mechanism::$mechanism),+];
        )+
    };
}

mechanisms_of! {
    target_os = "linux" => epoll Epoll, io_uring IoUring, poll Poll, select Select;
    target_os = "android" => epoll Epoll, poll Poll, select Select;
    any(
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly"
    ) => kqueue Kqueue, poll Poll, select Select;
    any(target_os = "illumos", target_os = "solaris") => poll Poll;
    windows => poll Poll, select Select;
}

#[test]
fn no_mechanism_that_works_here_is_left_out() {
    for entry in trunkline_selectors::Mechanism::available() {
        assert!(
            !entry.is_available() || TESTED.contains(&entry.mechanism),
            "{entry:?}"
        );
    }
}
