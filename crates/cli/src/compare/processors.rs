//! Which processor does what: server and client on different ones, where there are two.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where whoever measures runs, and where what is measured does.
#[derive(Debug, Clone)]
pub(crate) struct Processors {
    /// All that this process may use.
    all: Option<CpuSet>,
    /// The numbers of the measured one and the measuring one.
    apart: Option<(usize, usize)>,
}

impl Processors {
    /// The first and the last processor that we may use: neighbours often share a core.
    pub(crate) fn choose() -> Self {
        let all = sched_getaffinity(None).ok();
        let usable = |all: &CpuSet| -> Vec<usize> {
            (0..CpuSet::MAX_CPU)
                .filter(|&number| all.is_set(number))
                .collect()
        };
        let apart = all
            .as_ref()
            .map(usable)
            .and_then(|usable| match usable[..] {
                [first, .., last] => Some((first, last)),
                _ => None,
            });
        Self { all, apart }
    }

    /// What to tell the reader.
    pub(crate) fn describe(&self) -> String {
        match self.apart {
            Some((server, client)) => {
                format!("server on processor {server}, client on processor {client}")
            }
            None => "server and client share one processor".to_owned(),
        }
    }

    /// Runs `start` on the server's processor: a process that is started there stays there.
    pub(crate) fn for_server<R>(&self, start: impl FnOnce() -> R) -> R {
        if let Some((server, _)) = self.apart {
            move_to(&only(server));
        }
        let result = start();
        self.for_client();
        result
    }

    /// From now on this thread runs on the client's processor.
    pub(crate) fn for_client(&self) {
        if let Some((_, client)) = self.apart {
            move_to(&only(client));
        }
    }

    /// From now on this thread runs anywhere, as at the beginning.
    pub(crate) fn anywhere(&self) {
        if let Some(all) = &self.all {
            move_to(all);
        }
    }
}

fn only(number: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(number);
    set
}

/// Where that is forbidden, the figures are taken all the same, and their range tells.
fn move_to(set: &CpuSet) {
    let _ = sched_setaffinity(None, set);
}
