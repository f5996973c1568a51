//! Errors that the system seldom gives, given by `strace` in its place: the whole server is under it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{PATIENCE, Serving, assert_fails, run_command, trunkline, working_mechanisms};

/// The kernel counts a process's time in hundredths of a second. A server that spins uses all of them.
const IDLE_TICKS_MAX: u64 = 25;

/// Whether there is an instrument. In CI there has to be.
fn strace_runs() -> bool {
    let Err(error) = Command::new("strace").arg("-V").output() else {
        return true;
    };
    eprintln!("skipped: strace does not run: {error}");
    assert!(std::env::var_os("CI").is_none(), "{error}");
    false
}

/// `trunkline serve` with these arguments, whose system calls fail as the injection says. What was done is written to
/// `trace`.
fn injected(injection: &str, trace: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("strace");
    // Only the calls that are tampered with stop the server.
    command
        .args(["-f", "-qq", "--seccomp-bpf", "-o"])
        .arg(trace);
    let (calls, _) = injection.split_once(':').expect("calls: what they say");
    command
        .args(["-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={injection}")])
        .arg(trunkline(&[]).get_program())
        .arg("serve")
        .args(arguments)
        .env_remove("TRUNKLINE_MECHANISM");
    command
}

/// A file that goes when this does.
struct Trace(PathBuf);

impl Trace {
    fn new(name: &str) -> Self {
        let name = format!("trunkline-injected-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// How many calls failed because they were told to.
    fn injected(&self) -> usize {
        let text = std::fs::read_to_string(&self.0).expect("strace wrote its trace");
        text.matches("(INJECTED)").count()
    }

    /// How many signals went unheard for that: whoever else sends anything sends whole lines.
    fn lost_signals(&self) -> usize {
        let text = std::fs::read_to_string(&self.0).expect("strace wrote its trace");
        let said_by_a_handler =
            |line: &&str| line.contains("sendto(") && line.contains(r#""X", 1"#);
        let lost = text.lines().filter(said_by_a_handler);
        lost.filter(|line| line.contains("(INJECTED)")).count()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs `act` with an echo server on each mechanism under this injection, which must have come to pass at least
/// `count_min` times.
fn on_each_mechanism(injection: &str, count_min: usize, act: impl Fn(&str, &Serving)) {
    if !strace_runs() {
        return;
    }
    for mechanism in working_mechanisms() {
        let name = injection.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let trace = Trace::new(&format!("{name:.100}-{mechanism}"));
        let arguments = ["echo", ":0", "--mechanism", mechanism];
        let serving = Serving::start_command(injected(injection, &trace.0, &arguments), 1);
        act(mechanism, &serving);
        interrupt(&serving, &trace);
        let (status, lines) = serving.wait();
        assert!(status.success(), "{mechanism}: {lines:?}");
        let panicked = lines.iter().any(|line| line.contains("panicked"));
        assert!(!panicked, "{mechanism}: {lines:?}");
        let count = trace.injected();
        assert!(count >= count_min, "{mechanism}: {count} calls failed");
    }
}

/// Has the server stop. The handler of a signal tells the rest of the program by a byte, which it sends without a look at the
/// outcome, for without injections it cannot fail: where that was tampered with, nobody has heard of the signal.
fn interrupt(serving: &Serving, trace: &Trace) {
    let mut sent = 0;
    for _ in 0..PATIENCE.as_secs() {
        if trace.lost_signals() == sent {
            serving.signal_under_instrument(Signal::INT);
            sent += 1;
        }
        if serving.next_line(Duration::from_secs(1)).is_some() {
            return;
        }
    }
    panic!("it does not stop");
}

/// Ten clients talk and leave.
fn ten_are_served(mechanism: &str, serving: &Serving) {
    let mut clients: Vec<_> = (0..10).map(|_| serving.client(0)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("{number}\n"));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.line(), number.to_string(), "{mechanism}");
    }
}

/// Three times there is no descriptor, in the process, or in the system: the server waits, does not spin, and takes up
/// accepting by itself, with nobody leaving.
fn exhausted_and_back(error: &str) {
    let injection = format!("accept4:error={error}:when=1..3");
    on_each_mechanism(&injection, 3, |mechanism, serving| {
        let before = serving.cpu_ticks();
        ten_are_served(mechanism, serving);
        let spent = serving.cpu_ticks() - before;
        assert!(spent <= IDLE_TICKS_MAX, "{mechanism}: {spent} ticks");
    });
}

#[test]
fn s01_emfile_accept() {
    exhausted_and_back("EMFILE");
}

#[test]
fn s02_enfile_enobufs_accept() {
    exhausted_and_back("ENFILE");
    exhausted_and_back("ENOBUFS");
}

/// Each other client is gone when it is accepted: the error costs that one its turn and no one else anything.
#[test]
fn s03_econnaborted_accept() {
    on_each_mechanism("accept4:error=ECONNABORTED:when=1+2", 5, ten_are_served);
}

/// The listener was said to be ready, and each other time nobody is there.
#[test]
fn s38_spurious_readiness() {
    on_each_mechanism("accept4:error=EAGAIN:when=1+2", 5, ten_are_served);
}

/// Every second call is interrupted by a signal, the wait included.
#[test]
fn s41_eintr_storm() {
    let waits = "epoll_wait,epoll_pwait,epoll_pwait2,io_uring_enter,poll,ppoll,select,pselect6";
    let everything = format!("{waits},accept4,read,recvfrom,sendto,sendmsg:error=EINTR:when=4+2");
    on_each_mechanism(&everything, 100, |mechanism, serving| {
        ten_are_served(mechanism, serving);
        let mut client = serving.client(0);
        for number in 0..100 {
            client.send(format!("{number}\n"));
            assert_eq!(client.line(), number.to_string(), "{mechanism}");
        }
        assert!(client.hears_nothing_for(Duration::from_millis(20)));
    });
}

/// The read that takes a wake is interrupted: left where it is, the wake would end every wait from then on.
#[test]
fn s41_an_interrupted_wake_is_taken_all_the_same() {
    if !strace_runs() {
        return;
    }
    for mechanism in working_mechanisms() {
        // Every second read of a thread fails: after so many messages or after one more, the one that takes the wake.
        for messages in [4, 5] {
            let trace = Trace::new(&format!("wake-{mechanism}-{messages}"));
            let arguments = ["echo", ":0", "--mechanism", mechanism, "--drain-lag", "1s"];
            let storm = injected("read:error=EINTR:when=4+2", &trace.0, &arguments);
            let serving = Serving::start_command(storm, 1);
            let mut client = serving.client(0);
            for number in 0..messages {
                client.send(format!("{number}\n"));
                assert_eq!(client.line(), number.to_string(), "{mechanism}");
            }
            let before = serving.cpu_ticks();
            interrupt(&serving, &trace);
            // For as long as the lag: then it closes our connection, and waits for us to close it too.
            assert!(client.rest().is_empty());
            let spent = serving.cpu_ticks() - before;
            assert!(spent <= IDLE_TICKS_MAX, "{mechanism}: {spent} ticks");
            drop(client);
            assert!(serving.wait().0.success());
        }
    }
}

/// Where the system knows no `io_uring`, the best of the others is taken, and the line that says where the server listens
/// names it; who insists is told why not.
#[test]
fn s48_io_uring_unavailable() {
    if !strace_runs() {
        return;
    }
    let none = "io_uring_setup:error=ENOSYS";
    let trace = Trace::new("io-uring-unavailable");
    let serving = Serving::start_command(injected(none, &trace.0, &["echo", ":0"]), 1);
    assert!(
        serving.first_line().ends_with("(epoll)"),
        "{}",
        serving.first_line()
    );
    ten_are_served("epoll", &serving);
    serving.signal_under_instrument(Signal::INT);
    assert!(serving.wait().0.success());

    let insisting = ["echo", ":0", "--mechanism", "io_uring"];
    let output = run_command(injected(none, &trace.0, &insisting), b"");
    assert_fails(
        &output,
        2,
        "cannot use mechanism \"io_uring\": ",
        "these work here: epoll, poll, select",
    );
    assert!(trace.injected() > 0);
}
