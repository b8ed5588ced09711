//! Serve axum over TLS: PEM files, ALPN, and a new certificate while the server runs.
//!
//! For each TLS handshake, the server asks the struct `Certificate` for the certificate
//! chain and the key. So after `reload`, new connections get the new certificate. As a
//! client, reqwest trusts the authorities of the system, or only yours with
//! `tls_certs_only`.
//!
//! This server refuses WebSockets with the status 501: a WebSocket outlives its request,
//! so the limits below would not count it. For a WebSocket over TLS, make the encrypted
//! stream as the example `tls` does, and use it as `websocket_server` does.
//!
//! Bounds: In `Limits` you set the number of connections (further clients wait), and how
//! long a handshake, headers, a connection and the stop may take. To limit the time and
//! the body of a request, add the layers of `axum_service`.
//!
//! Trap: If you renew the certificate while `reload` reads, it may get a new chain and
//! an old key, and fails: "keys may not be consistent: KeyMismatch". Here the server
//! keeps its old certificate: call `reload` again. In Python, `load_cert_chain` of such
//! a pair leaves the context without a key, and all handshakes fail.
//!
//! Trap: If you offer `h2` (HTTP/2) in the handshake (by ALPN) but serve only HTTP/1.1,
//! most clients choose `h2`, and the server closes their connections. Offer what you
//! serve. For HTTP/2, offer `h2` first, and serve with `hyper_util::server::conn::auto`;
//! without TLS, browsers use HTTP/1.1.
//!
//! Platforms: On Windows (Wine), a refused certificate shows as "no connection".
//!
//! See also: `tls`, `http_server`, `axum_service`, `websocket_server`.
//!
//! asyncio: asyncio.start_server(ssl=), loop.create_server

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_util::sync::CancellationToken;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot read {} as PEM", .0.display())]
    File(PathBuf, #[source] pem::Error),
    #[error("the certificate or its key cannot be used")]
    Pair(#[from] rustls::Error),
}

/// A certificate chain and its private key, from two files. Connections that begin after
/// a `reload` get the new certificate.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files, such as `fullchain.pem` and `privkey.pem`. The server's own
    /// certificate comes first in the chain. Its dates are not checked.
    ///
    /// Blocks the thread while it reads, as `reload` does.
    pub fn load(chain: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let current = RwLock::new(read(&chain, &key)?);
        Ok(Self {
            chain,
            key,
            current,
        })
    }

    /// Reads the files again. After an error, the certificate stays what it was.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let renewed = read(&self.chain, &self.key)?;
        let current = self.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read();
        Some(Arc::clone(&current.unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(chain: &Path, key: &Path) -> Result<Arc<CertifiedKey>, CertificateError> {
    let error = |path: &Path, error| CertificateError::File(path.into(), error);
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|cause| error(chain, cause))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| error(key, cause))?;
    let pair = CertifiedKey::from_der(certificates, private, &default_provider())?;
    Ok(Arc::new(pair))
}

/// What the server allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at the same time. Further clients wait in the
    /// system's backlog, which holds 128 with `TcpListener::bind`.
    pub connections: usize,
    /// The time for the TLS handshake.
    pub handshake: Duration,
    /// The time for the headers of a request, and between two requests.
    pub head: Duration,
    /// The age at which a connection takes no further request.
    pub connection: Duration,
    /// The time for running requests after the stop, or at that age.
    pub drain: Duration,
}

/// Serves HTTP/1.1 over TLS until `stop` is cancelled. Then refuses new clients, and ends
/// the connections within `Limits::drain`. Dropping the future ends them immediately.
///
/// A handler is dropped when its connection breaks: see `http_server`.
pub async fn serve(
    listener: TcpListener,
    certificate: Arc<Certificate>,
    routes: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let provider = Arc::new(default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the ciphers of TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let routes = routes.layer(from_fn(refuse_upgrade));
    let permits = Arc::new(Semaphore::new(
        limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            let stream = accept(&listener).await;
            // Finished connections must not pile up. Standard error has the panics.
            while connections.try_join_next().is_some() {}
            let (acceptor, routes, stop) =
                (acceptor.clone(), routes.clone(), stop.clone());
            connections.spawn(async move {
                let _permit = permit;
                connection(stream, acceptor, routes, limits, stop).await;
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Returns the next connection, however long that takes. Cancel-safe.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // The client left before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // Out of file descriptors or memory: without a pause this would spin.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Serves a connection until its client leaves, it reaches its age limit, or the server
/// stops. After that a running request may end, within `Limits::drain`.
async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    routes: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    // Sends small responses immediately.
    let _ = stream.set_nodelay(true);
    let handshake = async { timeout(limits.handshake, acceptor.accept(stream)).await? };
    let stream = match stop.run_until_cancelled(handshake).await {
        Some(Ok(stream)) => stream,
        // Most of these clients are scanners: they shall not fill the log.
        Some(Err(error)) => return tracing::debug!("no handshake: {error}"),
        None => return,
    };
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper adds it to a moment, which would overflow by `Duration::MAX`.
        .header_read_timeout(limits.head.min(Duration::from_secs(365 * 24 * 3600)))
        .max_buf_size(16 * 1024)
        .max_headers(64)
        // Answers a client that ends its side after its request.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut serving = pin!(serving);
    select! {
        _ = serving.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(limits.connection) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = timeout(limits.drain, serving).await;
}

/// Turns a handler's "101 Switching Protocols" into an error that the client can read.
async fn refuse_upgrade(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            (StatusCode::NOT_IMPLEMENTED, "no upgrades here\n").into_response()
        }
        _ => response,
    }
}

/// Says hello until Ctrl-C, and reads the files again each hour:
/// `cargo run -- 127.0.0.1:8443 fullchain.pem privkey.pem`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, chain, key] = args.as_slice() else {
        return Err("usage: ADDRESS:PORT CHAIN KEY".into());
    };
    let certificate = Arc::new(Certificate::load(chain.into(), key.into())?);
    let listener = TcpListener::bind(address).await?;
    let limits = Limits {
        connections: 1_000,
        handshake: Duration::from_secs(10),
        head: Duration::from_secs(10),
        connection: Duration::from_secs(600),
        drain: Duration::from_secs(20),
    };
    let routes = Router::new().route("/", axum::routing::get(async || "hello\n"));
    let stop = CancellationToken::new();
    let renewed = Arc::clone(&certificate);
    let serving =
        tokio::spawn(serve(listener, certificate, routes, limits, stop.clone()));
    let renewing = async {
        loop {
            sleep(Duration::from_secs(3600)).await;
            if let Err(error) = renewed.reload() {
                eprintln!("the certificate stays: {error}");
            }
        }
    };
    select! {
        () = renewing => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    stop.cancel();
    Ok(serving.await?)
}

//@ clock: real
//@ try: nowhere a b -> NotFound
