//! TLS with tokio-rustls: client, server, refused certificates, STARTTLS, a safe end.
//!
//! A `ClientConfig` or `ServerConfig` of the crate rustls is Python's `ssl.SSLContext`:
//! make it once and share it. The function `trust_system` below is
//! `ssl.create_default_context()`. rustls refuses a server certificate that is also an
//! authority ("CaUsedAsEndEntity"). `openssl req -x509` makes such certificates, and
//! Python accepts them.
//!
//! For mutual TLS, a server sets `ConfigBuilder::with_client_cert_verifier`, and reads
//! the client's certificate from `stream.get_ref().1.peer_certificates()`.
//!
//! To read in one task and write in another, split the stream by `tokio::io::split`. A
//! dropped `WriteHalf` sends nothing, so call `shutdown` on it.
//!
//! tokio-rustls has no timeout for a handshake. So each handshake runs in the
//! connection's task: in the accept loop, one silent client would hold up all others.
//! Failed handshakes are logged at the level DEBUG.
//!
//! Bounds: In `Limits` you set the number of connections (further clients wait) and the
//! times for handshake, handler and stop. `close` reads at most 16 MiB. Unbounded: The
//! bytes that your handler keeps in memory. Limit them in the handler.
//!
//! Trap: If you write a request and then wait for the answer, both sides may wait
//! forever. After `write_all`, up to 64 KiB may still be in rustls's buffer, and a read
//! does not send them. Call `flush` after each message.
//!
//! Trap: If you drop a client's connection right after `shutdown`, the server may lose
//! your last bytes ("Connection reset by peer"). A TLS 1.3 server sends session tickets
//! after the handshake. If you have not read the tickets, the system resets the
//! connection, because unread bytes are left. Call the function [`close`], which reads
//! until the server ends.
//!
//! Trap: If you drop a connection without `shutdown`, the peer gets the error "peer
//! closed connection without sending TLS close_notify". End each connection by [`close`].
//!
//! Platforms: On Windows (Wine), a refused certificate shows as "the handshake failed".
//!
//! See also: `close_a_connection`, `https_server` (axum, reqwest and ALPN), `tcp_proxy`.
//!
//! asyncio: asyncio.open_connection(ssl=), asyncio.start_server(ssl=), loop.start_tls
//! differs: asyncio takes a cut-off stream for a whole one, and plain bytes for TLS

use std::error::Error;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, RootCertStore, ServerConfig,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_util::sync::CancellationToken;

pub type Failure = Box<dyn Error + Send + Sync>;

/// Returns why this side has refused the other side's certificate, if it has.
pub fn refusal(error: &io::Error) -> Option<&CertificateError> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(refusal) => Some(refusal),
        _ => None,
    }
}

/// Returns the configuration of a client that trusts these authorities. Make it once.
/// With this provider it does not fail.
pub fn trust(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    // `ClientConfig::builder` panics if the features of other crates leave open which
    // provider to take.
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Returns the configuration of a client that trusts the system's authorities, as
/// `ssl.create_default_context()` does. Make it once. Fails if the system's certificates
/// cannot be read.
pub fn trust_system() -> Result<Arc<ClientConfig>, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Returns the configuration of a server with this certificate chain and private key,
/// both in PEM: the contents of `fullchain.pem` and `privkey.pem`. Fails if one cannot be
/// parsed, or the key does not belong to the certificate.
///
/// For ALPN set `alpn_protocols` before the `Arc`.
pub fn identify(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, Failure> {
    // The server's own certificate comes first.
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// Returns a TLS connection over a stream to `host`, within the limit. The stream may
/// have been used before, so this is `start_tls` as well. If it fails, only handshake
/// bytes were sent.
///
/// A client over `impl AsyncRead + AsyncWrite` takes this and a `TcpStream`: http and
/// https in one function, as `open_connection` with `ssl=True` or without.
///
/// # Errors
///
/// `TimedOut` after the limit, `InvalidInput` if `host` is neither a name nor an address.
/// [`refusal`] tells whether the certificate was refused.
pub async fn connect<S>(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: S,
    limit: Duration,
) -> io::Result<client::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let host = ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
    let connector = TlsConnector::from(Arc::clone(config));
    timeout(limit, connector.connect(host, stream)).await?
}

/// How many bytes [`close`] reads until the other side ends.
pub const MOST: u64 = 16 << 20;

/// Ends a connection so that all written bytes arrive: sends what is left and
/// close_notify, then reads until the other side ends as well. asyncio does this in
/// `writer.close()` and `wait_closed()`.
///
/// # Errors
///
/// `TimedOut` after the limit, `FileTooLarge` if the other side sends [`MOST`] bytes.
/// Whatever the error, the other side may lack bytes.
pub async fn close<S>(mut stream: S, limit: Duration) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closing = async {
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(MOST);
        match tokio::io::copy(&mut rest, &mut tokio::io::sink()).await {
            Ok(MOST) => Err(ErrorKind::FileTooLarge.into()),
            // Its close_notify is missing, but it has ended, after all that we wrote.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
            rest => rest.map(|_| ()),
        }
    };
    timeout(limit, closing).await?
}

/// Makes a server's connection a TLS connection, within the limit: STARTTLS. Call it
/// when you have answered the command and flushed the answer. From a `Framed`, take its
/// `into_parts`, refuse bytes in `read_buf`, and pass `BufReader::new(parts.io)`.
///
/// # Errors
///
/// `InvalidData` if the client has sent more than the command. Its bytes came without
/// encryption, so anybody may have added them: they must not count as sent over TLS.
pub async fn start_tls<S>(
    config: &Arc<ServerConfig>,
    reader: BufReader<S>,
    limit: Duration,
) -> io::Result<server::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !reader.buffer().is_empty() {
        return Err(ErrorKind::InvalidData.into());
    }
    let acceptor = TlsAcceptor::from(Arc::clone(config));
    timeout(limit, acceptor.accept(reader.into_inner())).await?
}

/// What a server allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at the same time. Further clients wait in the
    /// system's backlog, which holds 128 with `TcpListener::bind`.
    pub connections: usize,
    /// The time for a handshake.
    pub handshake: Duration,
    /// The time for a connection after its handshake. Its handler is dropped then.
    pub connection: Duration,
    /// The time for the connections to end after the stop.
    pub drain: Duration,
}

/// Calls the handler with each connection, in its own task, until the token is
/// cancelled. Then gives the connections time to end, and returns how many it cut off.
///
/// A handshake that fails does not affect other clients. Dropping the future closes all
/// connections immediately.
pub async fn serve<F, Fut>(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    limits: Limits,
    stop: CancellationToken,
    handle: F,
) -> usize
where
    F: Fn(server::TlsStream<TcpStream>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = io::Result<()>> + Send,
{
    let acceptor = TlsAcceptor::from(config);
    let permits = Arc::new(Semaphore::new(
        limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            let stream = accept(&listener).await;
            // Finished connections must not pile up.
            while connections.try_join_next().is_some() {}
            let (acceptor, handle) = (acceptor.clone(), handle.clone());
            connections.spawn(async move {
                let _permit = permit;
                // asyncio sets it for each connection: sends small writes immediately.
                let _ = stream.set_nodelay(true);
                match timeout(limits.handshake, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        // The handler itself reports what goes wrong from here on.
                        let _ = timeout(limits.connection, handle(stream)).await;
                    }
                    // Most of these clients are scanners: they shall not fill the log.
                    Ok(Err(error)) => tracing::debug!("no handshake: {error}"),
                    Err(_) => tracing::debug!("no handshake in time"),
                }
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let in_time = timeout(limits.drain, all).await.is_ok();
    let cut_off = if in_time { 0 } else { connections.len() };
    connections.shutdown().await;
    cut_off
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

/// Sends back all bytes: `cargo run -- 127.0.0.1:8443 fullchain.pem privkey.pem`.
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, chain, key] = args.as_slice() else {
        return Err("usage: ADDRESS:PORT CHAIN KEY".into());
    };
    let listener = TcpListener::bind(address).await?;
    let config = identify(&std::fs::read(chain)?, &std::fs::read(key)?)?;
    let limits = Limits {
        connections: 1_000,
        handshake: Duration::from_secs(10),
        connection: Duration::from_secs(600),
        drain: Duration::from_secs(10),
    };
    let echo = |stream| async {
        let (mut reader, mut writer) = tokio::io::split(stream);
        tokio::io::copy(&mut reader, &mut writer).await?;
        // Sends close_notify. The client has ended: there is nothing left to read.
        writer.shutdown().await
    };
    let stop = CancellationToken::new();
    let serving = serve(listener, config, limits, stop.clone(), echo);
    let ctrl_c = async {
        // If the signal cannot be caught, Ctrl-C ends the program as usual.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    };
    let (cut_off, ()) = tokio::join!(serving, ctrl_c);
    println!("cut off: {cut_off}");
    Ok(())
}

//@ clock: real
//@ try: nowhere a b -> invalid socket address
