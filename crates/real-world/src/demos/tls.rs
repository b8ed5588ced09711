//! Answers that are whole and cut off, refused certificates, silent peers, an upgrade.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::{client, server};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::tls::{
    Failure, Limits, close, connect, identify, refusal, serve, start_tls, trust,
    trust_system,
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
        Ok(_) => {
            println!("{question}: {answer}");
            // Nothing is left to read, so that this sends close_notify and no more.
            close(connection, LONG).await?;
        }
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

/// No part takes as long.
const LONG: Duration = Duration::from_secs(30);

const LIMIT: Duration = Duration::from_millis(300);

/// Starts a server, which runs until the second value is dropped.
async fn start(
    config: Arc<ServerConfig>,
    handshake: Duration,
) -> io::Result<(SocketAddr, AbortOnDropHandle<usize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let limits = Limits {
        connections: 100,
        handshake,
        connection: LONG,
        drain: LONG,
    };
    let serving = serve(listener, config, limits, CancellationToken::new(), answer);
    Ok((address, AbortOnDropHandle::new(tokio::spawn(serving))))
}

/// Answers a command without TLS, and then begins it.
async fn upgrade(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut plain = BufReader::new(stream);
    let mut command = String::new();
    (&mut plain).take(LONGEST).read_line(&mut command).await?;
    plain.write_all(b"go ahead\n").await?;
    match start_tls(&config, plain, LONG).await {
        Ok(stream) => {
            let mut stream = BufStream::new(stream);
            let mut line = String::new();
            (&mut stream).take(LONGEST).read_line(&mut line).await?;
            stream.write_all(line.as_bytes()).await?;
            close(stream, LONG).await
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            println!("the server refuses what came before the handshake");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

pub async fn run() -> Result<(), Failure> {
    let ready = Instant::now() + 4 * LIMIT / 3;
    let authority = Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let (server, _task) = start(Arc::clone(&config), LONG).await?;
    let old = authority.identity("localhost", 2025)?;
    let (old_server, _old_task) = start(old, LONG).await?;
    let client = trust(authority.roots()?)?;
    let as_the_system = trust_system()?;
    // Certificates take time to make.
    sleep_until(ready).await;

    println!("Two answers, one of them cut off:");
    for question in ["whole", "half"] {
        let stream = TcpStream::connect(server).await?;
        let stream = connect(&client, "localhost", stream, LONG).await?;
        ask(stream, question).await?;
    }

    println!("Certificates that are refused:");
    for (client, host, server) in [
        (&as_the_system, "localhost", server),
        (&client, "localhost", old_server),
        (&client, "example.com", server),
    ] {
        let stream = TcpStream::connect(server).await?;
        match connect(client, host, stream, LONG).await {
            Ok(_) => println!("connected"),
            Err(error) => println!("{}", explain(&error)),
        }
    }

    println!("A client who says nothing does not hold up the others:");
    let _silent = TcpStream::connect(server).await?;
    let stream = TcpStream::connect(server).await?;
    ask(connect(&client, "localhost", stream, LONG).await?, "whole").await?;
    let (strict, _strict_task) = start(Arc::clone(&config), LIMIT).await?;
    let mut silent = TcpStream::connect(strict).await?;
    println!("the silent one gets {} bytes", silent.read(&mut [0]).await?);

    println!("A server that says nothing:");
    let nobody = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(nobody.local_addr()?).await?;
    if let Err(error) = connect(&client, "localhost", stream, LIMIT).await {
        println!("{}", explain(&error));
    }

    println!("TLS begins after a command, and something was sent in between:");
    let plain = TcpListener::bind("127.0.0.1:0").await?;
    for command in ["STARTTLS\n", "STARTTLS\nand more\n"] {
        let mut stream = TcpStream::connect(plain.local_addr()?).await?;
        let (far, _) = plain.accept().await?;
        let serving = tokio::spawn(upgrade(far, Arc::clone(&config)));
        stream.write_all(command.as_bytes()).await?;
        stream.read_exact(&mut [0; 9]).await?;
        if let Ok(mut stream) = connect(&client, "localhost", stream, LONG).await {
            stream.write_all(b"hello\n").await?;
            stream.flush().await?;
            let mut line = String::new();
            stream.read_to_string(&mut line).await?;
            println!("over TLS came: {}", line.trim_end());
            close(stream, LONG).await?;
        }
        serving.await??;
    }
    Ok(())
}
