//! A room that is dropped and rebuilt between any two inputs, against a model of what its clients must see.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, reason = "other tests need more of it")]
mod world;

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use world::World;
use world::client::Client;

const CLIENTS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Open(usize),
    Cut(usize),
    Insert(usize),
    Remove(usize),
    Point(usize, bool),
    Ask(usize),
    Up(usize),
    Down(usize),
    Store { done: bool, said: bool, newest: bool },
    Advance(u64),
    Evict { finishes: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    prop_oneof![
        2 => client().prop_map(Step::Open),
        1 => client().prop_map(Step::Cut),
        6 => client().prop_map(Step::Insert),
        2 => client().prop_map(Step::Remove),
        2 => (client(), prop::bool::weighted(0.2)).prop_map(|(client, large)| Step::Point(client, large)),
        2 => client().prop_map(Step::Ask),
        14 => client().prop_map(Step::Up),
        10 => client().prop_map(Step::Down),
        8 => prop::bool::weighted(0.3).prop_map(|newest| Step::Store { done: true, said: true, newest }),
        1 => any::<(bool, bool)>().prop_map(|(done, newest)| Step::Store { done, said: false, newest }),
        1 => (1..20_000_u64).prop_map(Step::Advance),
        4 => any::<bool>().prop_map(|finishes| Step::Evict { finishes }),
    ]
}

/// Plays the steps, lets everything settle, and gives what every client then has.
fn play(steps: &[Step], evicts: bool) -> (BTreeSet<String>, BTreeMap<u64, String>) {
    let mut world = World::new(CLIENTS);
    for step in steps {
        match *step {
            Step::Open(client) => world.open(client),
            Step::Cut(client) => world.cut(client),
            Step::Insert(client) => world.clients[client].insert(),
            Step::Remove(client) => world.clients[client].remove(),
            Step::Point(client, large) => world.clients[client].point(large),
            Step::Ask(client) => world.clients[client].ask_acknowledgement(),
            Step::Up(client) => drop(world.deliver_up(client)),
            Step::Down(client) => drop(world.deliver_down(client)),
            Step::Store { done, said, newest } => drop(world.store(done, said, newest)),
            Step::Advance(millis) => world.advance(millis),
            Step::Evict { finishes } if evicts => world.evict(finishes),
            Step::Evict { .. } => {}
        }
    }
    world.settle();
    let expected: BTreeSet<_> = world.clients.iter().flat_map(|client| client.mine().clone()).collect();
    // Whoever was silent for long is shown again with its next renewal, which this clock has not reached.
    for client in 0..CLIENTS {
        world.clients[client].point(false);
        world.clients[client].ask_acknowledgement();
    }
    let acknowledged: Vec<_> = world.clients.iter().map(|client| client.acknowledged).collect();
    world.settle();
    for (client, before) in world.clients.iter().zip(acknowledged) {
        assert!(client.acknowledged > before, "client {} is told that everything is stored", client.id);
    }
    let present: BTreeMap<_, _> =
        world.clients.iter().map(|client| (client.id, client.own_state())).collect();
    let text = world.clients[0].text();
    for client in &world.clients {
        assert!(client.synced, "client {} is synced", client.id);
        assert!(!client.waits_for_missing(), "client {} has everything", client.id);
        assert_eq!(client.keys(), expected, "client {} has every edit and no other", client.id);
        assert_eq!(client.text(), text, "client {} has the same text", client.id);
        assert_eq!(client.sees(), present, "client {} sees everyone", client.id);
    }
    assert_eq!(world.host.closed.iter().filter(|(_, reason)| reason.code != 1011).count(), 0);
    (expected, present)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn evicted_and_never_evicted_rooms_end_alike(steps in prop::collection::vec(step(), 1..160)) {
        let (evicted, _) = play(&steps, true);
        let (never, _) = play(&steps, false);
        prop_assert_eq!(evicted, never);
    }
}

/// Who comes after an append of which nobody knows whether it was done is shown what is stored, and not what was loaded
/// before: else it would miss what later comers find in the log.
#[test]
fn what_was_stored_and_said_to_have_failed_is_shown_to_all() {
    use Step::{Advance, Down, Insert, Open, Store, Up};
    let store = |said| Store { done: true, said, newest: false };
    let offered = [Insert(0), Open(0), store(true), Down(0), Up(0), Up(0), Up(0)];
    let failed = [Open(2), Up(2), Advance(10_000), store(false), Open(2), Up(2), Advance(15_000)];
    for evicts in [true, false] {
        play(&[&offered[..], &failed[..]].concat(), evicts);
    }
}

#[test]
fn a_state_that_nobody_renews_expires_however_often_its_room_is_built_anew() {
    // The newcomer, who has heard of nobody, is shown it after 20 s, and not after 40.
    for (rounds, shown) in [(2, true), (4, false)] {
        let mut world = World::new(1);
        world.clients[0].point(false);
        world.settle();
        // Long enough apart that no instance by itself sees it expire.
        for _ in 0..rounds {
            world.evict(true);
            world.advance(10_000);
        }
        world.clients.push(Client::with_id(99));
        world.open(1);
        // Client 0 hears nothing: it would announce itself again.
        while world.deliver_down(1) {}
        let sees = world.clients[1].sees();
        assert_eq!(sees.contains_key(&world.clients[0].id), shown, "{sees:?}");
    }
}

#[test]
fn an_edit_that_was_not_stored_is_asked_of_whoever_saw_it() {
    let mut world = World::new(2);
    world.settle();
    world.clients[0].insert();
    world.deliver_up(0);
    while world.deliver_down(1) {}
    let seen = world.clients[1].keys();
    assert_eq!(seen.len(), 1, "it was relayed");
    world.evict(false);
    world.clients[0].outbox.clear();
    world.cut(0);
    // Its writer comes back as someone who knows nothing.
    world.clients[0] = Client::with_id(99);
    world.settle();
    assert_eq!(world.clients[0].keys(), seen);
}
