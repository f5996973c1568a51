//! Terminals: a pair of them, the user's side (a terminal emulator's) and the program's.

use std::os::fd::OwnedFd;

use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, OutputModes, tcgetattr, tcsetattr};
use trunkline_selectors::Mechanism;

use super::answers::{assert_gets_ready, assert_ready, assert_wakes};

/// A terminal that changes nothing on the way and echoes nothing: (user's side, program's side).
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let user = rustix::pty::openpt(flags).expect("a terminal");
    rustix::pty::unlockpt(&user).expect("unlocked");
    let program = rustix::pty::ioctl_tiocgptpeer(&user, flags).expect("its other side");
    let mut settings = tcgetattr(&program).expect("its settings");
    settings.local_modes.remove(LocalModes::ECHO);
    settings.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&program, OptionalActions::Now, &settings).expect("set");
    (user, program)
}

pub(crate) fn the_users_side_of_a_terminal(mechanism: Mechanism) {
    let (user, program) = terminal();
    assert_ready(mechanism, &user, &["writable"]);
    let happen = || {
        rustix::io::write(&program, b"prompt> ").expect("printed");
    };
    assert_wakes(mechanism, user, happen, |user| {
        assert_eq!(rustix::io::read(user, &mut [0; 16]).expect("a prompt"), 8);
    });
}

pub(crate) fn the_programs_side_of_a_terminal(mechanism: Mechanism) {
    let (user, program) = terminal();
    assert_ready(mechanism, &program, &["writable"]);
    // Half a line is not input yet: terminals hand over whole lines.
    rustix::io::write(&user, b"he").expect("typed");
    assert_ready(mechanism, &program, &["writable"]);
    let happen = || {
        rustix::io::write(&user, b"llo\n").expect("typed");
    };
    assert_wakes(mechanism, program, happen, |program| {
        assert_eq!(rustix::io::read(program, &mut [0; 16]).expect("a line"), 6);
    });
}

pub(crate) fn a_terminal_whose_program_left(mechanism: Mechanism) {
    let (user, program) = terminal();
    drop(program);
    let hung_up = ["readable", "writable", "read closed", "write closed"];
    assert_gets_ready(mechanism, &user, &hung_up);
}

pub(crate) fn a_terminal_whose_user_left(mechanism: Mechanism) {
    let (user, program) = terminal();
    drop(user);
    let error = [
        "readable",
        "writable",
        "read closed",
        "write closed",
        "error",
    ];
    assert_gets_ready(mechanism, &program, &error);
}
