//! Bytes come and go no faster than they may, and who is too slow is told from who is not.

use super::{Known, Model};
use crate::connection::{Connection, Facts, Phase};
use crate::{CauseKind, ConnectionId};

const SECOND: u128 = 1_000_000_000;
/// What may come or go at once beyond the rate, as a part of a second.
const BURST: u128 = 8;

/// One direction of one connection.
#[derive(Default)]
pub(super) struct Flow {
    /// How much of the log of its traffic has been looked at.
    seen: usize,
    bytes_seen: u64,
    /// How far it is ahead of the rate, in bytes a second times nanoseconds, and when that was.
    ahead: u128,
    at: u64,
    /// Since when something has been under way.
    since: Option<u64>,
}

impl Flow {
    pub(super) fn note(&mut self, under_way: bool, now: u64) {
        if under_way {
            self.since.get_or_insert(now);
        } else {
            self.since = None;
        }
    }

    pub(super) fn is_read(&self) -> bool {
        self.since.is_some()
    }

    /// Takes in what is new in the log; says when it was more than `rate` allows. In any time no more may go than the rate
    /// allows in that time and an eighth of a second more, or one byte where that is more.
    fn take(&mut self, log: &[(u64, u64)], rate: Option<u64>, counts: bool) -> Option<String> {
        let mut wrong = None;
        for &(time, total) in &log[self.seen..] {
            let bytes = total - self.bytes_seen;
            self.bytes_seen = total;
            let Some(rate) = rate.filter(|_| counts) else {
                continue;
            };
            let rate = u128::from(rate);
            let gone = u128::from(time - self.at) * rate;
            self.at = time;
            self.ahead = self.ahead.saturating_sub(gone) + u128::from(bytes) * SECOND;
            let most = (rate * SECOND / BURST).max(SECOND);
            if self.ahead > most {
                wrong = Some(format!(
                    "{bytes} bytes at {time}: with those before, {} more than {rate} a second allow",
                    self.ahead / SECOND
                ));
            }
        }
        self.seen = log.len();
        wrong
    }

    /// Is the whole burst there again?
    fn is_rested(&self, rate: Option<u64>, now: u64) -> bool {
        rate.is_some_and(|rate| u128::from(now - self.at) * u128::from(rate) >= self.ahead)
    }
}

/// How many bytes went after `since`.
fn bytes_after(log: &[(u64, u64)], since: u64) -> u64 {
    let index = log.partition_point(|&(time, _)| time <= since);
    let before = index.checked_sub(1).map_or(0, |index| log[index].1);
    log.last().map_or(0, |&(_, bytes)| bytes) - before
}

impl Model {
    pub(super) fn check_rates(
        &mut self,
        id: ConnectionId,
        known: &mut Known,
        connection: &Connection,
    ) {
        let (now, rates) = (self.now(), &self.rules.rates);
        let (rate_in, rate_out) = (rates.in_bytes_per_second, rates.out_bytes_per_second);
        // What a closing connection discards is not read for anybody.
        let open = connection.facts.phase() == Phase::Open;
        let wrong = self.world.traffic(self.network, known.socket, |traffic| {
            let wrong_in = known.input.take(&traffic.reads, rate_in, open);
            wrong_in.or(known.output.take(&traffic.writes, rate_out, true))
        });
        if let Some(wrong) = wrong {
            self.wrong(format!("{id:?}: {wrong}"));
        }
        let slowed = [
            (Facts::SLOWED_IN, &known.input, rate_in),
            (Facts::SLOWED_OUT, &known.output, rate_out),
        ];
        for (fact, flow, rate) in slowed {
            if open && connection.facts.any(fact) && flow.is_rested(rate, now) {
                self.wrong(format!("{id:?} is held back, and need not be"));
            }
        }
        self.check_least(id, known);
    }

    fn least_bytes(&self) -> Option<u64> {
        let rates = &self.rules.rates;
        let least = rates.least_bytes_per_second?;
        Some((u128::from(least) * rates.window.as_millis() / 1000) as u64)
    }

    fn window(&self) -> u64 {
        super::nanoseconds(self.rules.rates.window)
    }

    /// Whoever was too slow for two windows was too slow for a whole one, wherever it began.
    fn check_least(&mut self, id: ConnectionId, known: &Known) {
        let Some(least) = self.least_bytes() else {
            return;
        };
        let (now, length) = (self.now(), 2 * (self.window() + self.rules.precision));
        let (input, output) = (known.input.since, known.output.since);
        for (is_input, since) in [(true, input), (false, output)] {
            let Some(since) = since else {
                continue;
            };
            let lost = self.lost_since(since);
            let Some(from) = now.checked_sub(length + lost) else {
                continue;
            };
            let bytes = self.world.traffic(self.network, known.socket, |traffic| {
                bytes_after(
                    if is_input {
                        &traffic.reads
                    } else {
                        &traffic.writes
                    },
                    from,
                )
            });
            if since < from && bytes < least {
                self.wrong(format!(
                    "{id:?} is slower than it may be: {bytes} bytes since {from}, under way since {since}"
                ));
            }
        }
    }

    /// A connection was ended in this turn because its peer is too slow.
    pub(super) fn judge_rate(&mut self, id: ConnectionId, known: &Known) {
        let (now, window) = (self.now(), self.window());
        let least = self.least_bytes().unwrap_or(0);
        let slow = |log: &[(u64, u64)], since: Option<u64>| {
            since.is_some_and(|since| {
                now - since >= window && bytes_after(log, now - window) < least
            })
        };
        let right = self.world.traffic(self.network, known.socket, |traffic| {
            slow(&traffic.reads, known.input.since) || slow(&traffic.writes, known.output.since)
        });
        if !right {
            let kind = CauseKind::BelowRate;
            self.wrong(format!(
                "{id:?}: {kind:?} at {now}, and it was fast enough; under way since {:?} and {:?}",
                known.input.since, known.output.since
            ));
        }
    }
}
