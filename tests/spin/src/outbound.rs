//! Requests that the component sends, to the hosts that the manifest would allow.

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::str::FromStr;
use std::sync::Arc;
use tokio::net::TcpStream;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{RequestOptions, WasiHttpHooks};

/// The only scheme that is spoken.
const SCHEME: &str = "http";

/// `http://HOST:PORT`
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Origin {
    host: String,
    port: u16,
}

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
        let host = uri.host()?.to_owned();
        (uri.scheme_str() == Some(SCHEME)).then(|| Self { host, port: uri.port_u16().unwrap_or(80) })
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri = text.parse::<Uri>().map_err(|error| error.to_string())?;
        match Self::of(&uri) {
            Some(origin) if uri.path() == "/" && uri.query().is_none() => Ok(origin),
            _ => Err("not of the form http://HOST:PORT".to_owned()),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Outbound(Arc<[Origin]>);

impl Outbound {
    pub(crate) fn new(allowed: Vec<Origin>) -> Self {
        Self(allowed.into())
    }

    fn allowed(&self, uri: &Uri) -> Result<Origin, ErrorCode> {
        let origin = Origin::of(uri).filter(|origin| self.0.contains(origin));
        origin.ok_or_else(|| {
            eprintln!("the component may not send a request to {uri}: allow it with --allow-outbound");
            ErrorCode::HttpRequestDenied
        })
    }
}

type Body = UnsyncBoxBody<Bytes, ErrorCode>;
type Ending = Box<dyn Future<Output = Result<(), ErrorCode>> + Send>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<Body>,
        _: Option<RequestOptions>,
        _: Ending,
    ) -> Box<
        dyn Future<Output = Result<(Response<Body>, Ending), wasmtime_wasi::TrappableError<ErrorCode>>>
            + Send,
    > {
        let origin = self.allowed(request.uri());
        Box::new(async move { Ok(send(origin?, request).await?) })
    }
}

async fn send(origin: Origin, mut request: Request<Body>) -> Result<(Response<Body>, Ending), ErrorCode> {
    let stream = TcpStream::connect((origin.host, origin.port)).await;
    let stream = stream.map_err(|_| ErrorCode::ConnectionRefused)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(request_error)?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(request_error)?;
    let response = response.map(|body| body.map_err(|_| ErrorCode::HttpProtocolError).boxed_unsync());
    let ending = async move {
        // The connection ends with its response.
        match connection.await {
            Ok(ended) => ended.map_err(request_error),
            Err(_) => Err(ErrorCode::ConnectionTerminated),
        }
    };
    Ok((response, Box::new(ending)))
}

fn request_error(error: hyper::Error) -> ErrorCode {
    ErrorCode::from_hyper_request_error(error)
}
