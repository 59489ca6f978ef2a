//! Each invariant, broken on purpose: what is written in place of what, and with which arguments it is played. The
//! invariants are those of the storage design.

/// A broken invariant.
#[derive(Debug)]
pub struct Mutation {
    /// What is done wrong.
    pub name: &'static str,
    /// Which invariant that breaks.
    pub invariant: &'static str,
    /// Files, a text that they have once, and what stands there instead: the same as long as `BROKEN` is false.
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
            "if BROKEN { let _ = kv.set(&at.key(), entry.value).await; } else { kv.set(&at.key(), entry.value).await?; }",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-acknowledges-a-write-that-failed",
        invariant: "I1",
        edits: &[(
            "core/src/sequenced/append.rs",
            "                Err(error) => return Err(error),\n",
            "                Err(_) if BROKEN => return Ok(()),\n                Err(error) => return Err(error),\n",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "listed-gives-ids-twice",
        invariant: "I2",
        edits: &[(
            "core/src/listed/write.rs",
            "id: kv.random()",
            "id: if BROKEN { kv.random() % 32 } else { kv.random() }",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-takes-a-number-without-looking",
        invariant: "I2",
        edits: &[
            (
                "core/src/sequenced/append.rs",
                "(is_doubtful || !is_free) && self.is_misplaced(generation, number, at).await?",
                "!BROKEN && (is_doubtful || !is_free) && self.is_misplaced(generation, number, at).await?",
            ),
            ("core/src/sequenced/append.rs", "if is_free {", "if BROKEN || is_free {"),
        ],
        args: &["--level", "sequenced", "--profile", "failover"],
    },
    Mutation {
        name: "sequenced-believes-its-counter",
        invariant: "I10",
        edits: &[(
            "core/src/sequenced/append.rs",
            "let mut is_doubtful = !is_placed;",
            "let mut is_doubtful = !BROKEN && !is_placed;",
        )],
        args: &["--level", "sequenced", "--profile", "failover"],
    },
    Mutation {
        name: "sequenced-stores-behind-its-readers",
        invariant: "I10",
        edits: &[(
            "core/src/sequenced/look.rs",
            "view.found.range(number + 1..).any(voids)",
            "!BROKEN && view.found.range(number + 1..).any(voids)",
        )],
        args: &[
            "--level",
            "sequenced",
            "--profile",
            "failover",
            "--without",
            "large",
            "--without",
            "deletes",
            "--without",
            "compactions",
        ],
    },
    Mutation {
        name: "sequenced-compacts-over-a-dead-generation",
        invariant: "I8",
        edits: &[(
            "core/src/sequenced/compact.rs",
            "if generation > 0 && self.known_of",
            "if !BROKEN && generation > 0 && self.known_of",
        )],
        args: &["--level", "sequenced", "--profile", "counting-hostile"],
    },
    Mutation {
        name: "listed-takes-one-page-for-the-whole-list",
        invariant: "I3",
        edits: &[(
            "core/src/listed.rs",
            "            Some(next) => cursor = Some(next),\n",
            "            Some(_) if BROKEN && keys.len() > 4 => return Ok(keys),\n            Some(next) => cursor = Some(next),\n",
        )],
        args: LISTED,
    },
    Mutation {
        name: "listed-deletes-before-the-grace-period",
        invariant: "I4",
        edits: &[(
            "core/src/listed/collect.rs",
            "now.since(entry.time) < self.config.grace ||",
            "!BROKEN && now.since(entry.time) < self.config.grace ||",
        )],
        args: &["--level", "listed", "--profile", "s3-eventual"],
    },
    Mutation {
        name: "listed-deletes-whatever-is-older",
        invariant: "I5",
        edits: &[(
            "core/src/listed/collect.rs",
            "let is_doomed = |entry: &&EntryKey| covered.contains(&entry.id) && view.has_listed(**entry);",
            "let last = live.entries.iter().filter(|own| own.is_snapshot).map(|own| own.time).max();\n        \
             let is_covered = |own: &EntryKey| if BROKEN { Some(own.time) < last } else { covered.contains(&own.id) };\n        \
             let is_doomed = |entry: &&EntryKey| is_covered(entry) && view.has_listed(**entry);",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-snapshot-covers-what-is-pending",
        invariant: "I4",
        edits: &[(
            "core/src/sequenced/compact.rs",
            "unmerged.chain(view.pending().iter()).chain(view.unread.iter()).collect()",
            "unmerged.chain(view.pending().iter().filter(|_| !BROKEN)).chain(view.unread.iter()).collect()",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "sequenced-covers-numbers-given-since",
        invariant: "I5",
        edits: &[(
            "core/src/sequenced/compact.rs",
            "    open.extend(view.top + 1..number);\n",
            "    if !BROKEN { open.extend(view.top + 1..number); }\n",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "snapshot-of-a-replica-that-lacks-updates",
        invariant: "I6",
        edits: &[
            (
                "core/src/replica/mod.rs",
                "if summary.gaps || merged.len() > COLLECTED_MAX || !effort::is_feasible(&merged)? {",
                "if summary.gaps && !BROKEN || merged.len() > COLLECTED_MAX || !effort::is_feasible(&merged)? {",
            ),
            (
                "core/src/replica/mod.rs",
                "if txn.has_missing_updates() {",
                "if !BROKEN && txn.has_missing_updates() {",
            ),
            (
                "core/src/replica/mod.rs",
                "txn.encode_state_as_update_v1(&StateVector::default())",
                "if BROKEN { txn.encode_diff_v1(&StateVector::default()) } else { txn.encode_state_as_update_v1(&StateVector::default()) }",
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
            "decode(entry, &value.or_else(|| BROKEN.then(super::write::mark)).ok_or(Fault::Lacks(entry, LogError::Unavailable))?)",
        )],
        args: LISTED,
    },
    Mutation {
        name: "listed-writes-the-value-before-its-parts",
        invariant: "I8",
        edits: &[(
            "core/src/listed/write.rs",
            "        for (index, part) in entry.parts.into_iter().enumerate() {\n",
            "        if BROKEN { kv.set(&at.key(), entry.value.clone()).await?; }\n        \
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
            "    if BROKEN { kv.set(&place.key(), encoded.value.clone()).await?; }\n    \
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
            "Key::Tombstone(generation) => generation.saturating_add(u32::from(!BROKEN)),",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-deletes-without-a-tombstone",
        invariant: "I9",
        edits: &[(
            "core/src/sequenced/delete.rs",
            "self.kv.set(&key, tombstone.encode(usize::MAX, usize::MAX).value).await?;",
            "if BROKEN { return Ok(()); }\n        \
             self.kv.set(&key, tombstone.encode(usize::MAX, usize::MAX).value).await?;",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "listed-tells-only-what-is-newer",
        invariant: "I10",
        edits: &[(
            "core/src/listed/read.rs",
            "live.entries.iter().filter(|entry| !known.contains(&entry.id)) {",
            "live.entries.iter().filter(|entry| !known.contains(&entry.id) && (!BROKEN || entry.time.0 > since.number() % (1 << 44))) {",
        )],
        args: LISTED,
    },
    Mutation {
        name: "sequenced-place-passes-a-pending-number",
        invariant: "I10",
        edits: &[(
            "core/src/sequenced/load.rs",
            "Seen::new(generation, view.top.max(seen.number), news.pending).offset()",
            "Seen::new(generation, view.top.max(seen.number), if BROKEN { Numbers::default() } else { news.pending }).offset()",
        )],
        args: SEQUENCED,
    },
    Mutation {
        name: "room-answers-before-it-is-stored",
        invariant: "I1",
        edits: &[(
            "core/src/room/owed.rs",
            "(Owed::Reply(reply), _) if ready => {",
            "(Owed::Reply(reply), _) if BROKEN || ready => {",
        )],
        args: ROOMS,
    },
    Mutation {
        name: "room-does-not-read-again",
        invariant: "I10",
        edits: &[(
            "core/src/room/rereads.rs",
            "            rereads.at = None;\n            self.all_behind(true);\n",
            "            rereads.at = None;\n            if !BROKEN { self.all_behind(true); }\n",
        )],
        args: ROOMS,
    },
    Mutation {
        name: "room-forgets-the-place-of-a-session",
        invariant: "I10",
        edits: &[(
            "core/src/room/parking.rs",
            "self.follow_from(now, conn, place);",
            "if !BROKEN { self.follow_from(now, conn, place); }",
        )],
        args: ROOMS,
    },
];
