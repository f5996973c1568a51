//! One mechanism under test, and what its selector must say about every registration.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use trunkline_selectors::{Interest, Key, Mechanism, Selected, Selector, Trigger, Waker};

use crate::facts::facts_of;
use crate::socket::{Facts, Socket};
use crate::world::Place;

pub(crate) struct Subject {
    selector: Selector<Arc<UnixStream>, Place>,
    waker: Waker,
    registrations: BTreeMap<Place, Registration>,
    /// The last key of each place that has been unregistered.
    stale: BTreeMap<Place, Key>,
}

/// What the model knows of a registration.
#[derive(Debug)]
struct Registration {
    key: Key,
    interest: Interest,
    trigger: Trigger,
    /// The interest at the last look.
    applied: Interest,
    /// What was true at the last look, and so is no news to an edge.
    known: Facts,
    /// What was true at some time since the last look.
    held: Facts,
    /// It was asked about at the last look, and had nothing to tell: what comes then may be told as it came.
    waiting: bool,
    /// A one-shot that has fired, or a hang-up was found that the interest has no fact for: nothing is watched until
    /// the next modification.
    silenced: bool,
}

/// What may be said about a place at a look.
#[derive(Clone, Debug, Default)]
struct Expected {
    facts: Facts,
    /// Nothing may be said as well: no part of it is news to an edge.
    or_nothing: bool,
    /// An edge that tells what changed: at least this, and at most that.
    bounds: Option<(Facts, Facts)>,
    /// A part of this, and not none of it if there are facts: what a source woke up with that had been asked about.
    part_of: Option<Facts>,
}

impl Expected {
    fn allows(&self, told: &Facts) -> bool {
        let all = |facts: &Facts, others: &Facts| facts.iter().all(|fact| others.contains(fact));
        match (&self.bounds, &self.part_of) {
            (Some((least, most)), _) => all(least, told) && all(told, most),
            (None, Some(whole)) => all(told, whole) && self.facts.is_empty() >= told.is_empty(),
            (None, None) => *told == self.facts || self.or_nothing && told.is_empty(),
        }
    }
}

impl Subject {
    pub(crate) fn new(mechanism: Mechanism) -> Subject {
        let selector = Selector::with_mechanism(mechanism).expect("works here");
        Subject {
            waker: selector.waker().expect("a waker"),
            selector,
            registrations: BTreeMap::new(),
            stale: BTreeMap::new(),
        }
    }

    pub(crate) fn wake(&self) {
        self.waker.wake().expect("woken");
    }

    pub(crate) fn register(
        &mut self,
        place: Place,
        source: &Arc<UnixStream>,
        interest: Interest,
        trigger: Trigger,
    ) {
        let source = Arc::clone(source);
        let registered = self
            .selector
            .register_with(source, interest, trigger, place);
        let error = match registered {
            Ok(key) => {
                assert_ne!(Some(&key), self.stale.get(&place), "a key given twice");
                let registration = Registration {
                    key,
                    interest,
                    trigger,
                    applied: Interest::NONE,
                    known: Facts::new(),
                    held: Facts::new(),
                    waiting: false,
                    silenced: false,
                };
                let before = self.registrations.insert(place, registration);
                assert!(before.is_none(), "registered twice");
                return;
            }
            Err(refused) => refused.kind(),
        };
        if self.selector.capabilities().supports(trigger) {
            assert!(self.registrations.contains_key(&place), "{error}");
            assert_eq!(error, ErrorKind::AlreadyExists);
        } else {
            assert_eq!(error, ErrorKind::Unsupported);
        }
    }

    pub(crate) fn modify(&mut self, place: Place, interest: Interest) {
        if let Some(registration) = self.registrations.get_mut(&place) {
            let modified = self.selector.modify(registration.key, interest);
            modified.expect("registered");
            registration.interest = interest;
            registration.silenced = false;
        } else if let Some(key) = self.stale.get(&place) {
            let error = self.selector.modify(*key, interest).expect_err("stale");
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }
    }

    pub(crate) fn unregister(&mut self, place: Place) {
        if let Some(registration) = self.registrations.remove(&place) {
            let key = registration.key;
            let (_, data) = self.selector.unregister(key).expect("registered");
            assert_eq!(data, place);
            self.stale.insert(place, key);
        } else if let Some(key) = self.stale.get(&place) {
            assert!(self.selector.unregister(*key).is_none(), "a stale key");
        }
    }

    /// Asks twice, the second time without anything having happened.
    pub(crate) fn check(&mut self, sockets: &[Socket], woken: bool) {
        for (look, woken) in [("first", woken), ("second", false)] {
            let mut expected = self.expected(sockets);
            if look == "second" {
                // Nothing has happened: an edge has nothing to say.
                expected.retain(|place, _| self.registrations[place].trigger != Trigger::Edge);
            }
            let (selected, told) = self.ask();
            let context = format!("{}, {look} look", self.selector.mechanism());
            assert_eq!(selected.woken, woken, "{context}");
            for place in self.registrations.keys() {
                let told = told.get(place).cloned().unwrap_or_default();
                let expected = expected.get(place).cloned().unwrap_or_default();
                assert!(
                    expected.allows(&told),
                    "{context}: {told:?}, not {expected:?}, at {place:?}"
                );
            }
            if look == "second" {
                // Nor was anything counted that is not worth an event.
                assert_eq!(selected.events, told.len(), "{context}");
            }
            self.looked(sockets, &told);
        }
        assert_eq!(self.selector.len(), self.registrations.len());
    }

    fn expected(&self, sockets: &[Socket]) -> BTreeMap<Place, Expected> {
        let capabilities = self.selector.capabilities();
        let of = |(place, registration): (&Place, &Registration)| {
            let Registration { interest, .. } = *registration;
            let mut facts = sockets[place.0].state.facts(interest, capabilities);
            if registration.silenced {
                facts.clear();
            }
            let is_known = |fact: &&'static str| registration.known.contains(fact);
            let or_nothing = registration.trigger == Trigger::Edge
                && registration.applied == interest
                && facts.iter().all(is_known);
            let tells_changes = registration.trigger == Trigger::Edge
                && registration.applied == interest
                && !capabilities.edge_tells_state;
            let bounds = tells_changes.then(|| {
                let news = facts.iter().filter(|fact| !is_known(fact));
                (news.copied().collect(), registration.held.clone())
            });
            let tells_what_came = registration.trigger != Trigger::Edge
                && registration.applied == interest
                && registration.waiting
                && !capabilities.level_tells_state;
            let part_of = tells_what_came.then(|| registration.held.clone());
            let expected = Expected {
                facts,
                or_nothing,
                bounds,
                part_of,
            };
            (*place, expected)
        };
        self.registrations.iter().map(of).collect()
    }

    /// Takes note of what is true after an operation.
    pub(crate) fn note(&mut self, sockets: &[Socket]) {
        let capabilities = self.selector.capabilities();
        for (place, registration) in &mut self.registrations {
            let state = sockets[place.0].state;
            let facts = state.facts(registration.interest, capabilities);
            registration.held.extend(facts);
        }
    }

    /// What a look does to the registrations, besides reporting.
    fn looked(&mut self, sockets: &[Socket], told: &BTreeMap<Place, Facts>) {
        let capabilities = self.selector.capabilities();
        for (place, registration) in &mut self.registrations {
            let state = sockets[place.0].state;
            let fired = registration.trigger == Trigger::OneShot && told.contains_key(place);
            registration.silenced |= fired || state.silences(registration.interest);
            registration.waiting = !told.contains_key(place) && !registration.silenced;
            registration.applied = registration.interest;
            registration.known = state.facts(registration.interest, capabilities);
            registration.held.clear();
        }
    }

    /// One wait of no length, and what it says about each place.
    fn ask(&mut self) -> (Selected, BTreeMap<Place, Facts>) {
        let selected = self.selector.select(Some(Duration::ZERO)).expect("select");
        let mut told = BTreeMap::new();
        while let Some(event) = self.selector.next_event() {
            let place = *self.selector.data(event.key).expect("registered");
            let key = self.registrations.get(&place).map(|known| known.key);
            assert_eq!(key, Some(event.key));
            assert!(!event.readiness.is_empty(), "an event without news");
            let before = told.insert(place, facts_of(event.readiness));
            assert!(before.is_none(), "told twice in one batch");
        }
        (selected, told)
    }
}
