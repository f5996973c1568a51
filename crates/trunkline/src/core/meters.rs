//! The rates of all connections. Where there are none the table is empty.

use std::time::Instant;

use super::{Core, Due};
use crate::connection::meter::{Meter, Rate};
use crate::connection::watch::{Deadline, Rules, Tick};
use crate::connection::{Facts, Phase};
use crate::io::ConnectionId;
use crate::options::Rates;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

pub(crate) struct Meters {
    any: bool,
    input: Option<Rate>,
    output: Option<Rate>,
    /// The window, and the bytes in it at least.
    least: Option<(Tick, u64)>,
    /// By index of the connection.
    table: Vec<Meter>,
}

impl Meters {
    pub(crate) fn new(rates: &Rates, rules: &Rules) -> Self {
        let least = rates.least_bytes_per_second.map(|per_second| {
            let bytes = u128::from(per_second) * rates.window.as_millis() / 1000;
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            (rules.ticks(rates.window), bytes)
        });
        Self {
            any: rates.any(),
            input: rates.in_bytes_per_second.map(Rate::new),
            output: rates.out_bytes_per_second.map(Rate::new),
            least,
            table: Vec::new(),
        }
    }

    fn rate(&self, way: Way) -> Option<Rate> {
        match way {
            Way::In => self.input,
            Way::Out => self.output,
        }
    }

    /// How many bytes may go now.
    pub(crate) fn allowance(&self, id: ConnectionId, way: Way, now: Instant) -> usize {
        let (Some(rate), Some(meter)) = (self.rate(way), self.table.get(id.0.index() as usize))
        else {
            return usize::MAX;
        };
        let bucket = match way {
            Way::In => &meter.input,
            Way::Out => &meter.output,
        };
        usize::try_from(bucket.allowance(rate, now)).unwrap_or(usize::MAX)
    }

    /// So many bytes went.
    pub(crate) fn count(&mut self, id: ConnectionId, way: Way, now: Instant, bytes: usize) {
        let rate = self.rate(way);
        let Some(meter) = self.table.get_mut(id.0.index() as usize) else {
            return;
        };
        let (bucket, window) = match way {
            Way::In => (&mut meter.input, &mut meter.receiving),
            Way::Out => (&mut meter.output, &mut meter.sending),
        };
        window.count(bytes as u64);
        if let Some(rate) = rate {
            bucket.take(rate, now, bytes as u64);
        }
    }
}

impl<C> Core<C> {
    /// A connection opens, and nothing has gone over it yet.
    pub(crate) fn begin_meter(&mut self, id: ConnectionId) {
        if !self.meters.any {
            return;
        }
        let index = id.0.index() as usize;
        if index >= self.meters.table.len() {
            self.meters.table.resize(index + 1, Meter::new());
        }
        self.meters.table[index] = Meter::new();
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.facts.set(Facts::METERED);
        }
    }

    /// The rate is used up: nothing goes this way until there is enough again.
    pub(crate) fn slow_down(&mut self, id: ConnectionId, way: Way) {
        let now = self.clock.take();
        let index = id.0.index();
        let (Some(rate), Some(meter)) =
            (self.meters.rate(way), self.meters.table.get(index as usize))
        else {
            return;
        };
        let Some(connection) = self.connections.get_mut(id.0) else {
            return;
        };
        let (fact, bucket, due) = match way {
            Way::In => (Facts::SLOWED_IN, meter.input, Due::FasterIn(index)),
            Way::Out => (Facts::SLOWED_OUT, meter.output, Due::FasterOut(index)),
        };
        if connection.facts.any(fact) {
            return;
        }
        connection.facts.set(fact);
        let again = bucket.refilled_at(rate, now);
        self.set_own_timer(id, again, due);
    }

    /// Notes what is under way, when a connection is settled.
    pub(crate) fn note_meter(&mut self, id: ConnectionId) {
        let now = self.deadlines.now();
        let Some(connection) = self.connections.get(id.0) else {
            return;
        };
        if let Some(meter) = self.meters.table.get_mut(id.0.index() as usize) {
            // What a closing connection still sends is discarded, and may come as slowly as the linger deadline lets it.
            let receives = connection.frame_waits() && connection.facts.phase() == Phase::Open;
            meter.receiving.note(receives, now);
            meter.sending.note(connection.output_waits(), now);
        }
    }

    /// The deadline of a connection that comes first, and in how many ticks: none when it has come.
    pub(crate) fn first_deadline(&mut self, id: ConnectionId) -> Option<(Tick, Deadline)> {
        let now = self.deadlines.now();
        let connection = self.connections.get(id.0)?;
        let first = connection.first_deadline(&self.deadlines.rules, now);
        let Some((length, bytes)) = self.meters.least else {
            return first;
        };
        let meter = self.meters.table.get_mut(id.0.index() as usize)?;
        let windows = [&mut meter.receiving, &mut meter.sending];
        windows
            .into_iter()
            .filter_map(|window| window.left(length, bytes, now))
            .map(|left| (left, Deadline::Rate))
            .chain(first)
            .min_by_key(|&(left, _)| left)
    }
}
