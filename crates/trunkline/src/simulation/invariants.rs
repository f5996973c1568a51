//! What holds after each turn of a loop, whatever its handler does: nobody is forgotten, nothing grows beyond its limit,
//! nothing leaks.

use super::case::Case;
use crate::connection::{Connection, Facts, Phase};
use crate::core::Stopping;
use crate::network::Socket;
use crate::network::simulated::{Simulated, World};
use crate::{ConnectionId, EventLoop, Handler};

/// A connection that is in line is served in this many turns. Two would do, but for a handler that pauses it each time before
/// it is served and lets it go on afterwards: by chance the wild one does so once in a million lives.
const TURNS_IN_LINE_MAX: u32 = 8;
/// The bytes of a queue or of a frame's beginning may lie beyond their limit by what ends a line.
const LINE_END: usize = 2;
/// Turns in a row that achieve nothing and let no time pass. Faults alone make hundreds, with dozens of connections.
const EMPTY_TURNS_MAX: u32 = 2_000;

/// What is remembered of the turn before.
pub(super) struct Invariants {
    read_budget: u64,
    read_buffer: usize,
    accept_budget: u64,
    frame_max: usize,
    hard: usize,
    connections_max: usize,
    /// By the index of the connection's id.
    last: Vec<Option<Last>>,
    accepted: u64,
    was_draining: bool,
    achieved: [u64; 6],
    empty_turns: u32,
}

/// What a connection looked like at the end of the turn before.
struct Last {
    id: ConnectionId,
    turn: u64,
    bytes_read: u64,
    mark: (u64, usize, usize, Facts),
    in_line: u32,
}

impl Invariants {
    pub(super) fn new(case: &Case) -> Self {
        let settings = &case.settings;
        Self {
            read_budget: settings.read_budget,
            read_buffer: settings.read_buffer as usize,
            accept_budget: settings.accept_budget,
            frame_max: settings.frame_max as usize,
            hard: settings.hard as usize,
            connections_max: case.options().connections_max,
            last: Vec::new(),
            accepted: 0,
            was_draining: false,
            achieved: [0; 6],
            empty_turns: 0,
        }
    }

    /// What is wrong at the end of a turn, if anything is.
    pub(super) fn check<H: Handler>(
        &mut self,
        world: &World,
        server: &EventLoop<H, Simulated>,
    ) -> Option<String> {
        let (core, network) = (server.core(), server.network().number());
        let turn = server.stats().turns;
        let (mut sockets, mut timers) = (0, 0);
        for (key, connection) in core.connections.iter() {
            let id = ConnectionId(key);
            timers += connection
                .timers
                .count_waiting(|timer| core.timers().is_waiting(timer));
            if let Some(wrong) = self.is_beyond_limits(connection) {
                return Some(format!("{id:?}: {wrong}"));
            }
            if connection.socket == Socket::NONE {
                continue;
            }
            sockets += 1;
            let Some(reads) = world.reads(network, connection.socket) else {
                return Some(format!("{id:?} holds a socket that is closed"));
            };
            let index = key.index() as usize;
            if self.last.len() <= index {
                self.last.resize_with(index + 1, || None);
            }
            let before = self.last[index]
                .as_ref()
                .filter(|last| last.id == id && last.turn + 1 == turn);
            let read = reads.bytes - before.map_or(0, |before| before.bytes_read);
            // The line, an event that a fault has doubled, a deadline that asks the socket once more, the last turn of a drain:
            // nobody is served more often in a turn.
            let budget = 5 * (self.read_budget + self.read_buffer as u64);
            if read > budget {
                return Some(format!(
                    "{id:?}: {read} bytes read in one turn, the budget is {}",
                    self.read_budget
                ));
            }
            let (inbound, outbound) = (
                connection.inbound.bytes().len(),
                connection.outbound.bytes(),
            );
            let mark = (reads.calls, inbound, outbound, connection.facts);
            let same = before.filter(|before| before.mark == mark);
            let queued = connection.facts.any(Facts::QUEUED);
            let in_line = if queued {
                same.map_or(0, |same| same.in_line + 1)
            } else {
                0
            };
            if in_line > TURNS_IN_LINE_MAX {
                return Some(format!(
                    "{id:?} waits in line and is not served: {:?}",
                    connection.facts
                ));
            }
            if !queued && is_left_alone(connection) {
                return Some(format!(
                    "{id:?} has more to do, and nobody knows: {:?}",
                    connection.facts
                ));
            }
            self.last[index] = Some(Last {
                id,
                turn,
                bytes_read: reads.bytes,
                mark,
                in_line,
            });
        }
        let (streams, attempts) = (world.open_streams_of(network), server.attempts());
        if streams != sockets + attempts {
            return Some(format!(
                "{sockets} connections and {attempts} attempts hold {streams} open sockets"
            ));
        }
        // The retry of accepting, a listener's pace, the next tick and a drain have timers of their own, and so has the
        // patience with a slow reader.
        if core.timers().len() > timers + 5 + core.connections.len() {
            return Some(format!(
                "{} timers wait, connections have {timers}",
                core.timers().len()
            ));
        }
        self.check_accepting(server)
            .or_else(|| self.check_progress(world, server))
    }

    /// Every wake makes progress, but for what faults do.
    fn check_progress<H: Handler>(
        &mut self,
        world: &World,
        server: &EventLoop<H, Simulated>,
    ) -> Option<String> {
        let stats = server.stats();
        let time = world.elapsed().as_nanos() as u64;
        let achieved = [
            stats.bytes_in,
            stats.bytes_out,
            stats.accepted,
            stats.closed,
            stats.frames_in,
            time,
        ];
        let empty = std::mem::replace(&mut self.achieved, achieved) == achieved;
        self.empty_turns = if empty { self.empty_turns + 1 } else { 0 };
        (self.empty_turns > EMPTY_TURNS_MAX)
            .then(|| format!("{EMPTY_TURNS_MAX} turns in a row achieved nothing"))
    }

    fn is_beyond_limits(&self, connection: &Connection) -> Option<String> {
        let (inbound, outbound) = (
            connection.inbound.bytes().len(),
            connection.outbound.bytes(),
        );
        if outbound > self.hard {
            return Some(format!(
                "{outbound} bytes wait to be sent, the limit is {}",
                self.hard
            ));
        }
        let most = self.frame_max + self.read_buffer + LINE_END;
        if inbound > most {
            return Some(format!(
                "{inbound} bytes wait for the handler, at most {most} may"
            ));
        }
        (connection.facts.phase() == Phase::Aborting && !connection.facts.any(Facts::TOUCHED))
            .then(|| "its reset is forgotten".to_owned())
    }

    fn check_accepting<H: Handler>(&mut self, server: &EventLoop<H, Simulated>) -> Option<String> {
        let (stats, core) = (server.stats(), server.core());
        let accepted = stats.accepted - std::mem::replace(&mut self.accepted, stats.accepted);
        let draining = core.stopping >= Stopping::Draining;
        // A drain begins by accepting everybody who waits.
        let begins = draining && !std::mem::replace(&mut self.was_draining, draining);
        // A fault may report a listener twice.
        if accepted > 2 * self.accept_budget && !begins {
            return Some(format!(
                "{accepted} accepted in one turn, the budget is {}",
                self.accept_budget
            ));
        }
        (stats.open as usize > self.connections_max && stats.connected == 0).then(|| {
            format!(
                "{} connections, {} are allowed",
                stats.open, self.connections_max
            )
        })
    }
}

/// Does it have more to do, with nobody to remind the loop of it?
fn is_left_alone(connection: &Connection) -> bool {
    let facts = connection.facts;
    if facts.any(Facts::TOUCHED) || facts.phase() == Phase::Connecting {
        return false;
    }
    let end_waits = facts.any(Facts::ENDED) && !facts.any(Facts::END_TOLD);
    let frames_wait = facts.any(Facts::UNEXAMINED) || end_waits;
    facts.any(Facts::READABLE) && facts.wants_input() || frames_wait && facts.takes_frames()
}
