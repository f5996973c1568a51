//! The triggers: how often a source is reported, and to whom.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use trunkline_selectors::{AsSource, Interest, Key, Mechanism, Selector, Trigger};

use super::support::{
    Stream, add, assert_quiet, descriptors_up_to, gone_beside_data, now, number, pair, refused,
    selector, soon, told,
};

/// Registers with a trigger that the mechanism has.
pub(crate) fn add_with<S: AsSource, T>(
    selector: &mut Selector<S, T>,
    source: S,
    interest: Interest,
    trigger: Trigger,
    data: T,
) -> Key {
    selector
        .register_with(source, interest, trigger, data)
        .expect("registered")
}

pub(crate) fn a_trigger_that_is_not_offered_is_refused_by_name(mechanism: Mechanism) {
    let mut selector: Selector<Stream, u8> = selector(mechanism);
    for trigger in Trigger::ALL {
        let (a, _b) = pair();
        let number_of_a = number(&a);
        let result = selector.register_with(a, Interest::READ, trigger, 7);
        assert_eq!(result.is_ok(), mechanism.supports(trigger));
        assert_eq!(result.is_ok(), selector.capabilities().supports(trigger));
        let Ok(key) = result else {
            let (kind, text, source, data) = refused(result);
            assert_eq!(kind, ErrorKind::Unsupported);
            assert!(text.contains(&format!("{mechanism} has no {trigger}")));
            let offered = Trigger::ALL
                .into_iter()
                .filter(|other| mechanism.supports(*other));
            for offered in offered {
                assert!(text.contains(&offered.to_string()), "{text}");
            }
            assert_eq!((number(&source), data), (number_of_a, 7));
            assert!(selector.is_empty());
            // Level it takes, as every mechanism does.
            let key = add(&mut selector, source, Interest::READ, data);
            assert!(selector.unregister(key).is_some());
            continue;
        };
        assert!(selector.unregister(key).is_some());
    }
}

pub(crate) fn edge_tells_once_per_change(mechanism: Mechanism) {
    if !mechanism.capabilities().supports(Trigger::Edge) {
        return; // refused, which the case above demands
    }
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let key = add_with(&mut selector, a, Interest::READ, Trigger::Edge, ());
    b.write_all(b"0123456789").expect("written");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    // Told once …
    assert_quiet(&mut selector);
    // … until there is news …
    let mut four = [0; 4];
    let mut source = selector.source(key).expect("registered");
    source.read_exact(&mut four).expect("four of ten");
    assert_quiet(&mut selector);
    b.write_all(b"more").expect("written");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    // … or the source is resumed.
    selector.modify(key, Interest::NONE).expect("registered");
    assert_quiet(&mut selector);
    selector.modify(key, Interest::READ).expect("registered");
    assert_eq!(told(&now(&mut selector)).len(), 1);
    assert_quiet(&mut selector);
}

pub(crate) fn one_shot_tells_once_until_it_is_armed_again(mechanism: Mechanism) {
    if !mechanism.capabilities().supports(Trigger::OneShot) {
        return;
    }
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let key = add_with(&mut selector, a, Interest::READ, Trigger::OneShot, ());
    // Armed until it fires, however often one looks, and through changes of interest.
    assert_quiet(&mut selector);
    if mechanism.capabilities().priority {
        selector.modify(key, Interest::PRIORITY).expect("armed");
        assert_quiet(&mut selector);
    }
    selector.modify(key, Interest::READ).expect("armed");
    b.write_all(b"0123456789").expect("written");
    for _ in 0..3 {
        assert_eq!(told(&soon(&mut selector)), [(key, vec!["readable"])]);
        // Now nothing is news to it, whatever happens.
        assert_quiet(&mut selector);
        b.write_all(b"more").expect("written");
        assert_quiet(&mut selector);
        // Nobody has read: the same interest again finds what is there. It counts from the next wait on.
        selector.modify(key, Interest::READ).expect("armed");
        assert_eq!(selector.interest(key), Some(Interest::READ));
    }
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    for (interest, facts) in [
        (Interest::WRITE, vec!["writable"]),
        (
            Interest::READ | Interest::WRITE,
            vec!["readable", "writable"],
        ),
    ] {
        selector.modify(key, interest).expect("armed");
        assert_eq!(told(&now(&mut selector)), [(key, facts)]);
        assert_quiet(&mut selector);
    }
    // Disarmed on purpose, and there and back between two waits.
    selector.modify(key, Interest::NONE).expect("disarmed");
    assert_quiet(&mut selector);
    selector.modify(key, Interest::READ).expect("armed");
    selector.modify(key, Interest::NONE).expect("disarmed");
    assert_quiet(&mut selector);
    selector.modify(key, Interest::READ).expect("armed");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    // A source that has fired goes like any other, and can come again.
    let (a, ()) = selector.unregister(key).expect("registered");
    assert_quiet(&mut selector);
    let key = add(&mut selector, a, Interest::READ, ());
    for _ in 0..3 {
        assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    }
}

pub(crate) fn one_shot_hears_of_a_hang_up_when_it_is_armed_again(mechanism: Mechanism) {
    if !mechanism.capabilities().supports(Trigger::OneShot) {
        return;
    }
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let key = add_with(&mut selector, a, Interest::READ, Trigger::OneShot, ());
    b.write_all(b"last words").expect("written");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    drop(b);
    assert_quiet(&mut selector);
    selector
        .modify(key, Interest::READ | Interest::WRITE)
        .expect("armed");
    let facts = gone_beside_data(mechanism);
    assert_eq!(told(&now(&mut selector)), [(key, facts)]);
    assert_quiet(&mut selector);
    if !mechanism.capabilities().priority {
        return;
    }
    // A hang-up is no priority input. It may use up the shot, but it ends one wait at most.
    selector.modify(key, Interest::PRIORITY).expect("armed");
    now(&mut selector);
    assert_quiet(&mut selector);
}

pub(crate) fn one_shot_is_not_armed_by_anything_but_modify(mechanism: Mechanism) {
    if !mechanism.capabilities().supports(Trigger::OneShot) {
        return;
    }
    let mut selector: Selector<Arc<Stream>> = selector(mechanism);
    let (a, mut b) = pair();
    let a = Arc::new(a);
    let source = Arc::clone(&a);
    let key = add_with(&mut selector, source, Interest::READ, Trigger::OneShot, ());
    b.write_all(b"x").expect("written");
    // An event that nobody took is gone, as with an edge.
    let selected = selector.select(Some(Duration::ZERO)).expect("select");
    assert_eq!(selected.events, 1);
    assert_quiet(&mut selector);
    // A second registration is refused, and finding that out changes nothing.
    let (kind, ..) = refused(selector.register(Arc::clone(&a), Interest::READ, ()));
    assert_eq!(kind, ErrorKind::AlreadyExists);
    assert_quiet(&mut selector);
    // What was reported is masked by an interest taken back since, and then counts from the next wait.
    selector.modify(key, Interest::READ).expect("armed");
    let selected = selector.select(Some(Duration::ZERO)).expect("select");
    assert_eq!(selected.events, 1);
    selector.modify(key, Interest::WRITE).expect("armed");
    assert!(selector.next_event().is_none());
    assert_eq!(told(&now(&mut selector)), [(key, vec!["writable"])]);
    assert_quiet(&mut selector);
}

pub(crate) fn one_shots_that_do_not_fit_into_a_batch_stay_armed(mechanism: Mechanism) {
    const SOURCES: usize = 1500;
    if !mechanism.capabilities().supports(Trigger::OneShot) {
        return;
    }
    assert!(
        descriptors_up_to(4096),
        "this case needs as many descriptors as sources"
    );
    let mut selector = selector(mechanism);
    let (a, _b) = pair();
    let mut keys: Vec<Key> = (0..SOURCES)
        .map(|_| a.try_clone().expect("a duplicate"))
        .map(|source| add_with(&mut selector, source, Interest::WRITE, Trigger::OneShot, ()))
        .collect();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(now(&mut selector).iter().map(|event| event.key));
    }
    assert_quiet(&mut selector);
    seen.sort();
    keys.sort();
    assert_eq!(seen, keys, "each of them once");
}

pub(crate) fn one_shots_leave_the_others_alone(mechanism: Mechanism) {
    if !mechanism.capabilities().supports(Trigger::OneShot) {
        return;
    }
    let mut selector = selector(mechanism);
    let mut level = Vec::new();
    let mut all = Vec::new();
    let mut peers = Vec::new();
    for position in 0..20 {
        let (a, mut b) = pair();
        b.write_all(b"x").expect("written");
        peers.push(b);
        if position % 3 == 0 {
            level.push(add(&mut selector, a, Interest::READ, position));
            all.extend(level.last().copied());
        } else {
            let key = add_with(&mut selector, a, Interest::READ, Trigger::OneShot, position);
            all.push(key);
        }
    }
    let readable = |keys: &[Key]| -> Vec<_> {
        let mut keys = keys.to_vec();
        keys.sort();
        keys.iter().map(|key| (*key, vec!["readable"])).collect()
    };
    assert_eq!(told(&now(&mut selector)), readable(&all));
    for _ in 0..2 {
        assert_eq!(told(&now(&mut selector)), readable(&level));
    }
    // Some are armed again, some go, and each is still itself.
    for (position, key) in all.clone().into_iter().enumerate() {
        assert_eq!(selector.data(key), Some(&position));
        if position % 4 == 0 {
            selector.modify(key, Interest::READ).expect("registered");
            level.push(key);
        } else if position % 5 == 0 {
            assert!(selector.unregister(key).is_some());
            level.retain(|other| *other != key);
        }
    }
    level.sort();
    level.dedup();
    assert_eq!(told(&now(&mut selector)), readable(&level));
}

pub(crate) fn exclusive_follows_its_interest(mechanism: Mechanism) {
    if !mechanism.capabilities().supports(Trigger::Exclusive) {
        return;
    }
    let mut selector = selector(mechanism);
    let (a, mut b) = pair();
    let key = add_with(&mut selector, a, Interest::READ, Trigger::Exclusive, ());
    assert_quiet(&mut selector);
    b.write_all(b"x").expect("written");
    let both = Interest::READ | Interest::WRITE;
    for (interest, facts) in [
        (Interest::READ, vec!["readable"]),
        (Interest::WRITE, vec!["writable"]),
        (Interest::NONE, vec![]),
        (both, vec!["readable", "writable"]),
        (Interest::READ, vec!["readable"]),
    ] {
        selector.modify(key, interest).expect("registered");
        let expected: Vec<_> = Some((key, facts))
            .into_iter()
            .filter(|(_, facts)| !facts.is_empty())
            .collect();
        // Twice: it is level-triggered.
        assert_eq!(told(&now(&mut selector)), expected);
        assert_eq!(told(&now(&mut selector)), expected);
    }
    // The end of input is not told from input, the end of everything is.
    b.shutdown(Shutdown::Write).expect("half-closed");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
    drop(b);
    let facts = told(&now(&mut selector)).pop().expect("an event").1;
    assert!(facts.contains(&"read closed"), "{facts:?}");
    assert!(selector.unregister(key).is_some());
    assert_quiet(&mut selector);
}

pub(crate) fn exclusive_does_not_watch_for_priority(mechanism: Mechanism) {
    if !mechanism.capabilities().supports(Trigger::Exclusive) {
        return;
    }
    let mut selector: Selector<Stream, u8> = selector(mechanism);
    let (a, mut b) = pair();
    let urgent = Interest::READ | Interest::PRIORITY;
    let result = selector.register_with(a, urgent, Trigger::Exclusive, 7);
    let (kind, text, a, data) = refused(result);
    assert_eq!((kind, data), (ErrorKind::Unsupported, 7));
    assert!(text.contains("exclusive") && text.contains("priority"));
    let key = add_with(&mut selector, a, Interest::READ, Trigger::Exclusive, 7);
    let error = selector.modify(key, urgent).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    // And nothing has changed.
    assert_eq!(selector.interest(key), Some(Interest::READ));
    b.write_all(b"x").expect("written");
    assert_eq!(told(&now(&mut selector)), [(key, vec!["readable"])]);
}
