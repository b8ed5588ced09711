//! TLS with tokio-rustls: server, client, certificates that are refused, close_notify.
//!
//! A configuration is what `ssl.SSLContext` is: made once, and shared. The system's
//! certificates come from the crate `rustls-platform-verifier`, those in files from
//! `CertificateDer::pem_file_iter`, a function of the trait `PemObject`. What `openssl
//! req -x509` makes is an authority's certificate; Python takes it from a server,
//! rustls refuses it even if it is trusted ("CaUsedAsEndEntity"). There is no limit for
//! a handshake, where asyncio has 60 seconds; nor may it stand in the accept loop,
//! where one client who says nothing would hold up all. The traps: what was written may
//! wait in the connection until `flush`. Dropping a connection sends no close_notify,
//! `shutdown` does, and without it the other side cannot tell the end from a connection
//! that was cut. For that rustls has an error, "peer closed connection without sending
//! TLS close_notify"; asyncio says nothing. For requests over https: `reqwest`, which
//! does all of this.
//!
//! asyncio: asyncio.open_connection(ssl=), asyncio.start_server(ssl=)
//! asyncio: asyncio.StreamWriter.close, asyncio.StreamWriter.wait_closed
//! asyncio: asyncio.StreamWriter.start_tls, loop.start_tls
//! clock: real
//! differs: asyncio takes a connection that breaks off for the end of what was sent

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::BufStream;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, RootCertStore, ServerConfig,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_util::task::AbortOnDropHandle;

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain of signatures ends with nobody whom this side trusts.
    #[error("the certificate is signed by nobody we trust")]
    UnknownIssuer(#[source] io::Error),
    #[error("the certificate has expired")]
    Expired(#[source] io::Error),
    #[error("the certificate is for another host")]
    WrongHost(#[source] io::Error),
    #[error("no handshake in time")]
    TimedOut,
    /// The host to connect to is neither a name nor an address.
    #[error(transparent)]
    NoHost(#[from] InvalidDnsNameError),
    /// All else: no TLS on the other side, another version, a connection that was lost.
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let Some(rustls::Error::InvalidCertificate(refused)) = inner else {
            return Self::Failed(error);
        };
        match refused {
            // The second is for an issuer who has the name of another.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Self::UnknownIssuer(error)
            }
            // Each has a variant with more to say, and that is what comes.
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::Expired(error)
            }
            CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. } => Self::WrongHost(error),
            _ => Self::Failed(error),
        }
    }
}

/// For clients: whom they trust. Make it once, and share it.
///
/// # Errors
///
/// Does not happen with this provider.
pub fn trust(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    // `ClientConfig::builder` panics if the features of other crates leave open which
    // provider to take.
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// For servers: who they are. First in the chain is the server's own certificate.
///
/// # Errors
///
/// If the key does not belong to the certificate, or cannot be read.
pub fn identify(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// Makes a TLS connection of a connection to `host`, within the limit. With a connection
/// on which something was said before, it is `start_tls`.
///
/// # Errors
///
/// [`TlsError`]. Nothing was sent to the other side but the handshake.
pub async fn connect<S>(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: S,
    limit: Duration,
) -> Result<client::TlsStream<S>, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let host = ServerName::try_from(host.to_owned())?;
    let connector = TlsConnector::from(Arc::clone(config));
    match timeout(limit, connector.connect(host, stream)).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(TlsError::TimedOut),
    }
}

/// Serves each client in a task, until it is dropped; that ends the tasks too.
///
/// A handshake that fails, or takes longer than the limit, concerns nobody else.
pub async fn serve<F, Fut>(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    limit: Duration,
    handle: F,
) where
    F: Fn(server::TlsStream<TcpStream>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = io::Result<()>> + Send,
{
    let acceptor = TlsAcceptor::from(config);
    let mut clients = JoinSet::new();
    loop {
        let stream = select! {
            Some(_) = clients.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // Too many open files, say: that passes when a client leaves.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (acceptor, handle) = (acceptor.clone(), handle.clone());
        clients.spawn(async move {
            if let Ok(Ok(stream)) = timeout(limit, acceptor.accept(stream)).await {
                // What goes wrong from here on, the handler has to report.
                let _ = handle(stream).await;
            }
        });
    }
}

/// Answers "whole" with four bytes and a proper end, and "half" with half of that.
async fn answer(stream: server::TlsStream<TcpStream>) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    let mut question = String::new();
    stream.read_line(&mut question).await?;
    if question == "whole\n" {
        stream.write_all(b"1234").await?;
        stream.shutdown().await
    } else {
        stream.write_all(b"12").await?;
        stream.flush().await
    }
}

type Failure = Box<dyn Error + Send + Sync>;

async fn ask(
    mut connection: client::TlsStream<TcpStream>,
    question: &str,
) -> io::Result<()> {
    connection.write_all(question.as_bytes()).await?;
    connection.write_all(b"\n").await?;
    connection.flush().await?;
    let mut answer = Vec::new();
    let end = connection.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    match end {
        Ok(_) => println!("{question}: {answer}"),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            println!("{question}: cut off after {answer}");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Whoever signs certificates; here it is the example itself.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone())?;
        Ok(roots)
    }

    /// A server's identity, valid until the beginning of that year.
    fn identity(&self, host: &str, year: i32) -> Result<Arc<ServerConfig>, Failure> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(identify(vec![certificate.der().clone()], key.into())?)
    }
}

const LIMIT: Duration = Duration::from_millis(300);

/// Starts a server, which runs until the second value is dropped.
async fn start(
    config: Arc<ServerConfig>,
) -> io::Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(serve(listener, config, LIMIT, answer));
    Ok((address, AbortOnDropHandle::new(task)))
}

pub async fn run() -> Result<(), Failure> {
    let start_time = Instant::now();
    let at = |tenths: u32| sleep_until(start_time + tenths * LIMIT / 3);
    let authority = Authority::new()?;
    let (server, _task) = start(authority.identity("localhost", 4000)?).await?;
    let (old_server, _old_task) = start(authority.identity("localhost", 2025)?).await?;
    let client = trust(authority.roots()?)?;
    let trusts_nobody = trust(RootCertStore::empty())?;

    at(4).await;
    println!("Two answers, one of them cut off:");
    for (tenths, question) in [(4, "whole"), (5, "half")] {
        at(tenths).await;
        let stream = TcpStream::connect(server).await?;
        ask(
            connect(&client, "localhost", stream, LIMIT).await?,
            question,
        )
        .await?;
    }

    at(7).await;
    println!("Certificates that are refused:");
    for (tenths, client, host, server) in [
        (7, &trusts_nobody, "localhost", server),
        (8, &client, "localhost", old_server),
        (9, &client, "example.com", server),
    ] {
        at(tenths).await;
        let stream = TcpStream::connect(server).await?;
        match connect(client, host, stream, LIMIT).await {
            Ok(_) => println!("connected"),
            Err(error) => println!("{error}"),
        }
    }

    at(11).await;
    println!("A client who says nothing does not hold up the others:");
    let mut silent = TcpStream::connect(server).await?;
    let stream = TcpStream::connect(server).await?;
    ask(connect(&client, "localhost", stream, LIMIT).await?, "whole").await?;
    println!("the silent one gets {} bytes", silent.read(&mut [0]).await?);

    at(16).await;
    println!("A server that says nothing:");
    let nobody = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(nobody.local_addr()?).await?;
    if let Err(error) = connect(&client, "localhost", stream, LIMIT).await {
        println!("{error}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};
    use std::sync::Arc;
    use std::time::Duration;

    use futures::future::join_all;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::Handle;
    use tokio::task::{JoinHandle, yield_now};
    use tokio::time::{Instant, sleep, timeout};
    use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio_rustls::{TlsAcceptor, server};
    use tokio_util::task::AbortOnDropHandle;

    use super::{Authority, Failure, TlsError, connect, identify, serve, trust};

    const SECOND: Duration = Duration::from_secs(1);

    type Accepted = io::Result<server::TlsStream<DuplexStream>>;

    /// The other side of a connection without a network.
    fn accept(
        config: Arc<ServerConfig>,
        buffer: usize,
    ) -> (DuplexStream, JoinHandle<Accepted>) {
        let (near, far) = duplex(buffer);
        let task = tokio::spawn(async { TlsAcceptor::from(config).accept(far).await });
        (near, task)
    }

    async fn refused(
        client: &Arc<ClientConfig>,
        server: Arc<ServerConfig>,
        host: &str,
    ) -> TlsError {
        let (stream, accepted) = accept(server, 4096);
        let connected = connect(client, host, stream, SECOND).await;
        assert!(accepted.await.expect("no panic").is_err());
        connected.map(|_| ()).expect_err("it is refused")
    }

    #[tokio::test(start_paused = true)]
    async fn each_refusal_has_its_kind() -> Result<(), Failure> {
        let (ours, other) = (Authority::new()?, Authority::new()?);
        let good = ours.identity("localhost", 4000)?;
        let old = ours.identity("localhost", 2020)?;
        let client = trust(ours.roots()?)?;
        for stranger in [trust(other.roots()?)?, trust(RootCertStore::empty())?] {
            let error = refused(&stranger, Arc::clone(&good), "localhost").await;
            assert!(matches!(error, TlsError::UnknownIssuer(_)), "{error:?}");
        }
        let error = refused(&client, old, "localhost").await;
        assert!(matches!(error, TlsError::Expired(_)), "{error:?}");
        for host in ["example.com", "sub.localhost", "127.0.0.1"] {
            let error = refused(&client, Arc::clone(&good), host).await;
            assert!(matches!(error, TlsError::WrongHost(_)), "{error:?}");
        }
        let (stream, _accepted) = accept(good, 4096);
        let error = connect(&client, "no host", stream, SECOND)
            .await
            .map(|_| ());
        assert!(matches!(error, Err(TlsError::NoHost(_))), "{error:?}");
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_cannot_be_an_authority() -> Result<(), Failure> {
        let authority = IsCa::Ca(BasicConstraints::Unconstrained);
        for (is_ca, refused) in [(IsCa::NoCa, false), (authority, true)] {
            let mut params = CertificateParams::new(["localhost".to_owned()])?;
            params.is_ca = is_ca;
            let key = KeyPair::generate()?;
            let certificate = params.self_signed(&key)?;
            let mut roots = RootCertStore::empty();
            roots.add(certificate.der().clone())?;
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            let server = identify(vec![certificate.der().clone()], key.into())?;
            let (stream, _accepted) = accept(server, 4096);
            match connect(&trust(roots)?, "localhost", stream, SECOND).await {
                Ok(_) => assert!(!refused),
                Err(TlsError::Failed(error)) => {
                    assert!(error.to_string().contains("CaUsedAsEndEntity"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_tls_and_what_breaks_off_has_failed() -> Result<(), Failure> {
        let client = trust(RootCertStore::empty())?;
        for said in [
            &b""[..],
            b"\x16",
            b"\x16\x03\x03\x00\x50\x02",
            b"HTTP/1.1 400 \r\n\r\n",
        ] {
            let (stream, mut far) = duplex(4096);
            far.write_all(said).await?;
            far.shutdown().await?;
            let error = connect(&client, "localhost", stream, SECOND)
                .await
                .map(|_| ());
            assert!(matches!(error, Err(TlsError::Failed(_))), "{error:?}");
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_has_a_limit_however_slowly_it_goes_on() -> Result<(), Failure> {
        let client = trust(RootCertStore::empty())?;
        for limit in [Duration::ZERO, SECOND, 60 * SECOND] {
            let (stream, mut far) = duplex(4096);
            let start = Instant::now();
            let drip = AbortOnDropHandle::new(tokio::spawn(async move {
                far.write_all(b"\x16\x03\x03\x40\x00").await?;
                loop {
                    sleep(SECOND / 3).await;
                    far.write_all(b"\x02").await?;
                }
                #[expect(unreachable_code, reason = "it names the type")]
                Ok::<(), io::Error>(())
            }));
            let error = connect(&client, "localhost", stream, limit)
                .await
                .map(|_| ());
            assert!(matches!(error, Err(TlsError::TimedOut)), "{error:?}");
            assert_eq!(start.elapsed(), limit);
            drop(drip);
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_arrives_in_whole_or_with_an_error() -> Result<(), Failure> {
        let authority = Authority::new()?;
        let config = authority.identity("localhost", 4000)?;
        let client = trust(authority.roots()?)?;
        for (length, ends) in [(0, true), (0, false), (100_000, true), (100_000, false)] {
            let (stream, accepted) = accept(Arc::clone(&config), 500);
            let mut near = connect(&client, "localhost", stream, SECOND).await?;
            let mut far = accepted.await??;
            let sender = tokio::spawn(async move {
                far.write_all(&vec![1; length]).await?;
                if ends {
                    far.shutdown().await
                } else {
                    far.flush().await
                }
            });
            let mut all = Vec::new();
            let end = near.read_to_end(&mut all).await;
            assert_eq!(all.len(), length);
            let end = end.map(|_| ()).map_err(|error| error.kind());
            let expected = if ends {
                Ok(())
            } else {
                Err(ErrorKind::UnexpectedEof)
            };
            assert_eq!(end, expected);
            sender.await??;
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_may_not_have_been_sent() -> Result<(), Failure> {
        let authority = Authority::new()?;
        let config = authority.identity("localhost", 4000)?;
        let client = trust(authority.roots()?)?;
        for (flushes, sent) in [(false, false), (true, true)] {
            let (stream, accepted) = accept(Arc::clone(&config), 500);
            let mut near = connect(&client, "localhost", stream, SECOND).await?;
            let mut far = accepted.await??;
            let sender = tokio::spawn(async move {
                // More than the connection takes while nobody reads.
                far.write_all(&[1; 2000]).await?;
                if flushes { far.flush().await } else { Ok(()) }
            });
            sleep(SECOND).await;
            let mut all = Vec::new();
            let end = near.read_to_end(&mut all).await;
            assert!(end.is_err());
            assert_eq!(all.len() == 2000, sent);
            sender.await??;
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_at_each_await_it_closes_the_connection() -> Result<(), Failure> {
        let authority = Authority::new()?;
        let config = authority.identity("localhost", 4000)?;
        let client = trust(authority.roots()?)?;
        let mut completed = false;
        for polls in 1..60 {
            let (stream, accepted) = accept(Arc::clone(&config), 100);
            let mut connected = Box::pin(connect(&client, "localhost", stream, SECOND));
            for _ in 0..polls {
                if futures::poll!(connected.as_mut()).is_ready() {
                    completed = true;
                    break;
                }
                yield_now().await;
            }
            drop(connected);
            let ended = timeout(SECOND / 2, accepted).await?;
            assert!(completed || ended?.is_err());
            assert_eq!(Arc::strong_count(&client), 1);
        }
        assert!(completed);
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_at_once_beside_silent_ones_and_panics() -> Result<(), Failure> {
        let authority = Authority::new()?;
        let config = authority.identity("localhost", 4000)?;
        let client = trust(authority.roots()?)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let before = Handle::current().metrics().num_alive_tasks();
        let handle = |mut stream: server::TlsStream<TcpStream>| async move {
            let number = stream.read_u32().await?;
            assert!(number % 10 > 0, "scheduled");
            stream.write_u32(number).await?;
            stream.shutdown().await
        };
        let serving = tokio::spawn(serve(listener, config, 60 * SECOND, handle));
        let silent = TcpStream::connect(address).await?;
        let mut reset = TcpStream::connect(address).await?;
        reset.write_all(b"\x16\x03\x01").await?;
        reset.set_zero_linger()?;
        drop(reset);
        let all = join_all((0..100).map(|number| {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                let stream = TcpStream::connect(address).await?;
                let mut stream =
                    connect(&client, "localhost", stream, 60 * SECOND).await?;
                stream.write_u32(number).await?;
                stream.flush().await?;
                let answer = stream.read_u32().await;
                assert_eq!(answer.ok(), (number % 10 > 0).then_some(number));
                Ok::<(), Failure>(())
            })
        }));
        for done in all.await {
            done??;
        }
        serving.abort();
        assert!(serving.await.is_err_and(|error| error.is_cancelled()));
        while Handle::current().metrics().num_alive_tasks() > before {
            yield_now().await;
        }
        drop(silent);
        Ok(())
    }
}
