//! One model under one load: what its server needs for so many clients, silent and talking.

#![allow(
    clippy::cast_precision_loss,
    reason = "counts, bytes and nanoseconds stay far below 2^52"
)]

use std::time::{Duration, Instant};

use serde::Serialize;

use super::client::Clients;
use super::processors::Processors;
use super::server::Server;
use super::turns::cpu_time;

/// How long clients talk while they are measured.
const TALK: Duration = Duration::from_millis(100);
/// And before that.
const WARM_UP: Duration = Duration::from_millis(20);
/// However long they take: one answer alone says nothing of the next.
const ANSWERS_MIN: usize = 2;
/// How long all are silent.
const SILENCE: Duration = Duration::from_millis(40);

/// What was measured of one model with c connections, in one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Served {
    /// The server's processor time for accepting one connection and answering its first message.
    pub(crate) connect_cpu_ns: f64,
    pub(crate) memory_bytes_per_connection: f64,
    /// All of the server's, with all connections open.
    pub(crate) threads: usize,
    pub(crate) processes: usize,
    /// Of one processor, while nobody says anything.
    pub(crate) silent_cpu_percent: f64,
    /// Every connection has a message under way.
    pub(crate) all_active: Talked,
    /// Only one has; the others are open and silent. With one connection it is the same.
    pub(crate) one_active: Talked,
}

/// What was measured while clients talked.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Talked {
    pub(crate) messages_per_second: f64,
    /// The server's, children included.
    pub(crate) cpu_ns_per_message: f64,
    pub(crate) latency_median_ns: f64,
    pub(crate) latency_p99_ns: f64,
    /// How much of its processor the client used. Near 100 it was the client who could do no more.
    pub(crate) client_cpu_percent: f64,
}

/// Starts the model, measures it and stops it; not beyond `give_up`.
pub(crate) fn measure(
    model: &str,
    connections: usize,
    processors: &Processors,
    give_up: Option<Instant>,
) -> Result<Served, String> {
    let server = Server::start(model, processors)?;
    // One who has come and gone: what the server needs once is there.
    let mut first = Clients::new(server.address(), give_up)?;
    first.connect(1)?;
    let with_first = server.footprint()?;
    first.leave()?;
    if ["threads", "processes"].contains(&model) {
        server.settle(with_first)?;
    }

    let before = server.footprint()?;
    let cpu_before = server.clocks()?.now();
    let mut clients = Clients::new(server.address(), give_up)?;
    clients.connect(connections)?;
    let clocks = server.clocks()?;
    let connect_cpu = clocks.now().saturating_sub(cpu_before);
    let after = server.footprint()?;

    let cpu_before = clocks.now();
    let start = Instant::now();
    std::thread::sleep(SILENCE);
    let silent_cpu = percent(clocks.now().saturating_sub(cpu_before), start.elapsed());

    let all_active = talk(&server, &mut clients, connections)?;
    let one_active = if connections == 1 {
        all_active
    } else {
        talk(&server, &mut clients, 1)?
    };
    clients.leave()?;
    server.stop();
    Ok(Served {
        connect_cpu_ns: above_zero(connect_cpu.as_nanos() as f64 / connections as f64),
        memory_bytes_per_connection: after.memory_bytes.saturating_sub(before.memory_bytes) as f64
            / connections as f64,
        threads: after.threads,
        processes: after.processes,
        silent_cpu_percent: silent_cpu,
        all_active,
        one_active,
    })
}

fn talk(server: &Server, clients: &mut Clients, active: usize) -> Result<Talked, String> {
    let clocks = server.clocks()?;
    clients.begin(active);
    clients.talk_for(WARM_UP, 1)?;
    let server_before = clocks.now();
    let client_before = cpu_time();
    let start = Instant::now();
    let mut latencies = clients.talk_for(TALK, ANSWERS_MIN)?.to_vec();
    let elapsed = start.elapsed();
    let client_cpu = cpu_time().saturating_sub(client_before);
    let server_cpu = clocks.now().saturating_sub(server_before);
    clients.rest()?;
    latencies.sort_unstable();
    let answers = latencies.len();
    let quantile = |percent: usize| latencies[(answers * percent).div_ceil(100).max(1) - 1] as f64;
    Ok(Talked {
        messages_per_second: answers as f64 / elapsed.as_secs_f64(),
        cpu_ns_per_message: above_zero(server_cpu.as_nanos() as f64 / answers as f64),
        latency_median_ns: quantile(50),
        latency_p99_ns: quantile(99),
        client_cpu_percent: percent(client_cpu, elapsed),
    })
}

/// The kernel brings the clock of another process that never rests up to date only every few milliseconds. What such a
/// process has done meanwhile is not nothing, but unknown.
fn above_zero(nanoseconds: f64) -> f64 {
    if nanoseconds > 0.0 {
        nanoseconds
    } else {
        f64::NAN
    }
}

fn percent(part: Duration, whole: Duration) -> f64 {
    100.0 * part.as_secs_f64() / whole.as_secs_f64()
}
