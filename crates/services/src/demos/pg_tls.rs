//! Certificates that are refused, a pool, and a server that says that it has no TLS.
//!
//! TLS ends at a process in front of the server of DATABASE_URL, which need not have it.

use std::env;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::config::{Config, Host, SslMode};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{CertificateError as Refusal, ServerConfig};

use crate::pg_tls::{ConnectError, Failure, PgTls, refusal, trust};

/// Whoever signs certificates; here it is the example itself.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Signs a certificate that is valid until the beginning of that year.
    fn sign(
        &self,
        host: &str,
        year: i32,
    ) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.0)?, key))
    }
}

/// What a server answers when a client asks for TLS.
#[derive(Clone)]
enum Answer {
    Yes(TlsAcceptor),
    No,
    /// Yes, and then nothing.
    Silence,
}

fn yes((certificate, key): (rcgen::Certificate, KeyPair)) -> Result<Answer, Failure> {
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok(Answer::Yes(TlsAcceptor::from(Arc::new(config))))
}

/// Answers one client, and brings what it says to the database.
async fn forward(
    mut client: TcpStream,
    answer: Answer,
    database: (String, u16),
) -> io::Result<()> {
    // Four bytes of length, and a number that asks for TLS.
    client.read_exact(&mut [0; 8]).await?;
    let mut server = TcpStream::connect(database).await?;
    match answer {
        Answer::Yes(acceptor) => {
            client.write_all(b"S").await?;
            let mut client = acceptor.accept(client).await?;
            copy_bidirectional(&mut client, &mut server).await?;
        }
        Answer::No => {
            client.write_all(b"N").await?;
            copy_bidirectional(&mut client, &mut server).await?;
        }
        Answer::Silence => {
            client.write_all(b"S").await?;
            // Until the client is gone.
            while client.read(&mut [0; 1024]).await? > 0 {}
        }
    }
    Ok(())
}

/// Serves in front of the database until the set is dropped, and returns the address of
/// a client.
async fn front(servers: &mut JoinSet<()>, answer: Answer) -> Result<Config, Failure> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let behind: Config = url.parse()?;
    let [Host::Tcp(host), ..] = behind.get_hosts() else {
        return Err("DATABASE_URL has no host".into());
    };
    let database = (host.clone(), *behind.get_ports().first().unwrap_or(&5432));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut config = Config::new();
    config.host("localhost").port(listener.local_addr()?.port());
    config.hostaddr(IpAddr::V4(Ipv4Addr::LOCALHOST));
    if let Some(user) = behind.get_user() {
        config.user(user);
    }
    if let Some(password) = behind.get_password() {
        config.password(password);
    }
    if let Some(name) = behind.get_dbname() {
        config.dbname(name);
    }
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            connections.spawn(forward(client, answer.clone(), database.clone()));
        }
    });
    Ok(config)
}

/// Why there is no connection.
fn explain(error: &ConnectError) -> &'static str {
    let ConnectError::Postgres(error) = error else {
        return "no connection in time";
    };
    match refusal(error) {
        Some(Refusal::UnknownIssuer) => "the certificate is signed by nobody we trust",
        Some(Refusal::ExpiredContext { .. }) => "the certificate has expired",
        Some(Refusal::NotValidForNameContext { .. }) => {
            "the certificate is for another host"
        }
        _ => "refused: the server has no TLS",
    }
}

const LIMIT: Duration = Duration::from_millis(300);

async fn try_to_connect(server: &PgTls) -> Result<(), Failure> {
    match server.connect().await {
        Ok(client) => {
            let row = client.query_one("SELECT 42", &[]).await?;
            println!("over TLS: {}", row.get::<_, i32>(0));
        }
        Err(error) => println!("{}", explain(&error)),
    }
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let (authority, stranger) = (Authority::new("ours")?, Authority::new("theirs")?);
    let connector = trust(authority.pem().as_bytes())?;
    let mut servers = JoinSet::new();
    let mut serve = async |answer| front(&mut servers, answer).await;
    let reach = |config: &Config| {
        let limit = Duration::from_secs(10);
        PgTls::new(config.clone(), connector.clone(), limit)
    };
    let good = serve(yes(authority.sign("localhost", 4000)?)?).await?;

    at(400).await;
    println!("A certificate of an authority that we trust:");
    try_to_connect(&reach(&good)).await?;

    at(600).await;
    println!("Certificates that are refused:");
    for (signed, host, year) in [
        (&stranger, "localhost", 4000),
        (&authority, "localhost", 2025),
        (&authority, "example.com", 4000),
    ] {
        let server = serve(yes(signed.sign(host, year)?)?).await?;
        try_to_connect(&reach(&server)).await?;
    }

    at(800).await;
    println!("Three callers share a pool of two connections:");
    let pool = reach(&good).pool(2);
    let mut callers = JoinSet::new();
    for _ in 0..3 {
        let pool = pool.clone();
        callers.spawn(async move {
            let client = pool.get().await?;
            client.query_one("SELECT pg_sleep(0.1)", &[]).await?;
            Ok::<(), Failure>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    at(1100).await;
    println!("connections: {}", pool.status().size);

    at(1300).await;
    println!("A caller gives up after 0.1 s, and its statement is cancelled:");
    let server = reach(&good);
    let client = server.connect().await?;
    let sleeping = client.query_one("SELECT pg_sleep(60)", &[]);
    if timeout(LIMIT / 3, sleeping).await.is_err() {
        server.cancel(&client.cancel_token()).await?;
    }
    let row = client.query_one("SELECT 42", &[]).await?;
    at(1500).await;
    println!("the next caller gets {}", row.get::<_, i32>(0));

    at(1700).await;
    println!("Somebody in between says that the server has no TLS:");
    let mut none = serve(Answer::No).await?;
    try_to_connect(&reach(&none)).await?;
    none.ssl_mode(SslMode::Prefer);
    let (client, connection) = none.connect(connector.clone()).await?;
    let connection = tokio::spawn(connection);
    let row = client.query_one("SELECT 42", &[]).await?;
    println!("with prefer, in plain text: {}", row.get::<_, i32>(0));
    drop(client);
    connection.await??;

    at(1900).await;
    println!("A server that says yes and then nothing:");
    let silent = serve(Answer::Silence).await?;
    try_to_connect(&PgTls::new(silent, connector.clone(), LIMIT)).await
}
