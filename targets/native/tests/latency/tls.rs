//! Through TLS, by which most servers are reached.

use crate::command::{SHORT, command, text};
use crate::server::Yonder;
use crate::{Done, alone};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::{fs, thread};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

#[test]
fn a_handshake_has_its_phase_and_its_certificate_an_issuer_that_this_machine_trusts() -> Done {
    let _alone = alone();
    let (server, folder) = (Yonder::up(&[])?, tempfile::tempdir()?);
    let (address, certificate) = in_front_of(server.address)?;
    let trusted = folder.path().join("trusted.pem");
    fs::write(&trusted, certificate)?;
    let url = format!("https://localhost:{}", address.port());

    let done = command().args([&url, "--json", "-"]).args(SHORT).env("SSL_CERT_FILE", &trusted).output()?;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let outcome: Value = serde_json::from_slice(&done.stdout)?;
    for transport in ["ws", "sse", "long-poll"] {
        let figure = |metric: &str, name: &str| {
            outcome
                .pointer(&format!("/hosts/0/transports/{transport}/{metric}/{name}"))
                .and_then(Value::as_f64)
        };
        for phase in ["lookup", "tcp", "tls", "connect"] {
            assert_eq!(figure(phase, "count"), Some(3.0), "{transport} {phase}: {outcome}");
        }
        let (tls, connect) = (figure("tls", "min").ok_or("no TLS")?, figure("connect", "min").ok_or("none")?);
        assert!(0.0 < tls && tls < connect, "{transport}: {tls} {connect}");
        assert_eq!(
            (figure("ack", "count"), figure("propagation", "count")),
            (Some(50.0), Some(50.0)),
            "{transport}"
        );
    }

    let done = command().arg(&url).args(SHORT).env_remove("SSL_CERT_FILE").output()?;
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("(tls)"), "{}", text(&done.stdout));
    Ok(())
}

/// What speaks TLS for a server, until the process ends, and its certificate as PEM: it is for `localhost`.
fn in_front_of(server: SocketAddr) -> Done<(SocketAddr, String)> {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    // Either may leave.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
    });
    Ok((address, own.cert.pem()))
}
