//! Each invariant, broken on purpose: what is written in place of what, and with which arguments it is played. The
//! invariants are those of the storage design.

/// A broken invariant.
#[derive(Debug)]
pub struct Mutation {
    /// What is done wrong.
    pub name: &'static str,
    /// Which invariant that breaks.
    pub invariant: &'static str,
    /// Files, a text that they have once, and what stands there instead.
    pub edits: &'static [(&'static str, &'static str, &'static str)],
    /// Arguments of the run.
    pub args: &'static [&'static str],
}

const LISTED: &[&str] = &["--level", "listed"];
const SEQUENCED: &[&str] = &["--level", "sequenced"];
const ROOMS: &[&str] = &["--level", "rooms-listed"];

/// All.
pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "listed-acknowledges-a-write-that-failed",
        invariant: "I1",
        edits: &[(
            "core/src/listed/write.rs",
            "kv.set(&at.key(), entry.value).await?;",
            "let _ = kv.set(&at.key(), entry.value).await;",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-acknowledges-a-write-that-failed",
        invariant: "I1",
        edits: &[(
            "core/src/sequenced/append.rs",
            "                Err(error) => return Err(error),\n",
            "                Err(_) => return Ok(()),\n",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "listed-gives-ids-twice",
        invariant: "I2",
        edits: &[("core/src/listed/write.rs", "id: kv.random()", "id: kv.random() % 32")],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-takes-a-number-without-looking",
        invariant: "I2",
        edits: &[
            (
                "core/src/sequenced/append.rs",
                "(is_doubtful || !is_free) && self.is_misplaced(generation, number).await?",
                "false",
            ),
            ("core/src/sequenced/append.rs", "if is_free {", "if true {"),
        ],
        args: &["--level", "sequenced", "--profile", "failover"],
    },
    Mutation {
        name: "listed-takes-one-page-for-the-whole-list",
        invariant: "I3",
        edits: &[(
            "core/src/listed.rs",
            "            Some(next) => cursor = Some(next),\n",
            "            Some(_) if keys.len() > 4 => return Ok(keys),\n            Some(next) => cursor = Some(next),\n",
        )],
        args: LISTED,
    },
    Mutation {
        name: "listed-deletes-before-the-grace-period",
        invariant: "I4",
        edits: &[("core/src/listed/collect.rs", "now.since(entry.time) < self.config.grace ||", "")],
        args: &["--level", "listed", "--profile", "akamai"],
    },
    Mutation {
        name: "listed-deletes-whatever-is-older",
        invariant: "I5",
        edits: &[(
            "core/src/listed/collect.rs",
            "let is_doomed = |entry: &&EntryKey| covered.contains(&entry.id) && view.has_listed(**entry);",
            "let last = live.entries.iter().filter(|own| own.is_snapshot).map(|own| own.time).max();\n        \
             let is_doomed = |entry: &&EntryKey| view.has_listed(**entry) && Some(entry.time) < last;",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-snapshot-covers-what-is-pending",
        invariant: "I4",
        edits: &[(
            "core/src/sequenced/compact.rs",
            "unmerged.chain(view.pending().iter()).chain(view.unread.iter()).collect()",
            "unmerged.chain(view.unread.iter()).collect()",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "sequenced-covers-numbers-given-since",
        invariant: "I5",
        edits: &[("core/src/sequenced/compact.rs", "    open.extend(view.top + 1..number);\n", "")],
        args: SEQUENCED,
    },
    Mutation {
        name: "snapshot-of-a-replica-that-lacks-updates",
        invariant: "I6",
        edits: &[
            (
                "core/src/replica/mod.rs",
                "if summary.gaps || !effort::is_feasible(&merged)? {",
                "if !effort::is_feasible(&merged)? {",
            ),
            ("core/src/replica/mod.rs", "if txn.has_missing_updates() {", "if false {"),
            (
                "core/src/replica/mod.rs",
                "txn.encode_state_as_update_v1(&StateVector::default())",
                "txn.encode_diff_v1(&StateVector::default())",
            ),
        ],
        args: &[],
    },
    Mutation {
        name: "listed-takes-missing-for-empty",
        invariant: "I7",
        edits: &[(
            "core/src/listed/read.rs",
            "decode(entry, &value.ok_or(Fault::Lacks(entry, LogError::Unavailable))?)",
            "decode(entry, &value.unwrap_or_else(super::write::mark))",
        )],
        args: LISTED,
    },
    Mutation {
        name: "listed-writes-the-value-before-its-parts",
        invariant: "I8",
        edits: &[(
            "core/src/listed/write.rs",
            "        for (index, part) in entry.parts.into_iter().enumerate() {\n",
            "        kv.set(&at.key(), entry.value.clone()).await?;\n        \
             for (index, part) in entry.parts.into_iter().enumerate() {\n",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-writes-the-value-before-its-parts",
        invariant: "I8",
        edits: &[(
            "core/src/kv/parts.rs",
            "    for (index, part) in encoded.parts.into_iter().enumerate() {\n",
            "    kv.set(&place.key(), encoded.value.clone()).await?;\n    \
             for (index, part) in encoded.parts.into_iter().enumerate() {\n",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "listed-revives-a-dead-generation",
        invariant: "I9",
        edits: &[(
            "core/src/listed/view.rs",
            "Key::Tombstone(generation) => generation.saturating_add(1),",
            "Key::Tombstone(generation) => generation,",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-deletes-without-a-tombstone",
        invariant: "I9",
        edits: &[(
            "core/src/sequenced/delete.rs",
            "self.kv.set(&key, tombstone.encode(usize::MAX, usize::MAX).value).await?;",
            "return Ok(());",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "listed-tells-only-what-is-newer",
        invariant: "I10",
        edits: &[(
            "core/src/listed/read.rs",
            "live.entries.iter().filter(|entry| !known.contains(&entry.id)) {",
            "live.entries.iter().filter(|entry| !known.contains(&entry.id) && entry.time.0 > since.number() % (1 << 44)) {",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-place-passes-a-pending-number",
        invariant: "I10",
        edits: &[(
            "core/src/sequenced/load.rs",
            "Seen::new(generation, view.top.max(seen.number), news.pending).offset()",
            "Seen::new(generation, view.top.max(seen.number), Numbers::default()).offset()",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "room-answers-before-it-is-stored",
        invariant: "I1",
        edits: &[(
            "core/src/room/owed.rs",
            "(Owed::Reply(reply), _) if ready => {",
            "(Owed::Reply(reply), _) => {",
        )],
        args: ROOMS,
    },
    Mutation {
        name: "room-does-not-read-again",
        invariant: "I10",
        edits: &[(
            "core/src/room/rereads.rs",
            "            rereads.at = None;\n            self.all_behind();\n",
            "            rereads.at = None;\n",
        )],
        args: ROOMS,
    },
    Mutation {
        name: "room-forgets-the-place-of-a-session",
        invariant: "I10",
        edits: &[("core/src/room/parking.rs", "self.follow_from(now, conn, place);", "let _ = place;")],
        args: ROOMS,
    },
];
