//! The catalogue: a key for each generation of a document, written before anything of it is.

use super::keys::read_index;
use crate::collections::Set;
use crate::kv::ListKv;
use crate::log::LogError;
use crate::name::{DocName, key_beginning};

/// Names of documents as [`crate::log::CatalogOp::List`] asks for them, in their order: it lists all that may have the
/// prefix, since keys sort otherwise than names do.
///
/// Names of documents that were deleted while somebody wrote to them may be among them, and of some whose making was
/// broken off: who needs to know asks the document.
///
/// # Errors
/// If the store cannot be listed.
pub async fn list_documents(
    kv: &impl ListKv,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<DocName>, LogError> {
    let beginning = format!("i{}", key_beginning(prefix));
    let (mut names, mut cursor) = (Set::new(), None::<String>);
    loop {
        let page = kv.list(&beginning, cursor.as_deref()).await?;
        for (name, _) in page.keys.iter().filter_map(|key| read_index(key)) {
            if name.internal().starts_with(prefix) && name.internal() > after {
                names.insert(name);
            }
            // The later ones are not asked for.
            if names.len() > limit {
                names.pop_last();
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(names.into_iter().collect()),
        }
    }
}
