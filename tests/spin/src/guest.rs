//! What an instance of the component has, and how instances come about.

use crate::keyvalue;
use crate::outbound::Outbound;
use crate::report::{Gauge, One, Report};
use crate::store::Store as KeyValue;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Config, Engine, ResourceLimiter, Result, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;
use wasmtime_wasi_http::handler::{HandlerState, ProxyHandler, ProxyPre, StoreBundle};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::p3::{WasiHttpCtxView, WasiHttpView};

/// The data of one instance.
pub(crate) struct Guest {
    pub(crate) table: ResourceTable,
    pub(crate) store: Arc<KeyValue>,
    pub(crate) variables: Arc<BTreeMap<String, String>>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    bounds: Bounds,
    _alive: One,
}

/// The memory of one instance.
struct Bounds {
    most: usize,
    report: Arc<Report>,
}

impl ResourceLimiter for Bounds {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let grows = desired <= self.most;
        if grows {
            self.report.memory.fetch_max(desired as u64, Relaxed);
        }
        Ok(grows)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

/// How long an instance is used, for how many requests, and the bytes of memory that it may have.
#[derive(Clone, Copy)]
pub(crate) struct Reuse {
    pub(crate) count: usize,
    pub(crate) concurrent: usize,
    pub(crate) idle: Duration,
    pub(crate) memory: usize,
}

/// Makes instances.
pub(crate) struct Instances {
    engine: Engine,
    reuse: Reuse,
    store: Arc<KeyValue>,
    variables: Arc<BTreeMap<String, String>>,
    outbound: Outbound,
    pub(crate) report: Arc<Report>,
}

impl Instances {
    pub(crate) fn new(
        reuse: Reuse,
        store: KeyValue,
        variables: BTreeMap<String, String>,
        outbound: Outbound,
        report: Arc<Report>,
    ) -> Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        let engine = Engine::new(&config)?;
        Ok(Self { engine, reuse, store: Arc::new(store), variables: Arc::new(variables), outbound, report })
    }

    /// Gives the component what Spin gives it. What it is compiled to is kept in a folder, if there is one.
    pub(crate) fn handler(self, component: &Path, kept: Option<&Path>) -> Result<ProxyHandler<Self>> {
        let mut linker = Linker::new(&self.engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        keyvalue::add_to_linker(&mut linker)?;
        let bytes =
            std::fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
        let component = match kept {
            Some(folder) => compiled(&self.engine, &bytes, folder)?,
            None => Component::from_binary(&self.engine, &bytes)?,
        };
        let component =
            linker.instantiate_pre(&component).context("the component wants what Spin has not")?;
        let service =
            ServicePre::new(component).context("the component serves no wasi:http 0.3.0-rc-2026-03-15")?;
        Ok(ProxyHandler::new(self, ProxyPre::P3(service)))
    }
}

/// The component as an earlier run compiled it, or as this one does.
fn compiled(engine: &Engine, bytes: &[u8], folder: &Path) -> Result<Component> {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let path = folder.join(format!("{:016x}.cwasm", hasher.finish()));
    // SAFETY: only this function writes such a file, whole, and nobody else is to write into the folder.
    if let Ok(component) = unsafe { Component::deserialize_file(engine, &path) } {
        return Ok(component);
    }
    let component = Component::from_binary(engine, bytes)?;
    let image = component.serialize()?;
    let making = folder.join(format!(".{}", std::process::id()));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&making, image))
        .and_then(|()| std::fs::rename(&making, &path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(component)
}

impl HandlerState for Instances {
    type StoreData = Guest;

    fn new_store(&self, _: Option<u64>) -> Result<StoreBundle<Guest>> {
        self.report.instances.add(1);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(std::io::stderr()).stderr(std::io::stderr());
        let guest = Guest {
            table: ResourceTable::new(),
            store: self.store.clone(),
            variables: self.variables.clone(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: self.outbound.clone(),
            bounds: Bounds { most: self.reuse.memory, report: self.report.clone() },
            _alive: Gauge::one(&self.report, |report| &report.alive),
        };
        let mut store = Store::new(&self.engine, guest);
        store.limiter(|guest| &mut guest.bounds);
        Ok(StoreBundle { store, write_profile: Box::new(|_| ()) })
    }

    fn request_timeout(&self) -> Duration {
        Duration::MAX
    }

    fn idle_instance_timeout(&self) -> Duration {
        self.reuse.idle
    }

    fn max_instance_reuse_count(&self) -> usize {
        self.reuse.count
    }

    fn max_instance_concurrent_reuse_count(&self) -> usize {
        self.reuse.concurrent
    }

    fn handle_worker_error(&self, error: wasmtime::Error) {
        self.report.violation(format!("an instance failed, with all of its requests: {error:?}"));
    }
}
