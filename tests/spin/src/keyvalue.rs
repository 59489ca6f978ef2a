//! `spin:key-value`, `wasi:keyvalue` and `spin:variables` for the guest.

use crate::guest::Guest;
use crate::store::Answer;
use bindings::spin::key_value::key_value as spin;
use bindings::spin::variables::variables;
use bindings::wasi::keyvalue::{atomics, batch, store as wasi};
use std::sync::Arc;
use wasmtime::Result;
use wasmtime::component::{Accessor, FutureReader, HasSelf, Linker, Resource, StreamReader};

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "yonder:spin-host/imports",
        imports: { default: async | trappable },
        with: {
            "spin:key-value/key-value.store": super::Opened,
            "wasi:keyvalue/store.bucket": super::Opened,
            "wasi:keyvalue/atomics.cas": super::NoCas,
        },
        require_store_data_send: true,
    });
}

/// The label of the store that is there.
const LABEL: &str = "default";

/// A store that the guest opened.
#[allow(unreachable_pub, reason = "the generated code exports it")]
pub struct Opened(Arc<crate::store::Store>);

/// Compare-and-swap, which nobody gets.
#[allow(unreachable_pub, reason = "the generated code exports it")]
pub enum NoCas {}

pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    bindings::Imports::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)
}

impl Guest {
    fn open(&mut self, label: &str) -> Result<Option<Resource<Opened>>> {
        if label != LABEL {
            self.store.forbidden(&format!("open of the store {label:?}, which is not in the manifest,"));
            return Ok(None);
        }
        Ok(Some(self.table.push(Opened(self.store.clone()))?))
    }

    fn opened(&self, opened: &Resource<Opened>) -> Result<Arc<crate::store::Store>> {
        Ok(self.table.get(opened)?.0.clone())
    }
}

fn spin_error<T>(answer: Answer<T>) -> std::result::Result<T, spin::Error> {
    answer.map_err(spin::Error::Other)
}

fn wasi_error<T>(answer: Answer<T>) -> std::result::Result<T, wasi::Error> {
    answer.map_err(wasi::Error::Other)
}

impl spin::Host for Guest {}

impl spin::HostStore for Guest {
    async fn drop(&mut self, store: Resource<Opened>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

type Spin<T> = Result<std::result::Result<T, spin::Error>>;

/// The store behind a handle, to be used without holding on to the guest.
fn opened<T>(
    guest: &Accessor<T, HasSelf<Guest>>,
    opened: &Resource<Opened>,
) -> Result<Arc<crate::store::Store>> {
    guest.with(|mut guest| guest.get().opened(opened))
}

impl spin::HostStoreWithStore for HasSelf<Guest> {
    async fn open<T: Send>(guest: &Accessor<T, Self>, label: String) -> Spin<Resource<Opened>> {
        guest.with(|mut guest| Ok(guest.get().open(&label)?.ok_or(spin::Error::AccessDenied)))
    }

    async fn get<T: Send>(
        guest: &Accessor<T, Self>,
        store: Resource<Opened>,
        key: String,
    ) -> Spin<Option<Vec<u8>>> {
        Ok(spin_error(opened(guest, &store)?.get(key).await))
    }

    async fn set<T: Send>(
        guest: &Accessor<T, Self>,
        store: Resource<Opened>,
        key: String,
        value: Vec<u8>,
    ) -> Spin<()> {
        Ok(spin_error(opened(guest, &store)?.set(key, value).await))
    }

    async fn delete<T: Send>(guest: &Accessor<T, Self>, store: Resource<Opened>, key: String) -> Spin<()> {
        Ok(spin_error(opened(guest, &store)?.delete(key).await))
    }

    async fn exists<T: Send>(guest: &Accessor<T, Self>, store: Resource<Opened>, key: String) -> Spin<bool> {
        Ok(spin_error(opened(guest, &store)?.exists(key).await))
    }

    async fn get_keys<T: Send>(
        guest: &Accessor<T, Self>,
        store: Resource<Opened>,
    ) -> Result<(StreamReader<String>, FutureReader<std::result::Result<(), spin::Error>>)> {
        let error = spin::Error::Other(opened(guest, &store)?.forbidden("Store::get_keys"));
        guest.with(|mut guest| {
            let keys = StreamReader::new(&mut guest, Vec::new())?;
            let end = FutureReader::new(&mut guest, async { wasmtime::error::Ok(Err(error)) })?;
            Ok((keys, end))
        })
    }
}

type Wasi<T> = Result<std::result::Result<T, wasi::Error>>;

impl wasi::Host for Guest {
    async fn open(&mut self, label: String) -> Wasi<Resource<Opened>> {
        Ok(Guest::open(self, &label)?.ok_or(wasi::Error::AccessDenied))
    }
}

impl wasi::HostBucket for Guest {
    async fn get(&mut self, bucket: Resource<Opened>, key: String) -> Wasi<Option<Vec<u8>>> {
        Ok(wasi_error(self.opened(&bucket)?.get(key).await))
    }

    async fn set(&mut self, bucket: Resource<Opened>, key: String, value: Vec<u8>) -> Wasi<()> {
        Ok(wasi_error(self.opened(&bucket)?.set(key, value).await))
    }

    async fn delete(&mut self, bucket: Resource<Opened>, key: String) -> Wasi<()> {
        Ok(wasi_error(self.opened(&bucket)?.delete(key).await))
    }

    async fn exists(&mut self, bucket: Resource<Opened>, key: String) -> Wasi<bool> {
        Ok(wasi_error(self.opened(&bucket)?.exists(key).await))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Opened>,
        cursor: Option<String>,
    ) -> Wasi<wasi::KeyResponse> {
        if cursor.is_some() {
            return Ok(Err(wasi::Error::Other("list_keys: cursor not supported".to_owned())));
        }
        let keys = wasi_error(self.opened(&bucket)?.list_keys().await);
        Ok(keys.map(|keys| wasi::KeyResponse { keys, cursor: None }))
    }

    async fn drop(&mut self, bucket: Resource<Opened>) -> Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for Guest {
    async fn increment(&mut self, bucket: Resource<Opened>, key: String, delta: i64) -> Wasi<i64> {
        Ok(wasi_error(self.opened(&bucket)?.increment(key, delta).await))
    }

    async fn swap(
        &mut self,
        _: Resource<NoCas>,
        _: Vec<u8>,
    ) -> Result<std::result::Result<(), atomics::CasError>> {
        let error = wasi::Error::Other(self.store.forbidden("atomics::swap"));
        Ok(Err(atomics::CasError::StoreError(error)))
    }
}

impl atomics::HostCas for Guest {
    async fn new(&mut self, _: Resource<Opened>, _: String) -> Wasi<Resource<NoCas>> {
        Ok(Err(wasi::Error::Other(self.store.forbidden("Cas::new"))))
    }

    async fn current(&mut self, _: Resource<NoCas>) -> Wasi<Option<Vec<u8>>> {
        Ok(Err(wasi::Error::Other(self.store.forbidden("Cas::current"))))
    }

    async fn drop(&mut self, _: Resource<NoCas>) -> Result<()> {
        Ok(())
    }
}

impl batch::Host for Guest {
    async fn get_many(
        &mut self,
        _: Resource<Opened>,
        _: Vec<String>,
    ) -> Wasi<Vec<(String, Option<Vec<u8>>)>> {
        Ok(Err(wasi::Error::Other(self.store.forbidden("batch::get_many"))))
    }

    async fn set_many(&mut self, _: Resource<Opened>, _: Vec<(String, Vec<u8>)>) -> Wasi<()> {
        Ok(Err(wasi::Error::Other(self.store.forbidden("batch::set_many"))))
    }

    async fn delete_many(&mut self, _: Resource<Opened>, _: Vec<String>) -> Wasi<()> {
        Ok(Err(wasi::Error::Other(self.store.forbidden("batch::delete_many"))))
    }
}

impl variables::Host for Guest {}

impl variables::HostWithStore for HasSelf<Guest> {
    async fn get<T: Send>(
        guest: &Accessor<T, Self>,
        name: String,
    ) -> Result<std::result::Result<String, variables::Error>> {
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(named) {
            return Ok(Err(variables::Error::InvalidName(name)));
        }
        let value = guest.with(|mut guest| guest.get().variables.get(&name).cloned());
        Ok(value.ok_or_else(|| variables::Error::Undefined(format!("no variable for {name:?}"))))
    }
}
