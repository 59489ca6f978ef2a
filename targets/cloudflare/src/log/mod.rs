//! The document's log in its object's SQLite.
//!
//! Storage is synchronous here: an answer is there before the next effect of the room is carried out. What leaves the
//! object afterwards is held back by the platform's output gate until the write is durable, so that an acknowledgement
//! that was given right behind a write cannot overtake it.
//!
//! Only what lies in R2 takes time; it is [`Log::load`]'s and the like's answer that it does.

mod entries;
mod parts;
mod schema;
mod versions;

use crate::sql::Sql;
use bytes::Bytes;
pub(crate) use schema::{Head, Listing};
use wasm_bindgen::JsValue;
use yonder_core::Millis;
use yonder_core::log::{Life, Loaded, LogError, Offset, Tail};

/// The log of one document.
pub(crate) struct Log {
    sql: Sql,
    /// The document's name, as [`yonder_core::DocName::internal`] has it.
    name: String,
    /// What is known of it; none if it must be read.
    head: Option<Option<Head>>,
    /// Something in R2 is perhaps garbage.
    pub(crate) has_litter: bool,
}

/// Part of a transaction: it changes other tables as well.
type Change<'a> = dyn FnMut(&Sql, &mut Option<Head>) -> Result<(), LogError> + 'a;

/// Where a large value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// Here.
    Bytes(Bytes),
    /// In R2, under this name.
    Key { key: String, bytes: u64 },
}

/// A document, its snapshot perhaps elsewhere.
pub(crate) struct Found {
    pub(crate) snapshot: Option<Body>,
    pub(crate) updates: Vec<(Offset, Bytes)>,
    pub(crate) tail: Tail,
}

impl Log {
    /// `name`: as the platform knows it.
    pub(crate) fn new(sql: Sql, name: Option<String>) -> Result<Self, LogError> {
        let mut log = Self { sql, name: name.unwrap_or_default(), head: None, has_litter: false };
        // The platform does not promise to tell an alarm.
        if log.name.is_empty() {
            log.name = log.head()?.map(|head| head.name.clone()).unwrap_or_default();
        }
        Ok(log)
    }

    /// The document's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The document's row; none if it never was.
    pub(crate) fn head(&mut self) -> Result<Option<&Head>, LogError> {
        if self.head.is_none() {
            self.head = Some(schema::read(&self.sql)?);
        }
        Ok(self.head.as_ref().and_then(Option::as_ref))
    }

    /// Whether the catalog has not been told that the document began or ended, as far as that is known without reading.
    pub(crate) fn is_unlisted(&self) -> bool {
        self.known().is_some_and(|head| head.listed.life != head.life)
    }

    /// Whether something else is left to do about the document, likewise: what is published is not its newest snapshot, or
    /// the catalog was told another size.
    pub(crate) fn has_chores(&self, publishes: bool) -> bool {
        self.known().is_some_and(|head| {
            head.listed != head.listing() || publishes && head.published != head.tail.snapshot
        })
    }

    fn known(&self) -> Option<&Head> {
        self.head.as_ref().and_then(Option::as_ref)
    }

    /// Changes the document's row, and what goes with it, all or nothing.
    fn change<T>(
        &mut self,
        change: impl FnOnce(&Sql, &mut Option<Head>) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let mut done = None;
        let (mut change, result) = (Some(change), &mut done);
        self.change_with(&mut |sql, head| {
            *result = change.take().map(|change| change(sql, head)).transpose()?;
            Ok(())
        })?;
        done.ok_or(LogError::Unavailable)
    }

    fn change_with(&mut self, change: &mut Change<'_>) -> Result<(), LogError> {
        self.head()?;
        let before = self.head.take().flatten();
        let mut head = before.clone();
        let sql = &self.sql;
        let result = sql.transaction(|| {
            change(sql, &mut head)?;
            match head.as_ref().filter(|head| before.as_ref() != Some(*head)) {
                Some(head) => schema::write(sql, head),
                None => Ok(()),
            }
        });
        // After an error it is read again: a write that failed may have been done.
        self.head = result.is_ok().then_some(head);
        result
    }

    /// Stores updates behind the last one.
    pub(crate) fn append(&mut self, updates: &[Bytes]) -> Result<Tail, LogError> {
        match self.head()?.map(Head::is_live) {
            None => return self.create(updates).map(|(_, tail)| tail),
            Some(false) => return Err(LogError::Deleted),
            Some(true) => {}
        }
        // Not by `change`: the document's own row stays as it is, and one insertion needs no transaction.
        let Some(head) = self.head.as_mut().and_then(Option::as_mut) else { return Err(LogError::Corrupt) };
        let (sql, end) = (&self.sql, &head.tail.end);
        let pushed = match updates {
            [update] if update.len() < schema::VALUE_MAX => entries::push(sql, end, updates),
            _ => sql.transaction(|| entries::push(sql, end, updates)),
        };
        if let Err(error) = pushed {
            self.head = None;
            return Err(error);
        }
        head.tail.grow(updates);
        Ok(head.tail.clone())
    }

    /// Makes the document unless it is there.
    pub(crate) fn create(&mut self, updates: &[Bytes]) -> Result<(bool, Tail), LogError> {
        let name = self.name.clone();
        if name.is_empty() {
            worker::console_error!("the platform does not tell the object's name");
            return Err(LogError::Refused);
        }
        self.change(|sql, head| {
            let head = match head {
                Some(head) if head.is_live() => return Ok((true, head.tail.clone())),
                Some(head) => head,
                None => {
                    schema::make(sql)?;
                    head.insert(Head {
                        name,
                        life: 0,
                        tail: Tail::default(),
                        snapshot_key: None,
                        snapshot_at: Millis(0),
                        published: Offset::START,
                        listed: Listing::default(),
                    })
                }
            };
            // A deleted one's numbers go on where they were: a place of before is never one of now.
            head.tail.life = Life::Live;
            head.life += 1;
            entries::push(sql, &head.tail.end, updates)?;
            head.tail.grow(updates);
            Ok((false, head.tail.clone()))
        })
    }

    /// Deletes the document; whether there was something to delete.
    pub(crate) fn delete(&mut self) -> Result<(bool, Tail), LogError> {
        self.has_litter = true;
        self.change(|sql, head| {
            let Some(head) = head else { return Ok((false, Tail::default())) };
            if !head.is_live() {
                return Ok((false, head.tail.clone()));
            }
            for table in ["entry", "part", "version"] {
                if table == "version" {
                    sql.run(
                        "INSERT OR IGNORE INTO orphan SELECT key FROM version WHERE key IS NOT NULL",
                        &[],
                    )?;
                }
                sql.run(&format!("DELETE FROM {table}"), &[])?;
            }
            if let Some(key) = head.snapshot_key.take() {
                orphan(sql, &key)?;
            }
            head.tail = Tail { life: Life::Deleted, end: head.tail.end.clone(), ..Tail::default() };
            head.life += 1;
            Ok((true, head.tail.clone()))
        })
    }

    /// What comes behind a place.
    pub(crate) fn load(&mut self, since: &Offset) -> Result<Found, LogError> {
        let Some(head) = self.head()?.cloned() else {
            return Ok(Found { snapshot: None, updates: Vec::new(), tail: Tail::default() });
        };
        let tail = head.tail;
        if *since >= tail.end {
            return Ok(Found { snapshot: None, updates: Vec::new(), tail });
        }
        let snapshot = if *since < tail.snapshot { self.snapshot()? } else { None };
        Ok(Found { snapshot, updates: entries::read(&self.sql, since.max(&tail.snapshot))?, tail })
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&mut self) -> Result<Option<Body>, LogError> {
        let Some(head) = self.head()?.filter(|head| head.tail.snapshot != Offset::START) else {
            return Ok(None);
        };
        let bytes = head.tail.snapshot_bytes;
        Ok(Some(match head.snapshot_key.clone() {
            Some(key) => Body::Key { key, bytes },
            None => Body::Bytes(parts::read(&self.sql, parts::SNAPSHOT, bytes)?),
        }))
    }

    /// The snapshot up to `upto`, made of all that was there, takes the place of what it was made of. None if that is not
    /// there any more: the document was deleted meanwhile, or compacted.
    pub(crate) fn replace(
        &mut self,
        from: &Tail,
        life: u64,
        body: &Body,
        now: Millis,
    ) -> Result<Option<Tail>, LogError> {
        self.change(|sql, head| {
            let Some(head) = head else { return Ok(None) };
            if head.life != life || head.tail.snapshot != from.snapshot {
                return Ok(None);
            }
            if let Some(key) = head.snapshot_key.take() {
                orphan(sql, &key)?;
            }
            let bytes = match body {
                Body::Bytes(snapshot) => {
                    parts::put(sql, parts::SNAPSHOT, snapshot)?;
                    snapshot.len() as u64
                }
                Body::Key { key, bytes } => {
                    parts::delete(sql, parts::SNAPSHOT)?;
                    adopt(sql, key)?;
                    head.snapshot_key = Some(key.clone());
                    *bytes
                }
            };
            entries::delete(sql, &from.end)?;
            let (updates, left) = entries::sums(sql)?;
            let tail = &mut head.tail;
            (tail.snapshot, tail.snapshot_bytes) = (from.end.clone(), bytes);
            (tail.updates, tail.bytes) = (updates, left);
            head.snapshot_at = now;
            Ok(Some(tail.clone()))
        })
    }

    /// Notes what is published.
    pub(crate) fn published(&mut self, upto: Offset) -> Result<(), LogError> {
        self.note(|head| head.published = upto)
    }

    /// Notes what the catalog knows.
    pub(crate) fn listed(&mut self, listing: Listing) -> Result<(), LogError> {
        self.note(|head| head.listed = listing)
    }

    fn note(&mut self, note: impl FnOnce(&mut Head)) -> Result<(), LogError> {
        self.change(|_, head| {
            head.as_mut().map(note);
            Ok(())
        })
    }

    /// Notes a name in R2 before something is put there: if nothing comes to refer to it, it is garbage.
    pub(crate) fn expect(&mut self, key: &str) -> Result<(), LogError> {
        self.has_litter = true;
        orphan(&self.sql, key)
    }

    /// Names in R2 to which nothing refers.
    pub(crate) fn orphans(&mut self) -> Result<Vec<String>, LogError> {
        let keys = match self.head()? {
            Some(_) => self.sql.rows("SELECT key FROM orphan", &[], |row| row.text(0))?,
            None => Vec::new(),
        };
        self.has_litter = !keys.is_empty();
        Ok(keys)
    }

    /// Forgets a name that is no more.
    pub(crate) fn buried(&self, key: &str) -> Result<(), LogError> {
        adopt(&self.sql, key)
    }
}

fn orphan(sql: &Sql, key: &str) -> Result<(), LogError> {
    sql.run("INSERT OR IGNORE INTO orphan (key) VALUES (?)", &[JsValue::from_str(key)])
}

fn adopt(sql: &Sql, key: &str) -> Result<(), LogError> {
    sql.run("DELETE FROM orphan WHERE key = ?", &[JsValue::from_str(key)])
}

/// A tail that gets longer.
trait Grow {
    fn grow(&mut self, updates: &[Bytes]);
}

impl Grow for Tail {
    fn grow(&mut self, updates: &[Bytes]) {
        let count = updates.len() as u64;
        self.end = Offset::new(self.end.number() + count);
        self.updates += count;
        self.bytes += updates.iter().map(|update| update.len() as u64).sum::<u64>();
    }
}

impl Body {
    /// The value, unless it is in R2.
    pub(crate) fn here(self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Key { .. } => None,
        }
    }
}

impl Found {
    /// As the room wants it, with its snapshot.
    pub(crate) fn with(self, snapshot: Option<Bytes>) -> Loaded {
        Loaded { snapshot, updates: self.updates, tail: self.tail }
    }
}
