//! What `trunkline load` costs beside `wrk`: messages for each second of the generator's own processor time.
//!
//! Both send the same request to the same peer (an engine of ours on one thread, which answers each request with the same
//! bytes) over the same number of connections, each waiting for its answer before it sends again. They take turns; the
//! generator has one processor for itself and the peer the other, where there are two.
#![forbid(unsafe_code)]
#![allow(clippy::cast_precision_loss)] // counts and nanoseconds stay far below 2^52

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::thread::{CpuSet, sched_setaffinity};
use trunkline::{Delimiter, Flow, Handler, Io, Sent, Server};

const USAGE: &str = "usage: load_cost PATH_OF_TRUNKLINE [ROUNDS]   (needs wrk)";
/// What `wrk` sends is up to it but for the path and this.
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0";
const SECONDS: u64 = 2;
const CONNECTIONS: [usize; 3] = [1, 64, 1_000];
const ROUNDS: usize = 7;

/// Answers every request with the same bytes.
struct Same;

impl Handler for Same {
    type Codec = Delimiter;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Delimiter {
        Delimiter::new("\r\n\r\n")
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, _request: &[u8]) -> Flow {
        match io.send(RESPONSE.as_bytes()) {
            Sent::Queued => Flow::Continue,
            _ => Flow::Abort,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (program, rounds) = match arguments.as_slice() {
        [program] => (program, Some(ROUNDS)),
        [program, rounds] => (program, rounds.parse().ok()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match rounds.map(|rounds| compare(program, rounds)) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn compare(program: &str, rounds: usize) -> Result<(), String> {
    let address = serve()?;
    println!("| connections | trunkline load | wrk | ratio |\n|---|---|---|---|");
    for connections in CONNECTIONS {
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            // Whoever came first in one round comes second in the next.
            let (mine, other) = if round % 2 == 0 {
                let mine = load(program, address, connections)?;
                (mine, wrk(address, connections)?)
            } else {
                let other = wrk(address, connections)?;
                (load(program, address, connections)?, other)
            };
            ours.push(mine);
            theirs.push(other);
            ratios.push(mine / other);
        }
        let [ours, theirs] = [ours, theirs].map(|samples| spread(samples, 0));
        println!(
            "| {connections} | {ours} | {theirs} | {} |",
            spread(ratios, 2)
        );
    }
    Ok(())
}

/// The peer, on the second processor where there is one.
fn serve() -> Result<SocketAddr, String> {
    let server = Server::new(Same)
        .listen("127.0.0.1:0")
        .start()
        .map_err(|error| error.to_string())?;
    let address = server.local_addresses()[0];
    std::thread::spawn(move || {
        pin(1);
        server.run().map(drop)
    });
    Ok(address)
}

/// To this processor; where there is none of that number, the system chooses.
fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    let _ = sched_setaffinity(None, &set);
}

/// Messages for each second of processor time.
fn load(program: &str, address: SocketAddr, connections: usize) -> Result<f64, String> {
    let request = format!(r"GET / HTTP/1.1\r\nHost: {address}");
    let seconds = format!("{SECONDS}s");
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0", program, "load"])
        .arg(address.to_string());
    command.args([
        "-c",
        &connections.to_string(),
        "-d",
        &seconds,
        "--json",
        "--noise",
        "off",
    ]);
    command.args(["--frame", r"eom:\r\n\r\n", "-m", &request]);
    let (output, cpu) = cost(command)?;
    let answered = output.lines().find_map(|line| {
        line.trim()
            .strip_prefix("\"answered\": ")?
            .strip_suffix(',')
    });
    per_second(answered.filter(|answered| *answered != "0"), cpu, &output)
}

fn wrk(address: SocketAddr, connections: usize) -> Result<f64, String> {
    let seconds = format!("{SECONDS}s");
    let mut command = Command::new("taskset");
    command.args([
        "-c",
        "0",
        "wrk",
        "-t",
        "1",
        "-c",
        &connections.to_string(),
        "-d",
        &seconds,
    ]);
    command.arg(format!("http://{address}/"));
    let (output, cpu) = cost(command)?;
    let answered = output
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .map(|(count, _)| count);
    per_second(answered, cpu, &output)
}

fn per_second(answered: Option<&str>, cpu: Duration, output: &str) -> Result<f64, String> {
    let answered = answered.and_then(|answered| answered.parse::<f64>().ok());
    answered
        .map(|answered| answered / cpu.as_secs_f64())
        .ok_or_else(|| format!("no count in: {output}"))
}

/// What it prints, and the processor time that it took with its system calls.
fn cost(mut command: Command) -> Result<(String, Duration), String> {
    let before = children()?;
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let cpu = children()?.saturating_sub(before);
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), cpu))
}

fn children() -> Result<Duration, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(microseconds.unsigned_abs()))
}

/// The median with the quartiles.
fn spread(mut samples: Vec<f64>, decimals: usize) -> String {
    samples.sort_by(f64::total_cmp);
    let at = |quarter: usize| samples[(samples.len() - 1) * quarter / 4];
    format!(
        "{:.decimals$} ({:.decimals$}–{:.decimals$})",
        at(2),
        at(1),
        at(3)
    )
}
