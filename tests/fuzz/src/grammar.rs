//! Updates that are written by the grammar, from the input's choices: nearly all pass the door, whatever nonsense they
//! tell of origins, parents and deletions.

use crate::input::Input;
use crate::snapshot;
use crate::update::keep;
use yonder_core::replica::validate;
use yonder_core::wire::{put_var_bytes, put_var_uint};

/// The clients that occur. One is also in the document that updates are merged with.
const CLIENTS: [u64; 5] = [1, 2, 3, u32::MAX as u64, (1 << 53) - 1];
/// How often a struct may be repeated.
const REPEATED: u64 = 40;

pub(crate) fn run(input: &[u8]) {
    let updates = updates(input);
    for update in &updates {
        if let Some(summary) = validate(update).ok().filter(|summary| !summary.is_empty()) {
            keep(update, &summary);
        }
    }
    snapshot::merge(&updates);
}

/// The updates that an input stands for.
pub fn updates(input: &[u8]) -> Vec<Vec<u8>> {
    let mut input = Input::new(input);
    (0..1 + input.below(3)).map(|_| write(&mut input)).collect()
}

/// Writes one update.
fn write(input: &mut Input<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let clients = distinct(input);
    put_var_uint(&mut out, clients.len() as u64);
    for client in clients {
        let mut structs = Vec::new();
        let mut count = 0;
        let start = if input.below(4) == 0 { input.number() % (1 << 31) } else { 0 };
        let mut clock = start;
        for _ in 0..1 + input.below(8) {
            let times = if input.below(16) == 15 { 1 + input.number() % REPEATED } else { 1 };
            let choices = input.rest();
            for _ in 0..times {
                // The same choices again, at the clock where they are made.
                let mut again = Input::new(choices);
                clock += write_struct(&mut again, client, clock, &mut structs);
                count += 1;
                *input = again;
            }
        }
        put_var_uint(&mut out, count);
        put_var_uint(&mut out, client);
        put_var_uint(&mut out, start);
        out.extend(structs);
    }
    let clients = distinct(input);
    put_var_uint(&mut out, clients.len() as u64);
    for client in clients {
        let ranges = 1 + input.below(4);
        put_var_uint(&mut out, client);
        put_var_uint(&mut out, ranges as u64);
        for _ in 0..ranges {
            put_var_uint(&mut out, input.number());
            put_var_uint(&mut out, 1 + input.number() % 1000);
        }
    }
    out
}

/// Some clients, the highest first.
fn distinct(input: &mut Input<'_>) -> Vec<u64> {
    let chosen = input.byte();
    (0..CLIENTS.len()).rev().filter(|index| chosen >> index & 1 == 1).map(|index| CLIENTS[index]).collect()
}

/// Writes one struct, and tells its length.
fn write_struct(input: &mut Input<'_>, client: u64, clock: u64, out: &mut Vec<u8>) -> u64 {
    let choice = input.byte();
    let kind = match choice & 0x1f {
        kind @ 0..=10 => kind,
        11..=18 => 4,
        19..=24 => 7,
        _ => 8,
    };
    if kind == 0 || kind == 10 {
        let length = 1 + input.number() % 100_000;
        out.push(kind);
        put_var_uint(out, length);
        return length;
    }
    let info = kind | choice & 0xe0;
    out.push(info);
    for _ in 0..(choice >> 6).count_ones() {
        write_id(input, client, clock, out);
    }
    if choice & 0xc0 == 0 {
        if input.below(2) == 0 {
            out.push(1);
            put_var_bytes(out, [b"t".as_slice(), b"text", b""][input.below(3)]);
        } else {
            out.push(0);
            write_id(input, client, clock, out);
        }
        if choice & 0x20 != 0 {
            put_var_bytes(out, [b"k".as_slice(), b"", "ä".as_bytes()][input.below(3)]);
        }
    }
    write_content(input, kind, out)
}

/// An id, most often of what was written before.
fn write_id(input: &mut Input<'_>, client: u64, clock: u64, out: &mut Vec<u8>) {
    let choice = input.byte();
    if choice < 128 && clock > 0 {
        put_var_uint(out, client);
        put_var_uint(out, clock.saturating_sub(1 + u64::from(choice) % 8));
    } else {
        put_var_uint(out, CLIENTS[input.below(CLIENTS.len())]);
        put_var_uint(out, input.number() % (1 << 31));
    }
}

fn write_content(input: &mut Input<'_>, kind: u8, out: &mut Vec<u8>) -> u64 {
    const JSON: [&str; 5] = ["1", "null", "{\"a\":[true]}", "\"x\"", "1e999"];
    const TEXTS: [&str; 6] = ["a", "bc", "😀", "a😀b", "ä", ""];
    let json = |input: &mut Input<'_>| JSON[input.below(JSON.len())];
    match kind {
        1 => {
            let length = 1 + input.number() % 100_000;
            put_var_uint(out, length);
            length
        }
        2 => {
            let values = input.below(4);
            put_var_uint(out, values as u64);
            for _ in 0..values {
                let json = ["undefined", json(input)][input.below(2)];
                put_var_bytes(out, json.as_bytes());
            }
            values as u64
        }
        3 => {
            put_var_bytes(out, input.part());
            1
        }
        4 => {
            let text = TEXTS[input.below(TEXTS.len())];
            put_var_bytes(out, text.as_bytes());
            text.encode_utf16().count() as u64
        }
        5 => {
            put_var_bytes(out, json(input).as_bytes());
            1
        }
        6 => {
            put_var_bytes(out, [b"bold".as_slice(), b"i", b""][input.below(3)]);
            put_var_bytes(out, json(input).as_bytes());
            1
        }
        7 => {
            let of = [0, 1, 2, 3, 4, 6][input.below(6)];
            out.push(of);
            if of == 3 {
                put_var_bytes(out, b"p");
            }
            1
        }
        8 => {
            let values = input.below(4);
            put_var_uint(out, values as u64);
            (0..values).for_each(|_| write_any(input, 4, out));
            values as u64
        }
        _ => {
            put_var_bytes(out, b"guid");
            out.push(118);
            write_entries(input, 2, out);
            1
        }
    }
}

fn write_any(input: &mut Input<'_>, depth: u32, out: &mut Vec<u8>) {
    let kind = 127 - input.below(12) as u8;
    match kind {
        117 | 118 if depth == 0 => out.push(126),
        118 => {
            out.push(kind);
            write_entries(input, depth - 1, out);
        }
        117 => {
            let values = input.below(3);
            out.push(kind);
            put_var_uint(out, values as u64);
            (0..values).for_each(|_| write_any(input, depth - 1, out));
        }
        _ => {
            out.push(kind);
            match kind {
                125 => out.extend([0xff, 0xff, 0x03]),
                124 => out.extend((0..4).map(|_| input.byte())),
                123 | 122 => out.extend((0..8).map(|_| input.byte())),
                119 => put_var_bytes(out, b"text"),
                116 => put_var_bytes(out, input.part()),
                _ => {}
            }
        }
    }
}

fn write_entries(input: &mut Input<'_>, depth: u32, out: &mut Vec<u8>) {
    const KEYS: [&str; 4] = ["a", "autoLoad", "gc", ""];
    let entries = input.below(3);
    put_var_uint(out, entries as u64);
    for _ in 0..entries {
        put_var_bytes(out, KEYS[input.below(KEYS.len())].as_bytes());
        write_any(input, depth, out);
    }
}
