//! The object's SQLite. Every call is synchronous; what it throws is an error here, and never passes through our frames:
//! nothing would be cleaned up behind it.

use bytes::Bytes;
use js_sys::{Array, ArrayBuffer, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use yonder_core::log::LogError;

#[wasm_bindgen]
extern "C" {
    /// `ctx.storage`, as far as it is synchronous.
    #[derive(Clone, Debug)]
    type Storage;
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &Storage,
        work: &mut dyn FnMut() -> Result<(), JsValue>,
    ) -> Result<JsValue, JsValue>;

    #[derive(Clone, Debug)]
    type Statements;
    #[wasm_bindgen(method, catch, variadic)]
    fn exec(this: &Statements, query: &str, parameters: Array) -> Result<Cursor, JsValue>;

    type Cursor;
    #[wasm_bindgen(method, catch)]
    fn raw(this: &Cursor) -> Result<Rows, JsValue>;

    type Rows;
    #[wasm_bindgen(method, catch, js_name = toArray)]
    fn to_array(this: &Rows) -> Result<Array, JsValue>;
}

/// One document's database.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    storage: Storage,
    statements: Statements,
}

/// A row: its columns in their order.
pub(crate) struct Row(Array);

impl Sql {
    /// Of `ctx.storage`.
    pub(crate) fn new(storage: &JsValue) -> Result<Self, JsValue> {
        let statements = Reflect::get(storage, &JsValue::from_str("sql"))?;
        Ok(Self { storage: storage.clone().unchecked_into(), statements: statements.unchecked_into() })
    }

    /// Runs a statement whose rows are not wanted.
    pub(crate) fn run(&self, query: &str, parameters: &[JsValue]) -> Result<(), LogError> {
        self.statements.exec(query, parameters.iter().collect()).map(|_| ()).map_err(|error| failed(&error))
    }

    /// Runs a query, and reads each row.
    pub(crate) fn rows<T>(
        &self,
        query: &str,
        parameters: &[JsValue],
        mut read: impl FnMut(&Row) -> Option<T>,
    ) -> Result<Vec<T>, LogError> {
        let rows = self.ask(query, parameters).map_err(|error| failed(&error))?;
        rows.iter().map(|row| read(&Row(row.unchecked_into())).ok_or(LogError::Corrupt)).collect()
    }

    /// All rows at once: each call from Wasm to the platform costs as much as a small row.
    fn ask(&self, query: &str, parameters: &[JsValue]) -> Result<Array, JsValue> {
        self.statements.exec(query, parameters.iter().collect())?.raw()?.to_array()
    }

    /// The first row, if there is one.
    pub(crate) fn row<T>(
        &self,
        query: &str,
        parameters: &[JsValue],
        read: impl FnMut(&Row) -> Option<T>,
    ) -> Result<Option<T>, LogError> {
        Ok(self.rows(query, parameters, read)?.into_iter().next())
    }

    /// Does all or, with an error, nothing.
    pub(crate) fn transaction<T>(&self, work: impl FnOnce() -> Result<T, LogError>) -> Result<T, LogError> {
        let (mut work, mut result) = (Some(work), Err(LogError::Unavailable));
        let committed = self.storage.transaction_sync(&mut || {
            if let Some(work) = work.take() {
                result = work();
            }
            // Thrown, it undoes what was done.
            result.as_ref().map(|_| ()).map_err(|error| JsValue::from_str(&error.to_string()))
        });
        match committed {
            Ok(_) => result,
            // The commit itself, where the work was done.
            Err(error) => Err(result.err().unwrap_or_else(|| failed(&error))),
        }
    }
}

impl Row {
    pub(crate) fn number(&self, column: u32) -> Option<u64> {
        // What we wrote is a whole number below 2^53.
        self.0.get(column).as_f64().filter(|number| *number >= 0.0).map(|number| number as u64)
    }

    pub(crate) fn text(&self, column: u32) -> Option<String> {
        self.0.get(column).as_string()
    }

    pub(crate) fn bytes(&self, column: u32) -> Option<Bytes> {
        let buffer = self.0.get(column).dyn_into::<ArrayBuffer>().ok()?;
        Some(Uint8Array::new(&buffer).to_vec().into())
    }
}

/// A number as a parameter.
pub(crate) fn number(number: u64) -> JsValue {
    JsValue::from_f64(number as f64)
}

/// Bytes as a parameter.
pub(crate) fn blob(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

/// What an exception means for a log.
fn failed(error: &JsValue) -> LogError {
    let text = Reflect::get(error, &JsValue::from_str("message")).ok().and_then(|text| text.as_string());
    let text = text.or_else(|| error.as_string()).unwrap_or_default();
    worker::console_error!("the object's storage failed: {text}");
    match () {
        () if text.contains("SQLITE_FULL") || text.contains("SQLITE_TOOBIG") => LogError::Refused,
        () if text.contains("SQLITE_CORRUPT") || text.contains("SQLITE_NOTADB") => LogError::Corrupt,
        () => LogError::Unavailable,
    }
}
