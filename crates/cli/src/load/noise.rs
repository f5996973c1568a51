//! This side's own noise, measured before the load: how late we wake up, and what an echo costs with nobody else in it.
//!
//! It is a run like any other, at a low rate over one connection, against an echo of our own on loopback. Whatever a
//! server is measured to take, so much of it may be this machine and this program.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use trunkline::{Chunks, Flow, Handler, Io, Server};

use super::latency::Latency;
use super::live::Live;
use super::pace::Pace;
use super::plan::Plan;
use super::run;
use super::template::Template;
use super::verify::Verify;
use super::wire::Wire;
use crate::failure::Failure;
use crate::units::Rate;

/// Often enough for some hundred samples, seldom enough to find everything at rest.
const RATE: Rate = Rate {
    count: 2_000,
    per: Duration::from_secs(1),
};

/// What we would measure if a server took no time at all.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    /// The echo, from when it was due.
    pub(crate) response: Latency,
    /// How late we were.
    pub(crate) send_delay: Latency,
}

struct Echo;

impl Handler for Echo {
    type Codec = Chunks;
    type State = ();
    type Message = Infallible;

    fn codec(&self) -> Chunks {
        Chunks
    }

    fn open(&mut self, _io: &mut Io<'_, Self>) -> Option<()> {
        Some(())
    }

    fn frame(&mut self, (): &mut (), io: &mut Io<'_, Self>, bytes: &[u8]) -> Flow {
        // One small message at a time: there is always room.
        let _ = io.send(bytes);
        Flow::Continue
    }
}

/// Measures for so long.
pub(crate) fn measure(duration: Duration, plan: &Plan) -> Result<Noise, Failure> {
    let server = Server::new(Echo)
        .listen("127.0.0.1:0")
        .mechanism(plan.mechanism)
        .start()?;
    let address = server.local_addresses()[0];
    let remote = server.remote();
    let serving = thread::spawn(move || server.run());
    let mut template = Template::typed(None, None)?;
    let wire = Wire::named("none", None, 1024, &template)?;
    let quiet = Plan {
        target: address.to_string(),
        addresses: vec![address],
        sources: Vec::new(),
        connections: 1,
        connect_rate: None,
        threads: 1,
        pace: Pace::Open(RATE),
        duration: Some(duration),
        count: None,
        // The first messages find caches cold and processors asleep.
        warm_up: duration / 10,
        wait: Duration::from_secs(1),
        message_bytes: wire.message_bytes(&mut template)?,
        template,
        wire,
        verify: Verify::Echo,
        mechanism: plan.mechanism,
    };
    let outcome = run::run(
        &quiet,
        &Arc::new(AtomicBool::new(false)),
        &mut Live::hidden(),
    );
    remote.kill();
    let _ = serving.join();
    let outcome = outcome?;
    Ok(Noise {
        response: outcome.record.response,
        send_delay: outcome.record.send_delay,
    })
}
