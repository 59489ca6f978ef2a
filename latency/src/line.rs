//! A fresh connection, phase by phase.

use crate::failure::{Failure, Kind};
use crate::target::Target;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tokio_util::either::Either;
use url::Host;

/// How long an address may take before the next is tried beside it (RFC 8305, 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection that tells when bytes went and came.
pub(crate) type Line = Timed<Either<TcpStream, TlsStream<TcpStream>>>;

/// What making a connection took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Phases {
    /// None where there was no name.
    pub(crate) lookup: Option<Duration>,
    pub(crate) tcp: Duration,
    /// None without TLS.
    pub(crate) tls: Option<Duration>,
    /// A WebSocket's handshake; zero where there is none.
    pub(crate) upgrade: Duration,
}

impl Phases {
    /// All of it.
    pub(crate) fn connect(&self) -> Duration {
        self.lookup.unwrap_or_default() + self.tcp + self.tls.unwrap_or_default() + self.upgrade
    }
}

/// Connects.
pub(crate) async fn dial(target: &Target, tls: &TlsConnector) -> Result<(Line, Phases), Failure> {
    let began = Instant::now();
    let addresses: Vec<SocketAddr> = match &target.host {
        Host::Domain(name) => {
            let found = lookup_host((name.as_str(), target.port)).await;
            found
                .map_err(|error| Failure::new(Kind::Lookup, format!("{name} has no address: {error}")))?
                .collect()
        }
        Host::Ipv4(address) => vec![(*address, target.port).into()],
        Host::Ipv6(address) => vec![(*address, target.port).into()],
    };
    let lookup = target.address().is_none().then(|| began.elapsed());
    let (stream, tcp) = connect(&addresses).await?;
    // An edit is a small frame that waits for nothing.
    stream.set_nodelay(true).map_err(|error| Failure::connecting(&error))?;
    let mut phases = Phases { lookup, tcp, ..Phases::default() };
    if !target.secure {
        return Ok((Timed::new(Either::Left(stream)), phases));
    }
    let untrusted = |error: String| Failure::new(Kind::Tls, format!("no TLS: {error}"));
    let name = match &target.host {
        Host::Domain(name) => {
            ServerName::try_from(name.clone()).map_err(|error| untrusted(error.to_string()))?
        }
        Host::Ipv4(address) => ServerName::IpAddress((*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress((*address).into()),
    };
    let began = Instant::now();
    let stream = tls.connect(name, stream).await.map_err(|error| untrusted(error.to_string()))?;
    phases.tls = Some(began.elapsed());
    Ok((Timed::new(Either::Right(stream)), phases))
}

/// The first address that accepts, and how long that one took; each gets a head start.
async fn connect(addresses: &[SocketAddr]) -> Result<(TcpStream, Duration), Failure> {
    let attempt = |address: SocketAddr| async move {
        let began = Instant::now();
        TcpStream::connect(address).await.map(|stream| (stream, began.elapsed()))
    };
    let mut failure = Failure::new(Kind::Lookup, "the name has no address");
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    attempts.extend(waiting.next().map(|address| attempt(*address)));
    while !attempts.is_empty() {
        let next = tokio::time::sleep(HEAD_START);
        tokio::select! {
            ended = attempts.next() => match ended {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err(error)) => {
                    failure = Failure::connecting(&error);
                    attempts.extend(waiting.next().map(|address| attempt(*address)));
                }
                None => break,
            },
            () = next, if !waiting.as_slice().is_empty() => {
                attempts.extend(waiting.next().map(|address| attempt(*address)));
            }
        }
    }
    Err(failure)
}

/// How TLS is done: with what this machine trusts, and with Mozilla's list where it has none. Each connection begins
/// anew, as that of a client that was never here.
pub(crate) fn tls() -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Failure::new(Kind::Tls, error.to_string()))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// When bytes went and came.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<(Option<Instant>, Option<Instant>)>);

impl Marks {
    /// From the last write to the first byte that was read after it. It counts from when the write began: the answer may be
    /// there before this thread goes on.
    pub(crate) fn first_byte(&self) -> Option<Duration> {
        let (wrote, read) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(read?.saturating_duration_since(wrote?))
    }

    fn wrote(&self, began: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Some(began), None);
    }

    fn read(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.get_or_insert_with(Instant::now);
    }
}

/// A stream that marks when bytes went and came.
pub(crate) struct Timed<S> {
    stream: S,
    pub(crate) marks: Arc<Marks>,
}

impl<S> Timed<S> {
    fn new(stream: S) -> Self {
        Self { stream, marks: Arc::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = pin!(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.marks.read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let began = Instant::now();
        let polled = pin!(&mut self.stream).poll_write(cx, buf);
        if matches!(polled, Poll::Ready(Ok(_))) {
            self.marks.wrote(began);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }
}

/// A future with a deadline, after which it has failed.
pub(crate) async fn within<T>(
    deadline: Instant,
    what: &str,
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout_at(deadline.into(), future).await.unwrap_or_else(|_| Err(Failure::timeout(what)))
}
