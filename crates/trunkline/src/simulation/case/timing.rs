//! Times, rates and limits on who is accepted: what half of the cases have beside everything else. All of it comes from a
//! generator of its own, so that the rest of a case is as it would be without.

use std::net::IpAddr;
use std::time::Duration;

use super::{Case, Life, Plan, Settings};
use crate::network::simulated::Random;
use crate::{AcceptRate, Deadlines, Limits, Rates};

impl Case {
    pub(super) fn draw_times_and_limits(&mut self) {
        let random = &mut Random::new(self.seed ^ 0x0071_31e5);
        let settings = &mut self.settings;
        if random.chance(0.3) {
            settings.connect_ms = *random.pick(&[1, 50, 1000, 60_000]);
        }
        if self.life == Life::Client {
            for plan in &mut self.plans {
                if plan.numbers.place % 2 == 1 && random.chance(0.3) {
                    plan.numbers.place = 4;
                } else if random.chance(0.2) {
                    plan.numbers.place = 5;
                } else if settings.connect_ms <= 60_000 && random.chance(0.1) {
                    plan.numbers.place = 6;
                }
            }
            return;
        }
        if self.life == Life::Echo && random.chance(0.25) {
            self.life = Life::Several;
            settings.loops = 1 + random.below(4);
        }
        if self.life == Life::Wild && random.chance(0.3) {
            give_room(settings);
        }
        if self.life != Life::Wild && random.chance(0.15) {
            settings.unix = 1;
        }
        settings.lag_ms = *random.pick(&[0, 0, 0, 1, 100, 3000]);
        settings.drain_ms = *random.pick(&[10_000, 10_000, 100, 1000]);
        if random.chance(0.5) {
            draw_deadlines(settings, random);
        }
        if random.chance(0.15) {
            draw_rates(settings, random);
        }
        if random.chance(0.3) {
            draw_limits(settings, random);
            let hosts = *random.pick(&[1, 2, 4, 12]);
            for plan in &mut self.plans {
                plan.numbers.host = random.below(hosts);
            }
        }
    }

    pub(super) fn deadlines(&self) -> Deadlines {
        let time = |ms: u64| (ms > 0).then(|| Duration::from_millis(ms));
        let settings = &self.settings;
        Deadlines {
            handshake: time(settings.handshake_ms),
            frame: time(settings.frame_ms),
            idle: time(settings.idle_ms),
            write_stall: time(settings.stall_ms),
            lifetime: time(settings.life_ms),
            precision: time(settings.precision_ms),
        }
    }

    pub(super) fn rates(&self) -> Rates {
        let rate = |bytes: u64| (bytes > 0).then_some(bytes);
        let settings = &self.settings;
        Rates {
            in_bytes_per_second: rate(settings.rate_in),
            out_bytes_per_second: rate(settings.rate_out),
            least_bytes_per_second: rate(settings.rate_least),
            window: Duration::from_millis(settings.window_ms),
        }
    }

    pub(super) fn accepting(&self) -> Limits {
        let settings = &self.settings;
        Limits {
            per_peer_max: (settings.per_peer > 0).then_some(settings.per_peer as usize),
            accept_rate: (settings.accept_rate > 0).then(|| AcceptRate {
                count: settings.accept_rate as u32,
                per: Duration::from_secs(1),
                burst: settings.accept_burst as u32,
            }),
            ..Limits::default()
        }
    }

    /// May this peer be turned away for what others of its host have?
    pub(in super::super) fn is_crowded(&self, plan: &Plan) -> bool {
        let of_host = |other: &&Plan| other.numbers.host == plan.numbers.host;
        let count = self.plans.iter().filter(of_host).count() as u64;
        self.settings.per_peer > 0 && count > self.settings.per_peer
    }
}

impl Plan {
    /// Where this peer connects from, if not from the server's own host.
    pub(in super::super) fn host(&self) -> Option<IpAddr> {
        let host = self.numbers.host;
        (host > 0).then(|| IpAddr::from([10, 9, (host >> 8) as u8, host as u8]))
    }
}

/// Where there is room, messages go the usual way.
fn give_room(settings: &mut Settings) {
    *settings = Settings {
        high: 65_536,
        low: 16_384,
        hard: 1_048_576,
        read_buffer: 4096,
        read_budget: 262_144,
        frame_budget: 1024,
        answers: 6,
        ..settings.clone()
    };
}

fn draw_deadlines(settings: &mut Settings, random: &mut Random) {
    let mut maybe = |number: &mut u64, choices: &[u64]| {
        if random.chance(0.4) {
            *number = *random.pick(choices);
        }
    };
    maybe(&mut settings.handshake_ms, &[0, 100, 1000, 10_000]);
    maybe(&mut settings.frame_ms, &[0, 100, 1000, 10_000]);
    maybe(&mut settings.idle_ms, &[100, 1000, 10_000]);
    maybe(&mut settings.stall_ms, &[0, 100, 1000, 10_000]);
    maybe(&mut settings.life_ms, &[1000, 10_000]);
    maybe(&mut settings.precision_ms, &[5, 20, 100, 1000]);
    maybe(&mut settings.linger_ms, &[1, 100, 10_000]);
    maybe(&mut settings.own, &[1]);
}

fn draw_rates(settings: &mut Settings, random: &mut Random) {
    let mut maybe = |number: &mut u64, choices: &[u64]| {
        if random.chance(0.5) {
            *number = *random.pick(choices);
        }
    };
    maybe(&mut settings.rate_in, &[300, 5000, 1_000_000]);
    maybe(&mut settings.rate_out, &[2000, 5000, 1_000_000]);
    maybe(&mut settings.rate_least, &[10, 1000, 100_000]);
    maybe(&mut settings.window_ms, &[500, 5000]);
}

fn draw_limits(settings: &mut Settings, random: &mut Random) {
    if random.chance(0.7) {
        settings.per_peer = *random.pick(&[1, 2, 5]);
    }
    if random.chance(0.5) {
        settings.accept_rate = *random.pick(&[20, 200]);
        settings.accept_burst = *random.pick(&[1, 5]);
    }
}
