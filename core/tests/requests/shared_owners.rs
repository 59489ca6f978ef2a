//! Whose a client is, where its connections and requests come to ever new rooms: who shows it, and with whom it goes.

use crate::hall::Hall;
use crate::presence::{GONE, is};
use crate::shared_presence::{hello, ids, move_to, present};

#[test]
fn a_closed_connection_takes_its_clients_along_and_only_those() {
    let mut hall = Hall::new();
    let (mut a, mut b) = (hall.open(), hall.open());
    hall.visit(&mut a, &[hello(1, 1), hello(2, 5)]);
    hall.visit(&mut b, &[hello(3, 1)]);
    hall.visit(&mut a, &[move_to(1, 2)]);
    hall.told();
    hall.close(a);
    let mut told = hall.told();
    told.sort();
    assert_eq!(told, [is(1, 2, GONE), is(2, 5, GONE)], "the move was perhaps not stored");
    assert_eq!(ids(&mut hall), [3]);
    hall.close(b);
    assert_eq!(ids(&mut hall), [] as [u64; 0]);
}

#[test]
fn who_repeats_what_it_hears_owns_nothing() {
    let mut hall = Hall::new();
    let (mut owner, mut viewer, mut other) = (hall.open(), hall.open(), hall.open());
    hall.visit(&mut owner, &[hello(1, 1)]);
    hall.visit(&mut other, &[hello(3, 1)]);
    // A viewer's first word; and what somebody says who is known.
    hall.visit(&mut viewer, &[hello(1, 1)]);
    hall.visit(&mut other, &[hello(1, 1)]);
    hall.visit(&mut owner, &[move_to(1, 2), move_to(1, 3)]);
    hall.told();
    // Not stored yet, perhaps.
    hall.visit(&mut other, &[move_to(1, 3)]);
    assert_eq!(hall.told(), [], "a repetition is not told again");
    hall.close(viewer);
    hall.close(other);
    assert_eq!(hall.told(), [is(3, 1, GONE)]);
    assert_eq!(ids(&mut hall), [1]);
    hall.close(owner);
    assert_eq!(hall.told(), [is(1, 3, GONE)]);
}

#[test]
fn what_is_repeated_together_with_an_introduction_is_still_only_repeated() {
    let mut hall = Hall::new();
    let (mut owner, mut viewer) = (hall.open(), hall.open());
    hall.visit(&mut owner, &[hello(1, 1)]);
    hall.visit(&mut viewer, &[hello(2, 1), hello(1, 1)]);
    hall.told();
    hall.visit(&mut viewer, &[move_to(1, 2)]);
    assert_eq!(hall.told(), [], "it is not the viewer's");
    hall.visit(&mut owner, &[move_to(1, 2)]);
    assert_eq!(hall.told(), [is(1, 2, r#"{"at":2}"#)]);
    hall.close(viewer);
    assert_eq!((hall.told(), ids(&mut hall)), (vec![is(2, 1, GONE)], vec![1]));
}

#[test]
fn a_client_that_comes_back_over_another_connection_stays() {
    // After its removal: it is told so, and announces itself anew.
    let mut hall = Hall::new();
    let mut old = hall.open();
    hall.visit(&mut old, &[hello(1, 4)]);
    hall.close(old);
    let mut new = hall.open();
    hall.visit(&mut new, &[hello(1, 4)]);
    assert_eq!(new.told, [is(1, 4, GONE)]);
    hall.visit(&mut new, &[hello(1, 5)]);
    assert_eq!(present(&mut hall), [is(1, 5, "{}")]);
    // Before it: it hears its removal as all do.
    let mut newer = hall.open();
    hall.visit(&mut newer, &[hello(1, 5)]);
    hall.told();
    hall.close(new);
    assert_eq!(hall.told(), [is(1, 5, GONE)]);
    hall.visit(&mut newer, &[hello(1, 6)]);
    assert_eq!(present(&mut hall), [is(1, 6, "{}")]);
    // With a higher clock: it is the new one's at once.
    let mut newest = hall.open();
    hall.visit(&mut newest, &[hello(1, 7)]);
    hall.told();
    hall.close(newer);
    assert_eq!((hall.told(), ids(&mut hall)), (vec![], vec![1]));
    hall.close(newest);
    assert_eq!(ids(&mut hall), [] as [u64; 0]);
}

#[test]
fn a_client_that_only_claimed_its_state_owns_it_when_it_moves() {
    let mut hall = Hall::new();
    let (mut old, mut new) = (hall.open(), hall.open());
    hall.visit(&mut old, &[hello(1, 4)]);
    hall.visit(&mut new, &[hello(1, 4)]);
    hall.now = hall.now.after(1_000);
    hall.visit(&mut new, &[hello(1, 5)]);
    hall.told();
    hall.close(old);
    assert_eq!((hall.told(), ids(&mut hall)), (vec![], vec![1]));
    hall.close(new);
    assert_eq!(ids(&mut hall), [] as [u64; 0]);
}
