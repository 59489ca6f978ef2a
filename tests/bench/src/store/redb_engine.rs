//! redb: a copy-on-write B-tree in one file, pure Rust. `Durability::Immediate`, a cache of 16 MB; the quick variant
//! saves the allocator's state with each commit (two-phase), so that an open after a crash reads nothing more.

use std::path::Path;

use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition, WriteTransaction};

use super::engine::{Batch, Engine, Loaded, Meta, Result, snapshot_value, split_snapshot};

const METAS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("metas");
const UPDATES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("updates");
const SNAPSHOTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("snapshots");

/// An open redb file.
pub(crate) struct Redb {
    db: Database,
    quick: bool,
}

impl Redb {
    /// Opens or creates the file and its tables.
    pub(crate) fn open(dir: &Path, quick: bool) -> Result<Self> {
        let db = Builder::new().set_cache_size(16 << 20).create(dir.join("store.redb"))?;
        let this = Self { db, quick };
        if this.db.begin_read()?.open_table(METAS).is_err() {
            let txn = this.begin()?;
            txn.open_table(METAS)?;
            txn.open_table(UPDATES)?;
            txn.open_table(SNAPSHOTS)?;
            txn.commit()?;
        }
        Ok(this)
    }

    fn begin(&self) -> Result<WriteTransaction> {
        let mut txn = self.db.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        txn.set_quick_repair(self.quick);
        Ok(txn)
    }
}

impl Engine for Redb {
    fn append(&self, batch: &Batch) -> Result<()> {
        let txn = self.begin()?;
        {
            let mut updates = txn.open_table(UPDATES)?;
            for update in &batch.updates {
                updates.insert((update.id, update.seq), update.bytes.as_slice())?;
            }
            let mut metas = txn.open_table(METAS)?;
            for (name, meta) in &batch.metas {
                metas.insert(name.as_str(), meta.encode().as_slice())?;
            }
        }
        txn.commit()?;
        Ok(())
    }

    fn meta(&self, name: &str) -> Result<Option<Meta>> {
        let row = self.db.begin_read()?.open_table(METAS)?.get(name)?;
        row.map(|row| Meta::decode(row.value())).transpose()
    }

    fn load(&self, name: &str) -> Result<Loaded> {
        let txn = self.db.begin_read()?;
        let Some(meta) = txn.open_table(METAS)?.get(name)? else { return Ok(Loaded::default()) };
        let id = Meta::decode(meta.value())?.id;
        let snapshot =
            txn.open_table(SNAPSHOTS)?.get(id)?.map(|row| split_snapshot(row.value())).transpose()?;
        let after = snapshot.as_ref().map_or(0, |(through, _)| through + 1);
        let mut updates = Vec::new();
        for row in txn.open_table(UPDATES)?.range((id, after)..=(id, u64::MAX))? {
            let (key, value) = row?;
            updates.push((key.value().1, value.value().to_vec()));
        }
        Ok(Loaded { snapshot, updates })
    }

    fn compact(&self, name: &str, meta: &Meta, through: u64, snapshot: &[u8]) -> Result<()> {
        let txn = self.begin()?;
        {
            txn.open_table(SNAPSHOTS)?.insert(meta.id, snapshot_value(through, snapshot).as_slice())?;
            txn.open_table(UPDATES)?.retain_in((meta.id, 0)..=(meta.id, through), |_, _| false)?;
            txn.open_table(METAS)?.insert(name, meta.encode().as_slice())?;
        }
        txn.commit()?;
        Ok(())
    }

    fn reclaim(&mut self) -> Result<()> {
        self.db.compact()?;
        Ok(())
    }
}
