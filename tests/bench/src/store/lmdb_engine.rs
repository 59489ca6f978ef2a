//! LMDB through heed (bundled C): a memory-mapped copy-on-write B-tree; each commit is synced (no `MDB_NOSYNC`,
//! no `MDB_NOMETASYNC`, no writable map).

use std::ops::Bound;
use std::path::Path;

use heed::types::{Bytes, Str};
use heed::{Database, Env, EnvOpenOptions, WithoutTls};

use super::engine::{
    Batch, Engine, Loaded, Meta, Result, key_seq, snapshot_value, split_snapshot, update_key,
};

/// The address space that the file may grow into. LMDB cannot grow it while a transaction runs.
const MAP_BYTES: usize = 64 << 30;

/// An open LMDB environment.
pub(crate) struct Lmdb {
    env: Env<WithoutTls>,
    metas: Database<Str, Bytes>,
    updates: Database<Bytes, Bytes>,
    snapshots: Database<Bytes, Bytes>,
}

impl Lmdb {
    /// Opens or creates the environment and its databases.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_BYTES).max_dbs(3);
        // SAFETY: the directory belongs to this run, so no other process changes the file while it is mapped.
        let env = unsafe { options.open(dir)? };
        let mut txn = env.write_txn()?;
        let metas = env.create_database(&mut txn, Some("metas"))?;
        let updates = env.create_database(&mut txn, Some("updates"))?;
        let snapshots = env.create_database(&mut txn, Some("snapshots"))?;
        txn.commit()?;
        Ok(Self { env, metas, updates, snapshots })
    }
}

impl Engine for Lmdb {
    fn append(&self, batch: &Batch) -> Result<()> {
        let mut txn = self.env.write_txn()?;
        for update in &batch.updates {
            self.updates.put(&mut txn, &update_key(update.id, update.seq), &update.bytes)?;
        }
        for (name, meta) in &batch.metas {
            self.metas.put(&mut txn, name, &meta.encode())?;
        }
        Ok(txn.commit()?)
    }

    fn meta(&self, name: &str) -> Result<Option<Meta>> {
        let view = self.env.read_txn()?;
        self.metas.get(&view, name)?.map(Meta::decode).transpose()
    }

    fn load(&self, name: &str) -> Result<Loaded> {
        let view = self.env.read_txn()?;
        let Some(meta) = self.metas.get(&view, name)? else { return Ok(Loaded::default()) };
        let id = Meta::decode(meta)?.id;
        let snapshot = self.snapshots.get(&view, &id.to_be_bytes())?.map(split_snapshot).transpose()?;
        let after = snapshot.as_ref().map_or(0, |(through, _)| through + 1);
        let (from, to) = (update_key(id, after), update_key(id, u64::MAX));
        let mut updates = Vec::new();
        for row in self.updates.range(&view, &(Bound::Included(&from[..]), Bound::Included(&to[..])))? {
            let (key, value) = row?;
            updates.push((key_seq(key)?, value.to_vec()));
        }
        Ok(Loaded { snapshot, updates })
    }

    fn compact(&self, name: &str, meta: &Meta, through: u64, snapshot: &[u8]) -> Result<()> {
        let mut txn = self.env.write_txn()?;
        self.snapshots.put(&mut txn, &meta.id.to_be_bytes(), &snapshot_value(through, snapshot))?;
        let (from, to) = (update_key(meta.id, 0), update_key(meta.id, through));
        self.updates.delete_range(&mut txn, &(Bound::Included(&from[..]), Bound::Included(&to[..])))?;
        self.metas.put(&mut txn, name, &meta.encode())?;
        Ok(txn.commit()?)
    }

    fn reclaim(&mut self) -> Result<()> {
        // LMDB never shrinks its file: the way is a compacting copy and a swap of the files while it is closed.
        Ok(())
    }
}
