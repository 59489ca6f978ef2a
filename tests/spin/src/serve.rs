//! HTTP as Spin's trigger serves it, and the figures of a run on a listener of their own.

use crate::guest::Instances;
use crate::report::{Gauge, Report};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wasmtime_wasi_http::handler::{Proxy, ProxyHandler};
use wasmtime_wasi_http::p3::bindings::http::types::{self, ErrorCode};

type Sent = UnsyncBoxBody<Bytes, ErrorCode>;

/// The paths that Spin answers itself.
const WELL_KNOWN: &str = "/.well-known/spin/";

/// The route of the manifest, which matches every path.
const ROUTE: &str = "/...";

/// Serves the component until the process ends.
pub(crate) async fn serve(listener: TcpListener, handler: ProxyHandler<Instances>) -> Result<()> {
    loop {
        let (stream, client) = listener.accept().await?;
        let handler = handler.clone();
        tokio::spawn(connection(stream, move |request| {
            let handler = handler.clone();
            async move { respond(&handler, request, client).await }
        }));
    }
}

/// Serves `GET /.host/metrics` until the process ends.
pub(crate) async fn serve_metrics(listener: TcpListener, report: Arc<Report>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let report = report.clone();
        tokio::spawn(connection(stream, move |request| {
            let response = match request.uri().path() {
                "/.host/metrics" => plain(StatusCode::OK, &report.json()),
                _ => plain(StatusCode::NOT_FOUND, ""),
            };
            async { response }
        }));
    }
}

async fn connection<F: Future<Output = Response<Sent>> + Send + 'static>(
    stream: TcpStream,
    respond: impl Fn(Request<Incoming>) -> F + Send + 'static,
) {
    let service = service_fn(|request| {
        let response = respond(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    // A client that leaves is an error here, and nobody's fault.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(
    handler: &ProxyHandler<Instances>,
    request: Request<Incoming>,
    client: SocketAddr,
) -> Response<Sent> {
    if let Some(name) = request.uri().path().strip_prefix(WELL_KNOWN) {
        return match name {
            "health" => plain(StatusCode::OK, "OK"),
            _ => plain(StatusCode::NOT_FOUND, ""),
        };
    }
    handler.state().report.requests.add(1);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match prepare(request, client) {
        Ok(request) => handle(handler, request).await,
        Err(error) => Err(error),
    };
    response.unwrap_or_else(|error| {
        eprintln!("{method} {path}: {error:#}");
        plain(StatusCode::INTERNAL_SERVER_ERROR, "")
    })
}

/// Makes the URI absolute and adds Spin's headers. What the client sent under their names stays before them.
fn prepare(mut request: Request<Incoming>, client: SocketAddr) -> Result<Request<Incoming>> {
    let mut parts = request.uri().clone().into_parts();
    let host = request.headers().get(HOST).map(|host| -> Result<Authority> { Ok(host.to_str()?.parse()?) });
    let authority = match (host.transpose().context("the header Host")?, parts.authority) {
        (None, None) => bail!("a request without Host"),
        (Some(host), Some(authority)) if host != authority => bail!("a Host that is not that of the URI"),
        (Some(host), _) => host,
        (None, Some(authority)) => authority,
    };
    let host = request.headers().get(HOST).map_or("localhost", |host| host.to_str().unwrap_or_default());
    let path_and_query = parts.path_and_query.as_ref().map_or("/", |path| path.as_str());
    let full_url = format!("{}://{host}{path_and_query}", Scheme::HTTP);
    let path = request.uri().path().to_owned();
    let client = client.to_string();
    let added = [
        ("spin-path-info", path.as_str()),
        ("spin-full-url", &full_url),
        ("spin-matched-route", ROUTE),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", ROUTE),
        ("spin-component-route", ""),
        ("spin-client-addr", &client),
    ];
    let headers: &mut HeaderMap = request.headers_mut();
    for value in headers.values() {
        std::str::from_utf8(value.as_bytes()).context("a header that is not UTF-8")?;
    }
    for (name, value) in added {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    }
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(request)
}

/// Has an instance handle the request. The request is over when its response was sent.
async fn handle(handler: &ProxyHandler<Instances>, request: Request<Incoming>) -> Result<Response<Sent>> {
    let request = request.map(|body| body.map_err(ErrorCode::from_hyper_request_error));
    let (send, receive) = oneshot::channel();
    let running = Gauge::one(&handler.state().report, |report| &report.running);
    handler.spawn(
        None,
        Box::new(move |store, proxy| {
            Box::pin(async move {
                let Proxy::P3(service) = proxy;
                let (request, request_ended) = types::Request::from_http(request);
                let response = match service.handle(store, request).await {
                    Ok(Ok(response)) => store.with(|store| response.into_http(store, request_ended)),
                    Ok(Err(error)) => Err(error.into()),
                    Err(error) => Err(error),
                };
                let (over, is_over) = oneshot::channel();
                let response = response
                    .map(|response| response.map(|body| Watched { body, _over: over }.boxed_unsync()));
                if send.send(response).is_ok() {
                    let _ = is_over.await;
                }
                drop(running);
            })
        }),
    );
    Ok(receive.await.context("the instance is gone")??)
}

/// A body that tells when it is dropped.
struct Watched {
    body: Sent,
    _over: oneshot::Sender<()>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = ErrorCode;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Sent> {
    let body = Full::from(text.to_owned()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response
}
