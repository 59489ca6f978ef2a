//! fjall: an LSM tree over a journal, pure Rust. Batches commit with `PersistMode::SyncData`; small caches, memtables
//! of 8 MB, one worker thread, snapshots in a keyspace whose values are kept apart from the keys.

use std::path::Path;

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode, Readable,
};

use super::engine::{
    Batch, Engine, Loaded, Meta, Result, key_seq, snapshot_value, split_snapshot, update_key,
};

/// An open fjall directory.
pub(crate) struct Fjall {
    db: Database,
    metas: Keyspace,
    updates: Keyspace,
    snapshots: Keyspace,
}

impl Fjall {
    /// Opens or creates the directory and its keyspaces.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let db = Database::builder(dir.join("store.fjall"))
            .cache_size(16 << 20)
            .max_journaling_size(64 << 20)
            .worker_threads(1)
            .open()?;
        let small = || KeyspaceCreateOptions::default().max_memtable_size(8 << 20);
        Ok(Self {
            metas: db.keyspace("metas", small)?,
            updates: db.keyspace("updates", small)?,
            snapshots: db
                .keyspace("snapshots", || small().with_kv_separation(Some(KvSeparationOptions::default())))?,
            db,
        })
    }

    fn batch(&self) -> OwnedWriteBatch {
        self.db.batch().durability(Some(PersistMode::SyncData))
    }
}

impl Engine for Fjall {
    fn append(&self, batch: &Batch) -> Result<()> {
        let mut write = self.batch();
        for update in &batch.updates {
            write.insert(&self.updates, update_key(update.id, update.seq), update.bytes.as_slice());
        }
        for (name, meta) in &batch.metas {
            write.insert(&self.metas, name.as_str(), meta.encode());
        }
        Ok(write.commit()?)
    }

    fn meta(&self, name: &str) -> Result<Option<Meta>> {
        self.metas.get(name)?.map(|row| Meta::decode(&row)).transpose()
    }

    fn load(&self, name: &str) -> Result<Loaded> {
        let view = self.db.snapshot();
        let Some(meta) = view.get(&self.metas, name)? else { return Ok(Loaded::default()) };
        let id = Meta::decode(&meta)?.id;
        let row = view.get(&self.snapshots, id.to_be_bytes())?;
        let snapshot = row.map(|row| split_snapshot(&row)).transpose()?;
        let after = snapshot.as_ref().map_or(0, |(through, _)| through + 1);
        let mut updates = Vec::new();
        for row in view.range(&self.updates, update_key(id, after)..=update_key(id, u64::MAX)) {
            let (key, value) = row.into_inner()?;
            updates.push((key_seq(&key)?, value.to_vec()));
        }
        Ok(Loaded { snapshot, updates })
    }

    fn compact(&self, name: &str, meta: &Meta, through: u64, snapshot: &[u8]) -> Result<()> {
        let mut write = self.batch();
        write.insert(&self.snapshots, meta.id.to_be_bytes(), snapshot_value(through, snapshot));
        for row in self.updates.range(update_key(meta.id, 0)..=update_key(meta.id, through)) {
            write.remove(&self.updates, row.key()?);
        }
        write.insert(&self.metas, name, meta.encode());
        Ok(write.commit()?)
    }

    fn reclaim(&mut self) -> Result<()> {
        for keyspace in [&self.metas, &self.updates, &self.snapshots] {
            keyspace.rotate_memtable_and_wait()?;
            keyspace.major_compact()?;
        }
        Ok(())
    }
}
