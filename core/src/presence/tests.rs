use super::*;

const A: ConnId = ConnId(1);
const B: ConnId = ConnId(2);
const T0: Millis = Millis(1_000_000);

fn update(entries: &[(u64, u64, &str)]) -> Bytes {
    let mut writer = Writer::default();
    for (client, clock, json) in entries {
        writer.push(*client, *clock, Some(json.as_bytes()));
    }
    writer.finish().unwrap()
}

fn apply(presence: &mut Presence, now: Millis, conn: ConnId, introduces: bool, update: &Bytes) -> Applied {
    presence.apply(now, Some(conn), introduces, update, &Limits::default()).unwrap()
}

#[test]
fn a_state_is_relayed_as_it_came_and_shown_to_who_comes_later() {
    let mut presence = Presence::default();
    let hello = update(&[(7, 1, r#"{"name":"ada"}"#)]);
    assert_eq!(apply(&mut presence, T0, A, true, &hello).relay, Some(hello.clone()));
    assert_eq!(presence.states(), Some(hello));
}

#[test]
fn what_other_clients_repeat_is_neither_relayed_nor_theirs() {
    let mut presence = Presence::default();
    let hello = update(&[(7, 1, "{}")]);
    apply(&mut presence, T0, A, true, &hello);
    assert_eq!(apply(&mut presence, T0, B, false, &hello), Applied::default());
    assert_eq!(presence.close(T0, B, &Limits::default()), Closed::default());
    assert_eq!(presence.close(T0, A, &Limits::default()).relay, Some(update(&[(7, 1, "null")])));
}

#[test]
fn all_ids_of_a_connection_go_when_it_closes_and_only_those() {
    let mut presence = Presence::default();
    apply(&mut presence, T0, A, true, &update(&[(1, 1, "{}"), (2, 5, "{}")]));
    apply(&mut presence, T0, B, true, &update(&[(3, 1, "{}")]));
    let removals = presence.close(T0, A, &Limits::default()).relay;
    assert_eq!(removals, Some(update(&[(1, 1, "null"), (2, 5, "null")])));
    assert_eq!(presence.states(), Some(update(&[(3, 1, "{}")])));
}

#[test]
fn a_rejoin_before_the_old_connection_is_found_dead_is_asked_and_keeps_its_state() {
    let mut presence = Presence::default();
    let hello = update(&[(7, 4, "{}")]);
    apply(&mut presence, T0, A, true, &hello);
    apply(&mut presence, T0, B, true, &hello);
    let question = update(&[(7, 4, "null")]);
    let closed = presence.close(T0, A, &Limits::default());
    assert_eq!(closed, Closed { relay: None, questions: vec![(B, question)] });
    assert_eq!(presence.states(), Some(hello));
    let anew = update(&[(7, 5, "{}")]);
    assert_eq!(apply(&mut presence, T0, B, false, &anew).relay, Some(anew));
    assert_eq!(presence.expire(T0.after(CLAIM_PATIENCE), &Limits::default()), None);
}

#[test]
fn a_viewer_that_repeats_a_state_first_does_not_keep_it_when_its_client_goes() {
    let mut presence = Presence::default();
    let hello = update(&[(7, 4, "{}")]);
    apply(&mut presence, T0, A, true, &hello);
    apply(&mut presence, T0, B, true, &hello);
    presence.close(T0, A, &Limits::default());
    let gone = update(&[(7, 4, "null")]);
    // Not its own: it passes the removal on, or says nothing.
    let mut silent = presence.clone();
    assert_eq!(apply(&mut presence, T0, B, false, &gone).relay, Some(gone.clone()));
    assert_eq!(silent.expire(T0.after(CLAIM_PATIENCE), &Limits::default()), Some(gone));
}

#[test]
fn a_viewer_that_repeats_a_state_first_takes_nothing_along_when_it_leaves() {
    let mut presence = Presence::default();
    let hello = update(&[(7, 4, "{}")]);
    apply(&mut presence, T0, A, true, &hello);
    apply(&mut presence, T0, B, true, &hello);
    assert_eq!(presence.close(T0, B, &Limits::default()), Closed::default());
    assert_eq!(presence.states(), Some(hello));
}

#[test]
fn a_rejoin_after_its_removal_is_told_so_that_it_announces_itself_anew() {
    let mut presence = Presence::default();
    let hello = update(&[(7, 4, "{}")]);
    apply(&mut presence, T0, A, true, &hello);
    presence.close(T0, A, &Limits::default());
    let applied = apply(&mut presence, T0, B, true, &hello);
    assert_eq!(applied, Applied { relay: None, answer: Some(update(&[(7, 4, "null")])) });
    let anew = update(&[(7, 5, "{}")]);
    assert_eq!(apply(&mut presence, T0, B, false, &anew).relay, Some(anew));
}

#[test]
fn a_state_that_is_not_renewed_expires_and_its_clock_is_forgotten_later() {
    let limits = Limits::default();
    let mut presence = Presence::default();
    apply(&mut presence, T0, A, true, &update(&[(7, 4, "{}")]));
    let due = presence.next_expiry().unwrap();
    assert_eq!(due, T0.after(limits.awareness_timeout));
    assert_eq!(presence.expire(Millis(due.0 - 1), &limits), None);
    assert_eq!(presence.expire(due, &limits), Some(update(&[(7, 4, "null")])));
    assert_eq!(presence.states(), None);
    presence.expire(due.after(limits.awareness_timeout), &limits);
    assert_eq!(presence.next_expiry(), None);
}

#[test]
fn a_renewal_puts_the_expiry_off() {
    let limits = Limits::default();
    let mut presence = Presence::default();
    apply(&mut presence, T0, A, true, &update(&[(7, 4, "{}")]));
    apply(&mut presence, T0.after(20_000), A, false, &update(&[(7, 5, "{}")]));
    assert_eq!(presence.expire(T0.after(30_000), &limits), None);
    assert_eq!(presence.next_expiry(), Some(T0.after(50_000)));
}

#[test]
fn malformed_updates_leave_everything_as_it_was() {
    let mut presence = Presence::default();
    apply(&mut presence, T0, A, true, &update(&[(7, 1, "{}")]));
    let before = presence.states();
    for bad in [
        Bytes::new(),
        Bytes::from_static(&[200, 1, 1, 1, 0]),
        update(&[(7, 2, "{"), (8, 1, "{}")]),
        [update(&[(7, 2, "{}")]), Bytes::from_static(&[0])].concat().into(),
    ] {
        assert!(presence.apply(T0, Some(A), false, &bad, &Limits::default()).is_err(), "{bad:?}");
        assert_eq!(presence.states(), before);
    }
}

#[test]
fn states_beyond_the_limit_are_not_shown() {
    let limits = Limits { awareness_states: 1, ..Limits::default() };
    let mut presence = Presence::default();
    presence.apply(T0, Some(A), true, &update(&[(1, 1, "{}")]), &limits).unwrap();
    let applied = presence.apply(T0, Some(A), false, &update(&[(2, 1, "{}")]), &limits).unwrap();
    assert_eq!(applied, Applied::default());
}

#[test]
fn one_connection_cannot_take_the_room_of_all() {
    let limits = Limits { awareness_per_connection: 2, ..Limits::default() };
    let mut presence = Presence::default();
    let flood = update(&[(1, 1, "{}"), (2, 1, "{}"), (3, 1, "{}")]);
    let relay = presence.apply(T0, Some(A), true, &flood, &limits).unwrap().relay;
    assert_eq!(relay, Some(update(&[(1, 1, "{}"), (2, 1, "{}")])));
    let other = update(&[(4, 1, "{}")]);
    assert_eq!(presence.apply(T0, Some(B), true, &other, &limits).unwrap().relay, Some(other));
}

#[test]
fn readers_are_told_the_last_value_of_each_client_since_a_version() {
    let limits = Limits::default();
    let mut presence = Presence::default();
    apply(&mut presence, T0, A, true, &update(&[(1, 1, "{}")]));
    let known = presence.version();
    assert_eq!(presence.since(known), None);
    let by_request = update(&[(2, 1, "1")]);
    presence.apply(T0, None, false, &by_request, &limits).unwrap();
    presence.apply(T0, None, false, &update(&[(2, 2, "2")]), &limits).unwrap();
    assert_eq!(presence.since(known), Some(update(&[(2, 2, "2")])));
    assert_eq!(presence.since(0), Some(update(&[(1, 1, "{}"), (2, 2, "2")])));
    // What belongs to no connection goes with nobody, but expires.
    let told = presence.version();
    assert_eq!(presence.close(T0, A, &limits).relay, Some(update(&[(1, 1, "null")])));
    assert_eq!(presence.expire(T0.after(30_000), &limits), Some(update(&[(2, 2, "null")])));
    assert_eq!(presence.since(told), Some(update(&[(2, 2, "null")])));
}
