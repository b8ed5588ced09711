//! Answers that are whole and cut off, certificates that are refused, and silent peers.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::{client, server};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::tls::{
    Failure, Limits, connect, identify, refusal, serve, trust, trust_system,
};

/// The longest question in bytes.
const LONGEST: u64 = 1000;

/// Answers "whole" with four bytes and a proper end, and "half" with half of that.
pub async fn answer(stream: server::TlsStream<TcpStream>) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    let mut question = String::new();
    // Without `take` a client that never ends its line fills the memory.
    (&mut stream).take(LONGEST).read_line(&mut question).await?;
    if question == "whole\n" {
        stream.write_all(b"1234").await?;
        stream.shutdown().await
    } else {
        stream.write_all(b"12").await?;
        stream.flush().await
    }
}

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

/// Why there is no connection.
fn explain(error: &io::Error) -> &'static str {
    use rustls::CertificateError as Refusal;

    match refusal(error) {
        Some(Refusal::UnknownIssuer | Refusal::BadSignature) => {
            "the certificate is signed by nobody we trust"
        }
        Some(Refusal::ExpiredContext { .. }) => "the certificate has expired",
        Some(Refusal::NotValidForNameContext { .. }) => {
            "the certificate is for another host"
        }
        _ if error.kind() == ErrorKind::TimedOut => "no handshake in time",
        _ => "the handshake failed",
    }
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
        identify(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
    }
}

const LIMIT: Duration = Duration::from_millis(300);

/// Starts a server, which runs until the second value is dropped.
async fn start(
    config: Arc<ServerConfig>,
) -> io::Result<(SocketAddr, AbortOnDropHandle<usize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let limits = Limits {
        connections: 100,
        handshake: LIMIT,
        connection: Duration::from_secs(10),
        drain: LIMIT,
    };
    let serving = serve(listener, config, limits, CancellationToken::new(), answer);
    Ok((address, AbortOnDropHandle::new(tokio::spawn(serving))))
}

pub async fn run() -> Result<(), Failure> {
    let start_time = Instant::now();
    let at = |tenths: u32| sleep_until(start_time + tenths * LIMIT / 3);
    let authority = Authority::new()?;
    let (server, _task) = start(authority.identity("localhost", 4000)?).await?;
    let (old_server, _old_task) = start(authority.identity("localhost", 2025)?).await?;
    let client = trust(authority.roots()?)?;
    let as_the_system = trust_system()?;

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
        (7, &as_the_system, "localhost", server),
        (8, &client, "localhost", old_server),
        (9, &client, "example.com", server),
    ] {
        at(tenths).await;
        let stream = TcpStream::connect(server).await?;
        match connect(client, host, stream, LIMIT).await {
            Ok(_) => println!("connected"),
            Err(error) => println!("{}", explain(&error)),
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
        println!("{}", explain(&error));
    }
    Ok(())
}
