//! More clients than descriptors: whoever has no place waits, and gets one.

use std::process::Command;
use std::time::Duration;

use crate::support::{Serving, trunkline, working_mechanisms};

const DESCRIPTORS: &str = "64";
const CLIENTS: usize = 100;
/// The kernel counts a process's time in hundredths of a second.
const IDLE_TICKS_MAX: u64 = 10;

#[test]
fn a1_out_of_descriptors_waits_without_spinning_and_serves_everybody_in_the_end() {
    for mechanism in working_mechanisms() {
        let serving = Serving::start_command(limited(&["echo", ":0", "--mechanism", mechanism]), 1);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| serving.client(0)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("{number}\n"));
        }
        // The first has a place; the last finds none, and meanwhile nobody works on it.
        assert_eq!(clients[0].line(), "0");
        let before = serving.cpu_ticks();
        assert!(
            clients[CLIENTS - 1].hears_nothing_for(Duration::from_millis(500)),
            "{mechanism}"
        );
        let spent = serving.cpu_ticks() - before;
        assert!(
            spent <= IDLE_TICKS_MAX,
            "{mechanism}: {spent} ticks in half a second"
        );
        // Each that leaves makes room for one that waits.
        drop(clients.remove(0));
        for (number, mut client) in clients.into_iter().enumerate() {
            assert_eq!(client.line(), (number + 1).to_string(), "{mechanism}");
        }
    }
}

/// `trunkline serve` with few descriptors, soft and hard.
fn limited(arguments: &[&str]) -> Command {
    let program = trunkline(&[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n \"$0\" && exec \"$@\"", DESCRIPTORS])
        .arg(program.get_program())
        .arg("serve")
        .args(arguments)
        .env_remove("TRUNKLINE_MECHANISM");
    command
}
