//! temporary
use std::collections::BTreeMap;
use std::time::Instant;
/// id
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId(u64);
pub(crate) struct Timers<K> {
    n: u64,
    m: BTreeMap<(Instant, u64), K>,
    w: std::collections::HashMap<u64, Instant>,
}
impl<K> Timers<K> {
    pub(crate) fn new(_: Instant) -> Self {
        Self {
            n: 0,
            m: BTreeMap::new(),
            w: Default::default(),
        }
    }
    pub(crate) fn insert(&mut self, d: Instant, k: K) -> TimerId {
        self.n += 1;
        self.m.insert((d, self.n), k);
        self.w.insert(self.n, d);
        TimerId(self.n)
    }
    pub(crate) fn cancel(&mut self, t: TimerId) -> Option<K> {
        let d = self.w.remove(&t.0)?;
        self.m.remove(&(d, t.0))
    }
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        self.m.keys().next().map(|k| k.0)
    }
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(TimerId, Instant, K)> {
        let k = *self.m.keys().next()?;
        if k.0 > now {
            return None;
        }
        let v = self.m.remove(&k).unwrap();
        self.w.remove(&k.1);
        Some((TimerId(k.1), k.0, v))
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.m.is_empty()
    }
}
