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

pub type Failure = Box<dyn Error + Send + Sync>;

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
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    pub(crate) fn roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone())?;
        Ok(roots)
    }

    /// A server's identity, valid until the beginning of that year.
    pub(crate) fn identity(
        &self,
        host: &str,
        year: i32,
    ) -> Result<Arc<ServerConfig>, Failure> {
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
