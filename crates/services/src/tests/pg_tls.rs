use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{PoolError, TimeoutType};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa,
    KeyPair,
};
use servers::{Kind, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_postgres::config::{ChannelBinding, Config, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{CertificateError as Refusal, ClientConfig};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::support::{connect, poll_and_drop, postgres, private, soon};
use crate::pg_tls::{ConnectError, PgTls, causes, refusal, trust};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);

/// What a client sends first: its length, and a number that asks for TLS.
const REQUEST: [u8; 8] = *b"\0\0\0\x08\x04\xd2\x16\x2f";

/// Refuses plain text, but for the administrator.
const RULES: &str = "
    hostssl all scram all scram-sha-256
    hostssl all all all trust
    hostnossl all postgres 127.0.0.1/32 trust
    hostnossl all all all reject";

/// Whoever signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("it signs"))
    }

    /// Signs a certificate that is valid until the beginning of that year.
    fn sign(&self, host: &str, year: i32) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        self.sign_as(params)
    }

    fn sign_as(&self, params: CertificateParams) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("it signs"), key)
    }

    fn tls(&self) -> MakeRustlsConnect {
        trust(self.0.pem().as_bytes()).expect("it is a certificate")
    }
}

/// A server that wants TLS.
struct Secure {
    server: Server,
    url: String,
    authority: Authority,
    /// Over plain text.
    admin: Client,
}

impl Secure {
    async fn new() -> Self {
        let server = private(Kind::Postgres).await;
        let url = server.url();
        let admin = connect(&url).await;
        let authority = Authority::new("ours");
        let secure = Self {
            server,
            url,
            authority,
            admin,
        };
        for sql in [
            "CREATE USER scram PASSWORD 'pencil'",
            "CREATE USER other",
            "ALTER SYSTEM SET ssl = on",
        ] {
            secure.admin.batch_execute(sql).await.expect("it runs");
        }
        secure.write("pg_hba.conf", RULES).await;
        secure
            .use_certificate(&secure.authority.sign("localhost", 4000))
            .await;
        secure
    }

    /// Writes a file that nobody else may read into the folder of the data.
    async fn write(&self, name: &str, text: &str) {
        let text = text.trim().lines().collect::<Vec<_>>().join("', '");
        let sql = format!(
            "COPY (SELECT unnest(ARRAY['{text}'])) TO PROGRAM
             'rm -f {name}; umask 077; cat > {name}'"
        );
        self.admin.batch_execute(&sql).await.expect("it runs");
    }

    /// Shows this certificate to new connections.
    async fn use_certificate(&self, (certificate, key): &(Certificate, KeyPair)) {
        self.write("server.crt", &certificate.pem()).await;
        self.write("server.key", &key.serialize_pem()).await;
        let before = self.loaded().await;
        let sql = "SELECT pg_reload_conf()";
        self.admin.execute(sql, &[]).await.expect("it runs");
        let reloaded = async {
            while self.loaded().await == before {
                sleep(TENTH / 10).await;
            }
        };
        soon(reloaded).await;
    }

    /// When new connections have last got other files.
    async fn loaded(&self) -> String {
        let client = connect(&self.url).await;
        let sql = "SELECT pg_conf_load_time()::TEXT";
        let row = client.query_one(sql, &[]).await;
        row.expect("it runs").get(0)
    }

    fn port(&self) -> u16 {
        let config: Config = self.url.parse().expect("a URL");
        config.get_ports()[0]
    }

    /// The address, with the host of the certificate.
    fn config(&self, user: &str) -> Config {
        local(self.port(), user)
    }

    fn reach(&self, user: &str) -> PgTls {
        PgTls::new(self.config(user), self.authority.tls(), MINUTE)
    }
}

fn local(port: u16, user: &str) -> Config {
    let mut config = Config::new();
    config
        .host("localhost")
        .port(port)
        .user(user)
        .dbname("postgres");
    config.hostaddr([127, 0, 0, 1].into()).password("pencil");
    config
}

/// Answers the first request for TLS with these bytes. Tells what the client sends then.
async fn fake(answer: &'static [u8], ends: bool) -> (Config, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let serving = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut request = [0; 8];
        client.read_exact(&mut request).await.expect("it asks");
        assert_eq!(request, REQUEST);
        // A client that has seen enough may be gone.
        let _ = client.write_all(answer).await;
        if ends {
            let _ = client.shutdown().await;
        }
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
        rest
    });
    (local(port, "other"), serving)
}

fn postgres_error(error: ConnectError) -> tokio_postgres::Error {
    match error {
        ConnectError::Postgres(error) => error,
        ConnectError::Timeout(error) => panic!("{error:?}"),
    }
}

async fn is_over_tls(client: &Client) -> bool {
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = soon(client.query_one(sql, &[])).await;
    row.expect("it runs").get(0)
}

fn any_tls() -> MakeRustlsConnect {
    Authority::new("ours").tls()
}

/// Whatever the URL says.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn tls_is_required() {
    let secure = Secure::new().await;
    for mode in [SslMode::Disable, SslMode::Prefer, SslMode::Require] {
        let mut config = secure.config("postgres");
        config.ssl_mode(mode);
        let server = PgTls::new(config, secure.authority.tls(), MINUTE);
        let client = server.connect().await.expect("it runs");
        assert!(is_over_tls(&client).await, "{mode:?}");
        let pooled = server.pool(1).get().await.expect("it runs");
        assert!(is_over_tls(&pooled).await, "{mode:?}");
    }
    // Of several authorities, each is trusted.
    let other = Authority::new("other");
    let both = format!("{}{}", other.0.pem(), secure.authority.0.pem());
    let tls = trust(both.as_bytes()).expect("they are certificates");
    let server = PgTls::new(secure.config("other"), tls, MINUTE);
    server.connect().await.expect("it runs");
    // The server refuses plain text as well.
    let refused = secure.config("other").connect(NoTls).await;
    let refused = refused.err().expect("it is refused");
    let code = Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    assert_eq!(refused.code(), code, "{refused:?}");
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn certificates_that_are_refused() {
    let secure = Secure::new().await;
    let stranger = Authority::new("stranger");
    // A name alone, as old certificates have it.
    let mut named = CertificateParams::default();
    named
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    for (certificate, says) in [
        (stranger.sign("localhost", 4000), "UnknownIssuer"),
        (
            secure.authority.sign("localhost", 2025),
            "certificate expired",
        ),
        (
            secure.authority.sign("example.com", 4000),
            "not valid for name \"localhost\"",
        ),
        (
            secure.authority.sign("127.0.0.1", 4000),
            "not valid for name \"localhost\"",
        ),
        (
            secure.authority.sign_as(named),
            "not valid for name \"localhost\"",
        ),
    ] {
        secure.use_certificate(&certificate).await;
        let server = secure.reach("other");
        let refused = soon(server.connect()).await.expect_err(says);
        let text = refused.to_string();
        let start = "error performing TLS handshake: invalid peer certificate: ";
        assert!(text.starts_with(start) && text.contains(says), "{text}");
        let why = postgres_error(refused);
        let why = refusal(&why).expect("a refusal");
        assert!(matches!(
            why,
            Refusal::UnknownIssuer
                | Refusal::ExpiredContext { .. }
                | Refusal::NotValidForNameContext { .. }
        ));
        let pooled = soon(server.pool(1).get()).await.expect_err(says);
        assert!(matches!(pooled, PoolError::Backend(_)), "{pooled:?}");
        assert!(causes(&pooled).contains(says), "{}", causes(&pooled));
    }
    // One that is its own authority, as `openssl req -x509` makes them.
    let mut own = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let own = own.self_signed(&key).expect("it signs");
    let tls = trust(own.pem().as_bytes()).expect("it is a certificate");
    secure.use_certificate(&(own, key)).await;
    let server = PgTls::new(secure.config("other"), tls, MINUTE);
    let refused = soon(server.connect()).await.expect_err("it is refused");
    assert!(
        refused.to_string().contains("CaUsedAsEndEntity"),
        "{refused}"
    );
}

/// The first trap of the header.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn preferred_tls_falls_back_to_plain_text() {
    let mut config: Config = postgres().await.parse().expect("a URL");
    assert_eq!(config.get_ssl_mode(), SslMode::Prefer);
    let (client, connection) = config.connect(any_tls()).await.expect("no error");
    tokio::spawn(connection);
    assert!(!is_over_tls(&client).await);
    let server = PgTls::new(config.clone(), any_tls(), MINUTE);
    let refused = soon(server.connect()).await.expect_err("it is refused");
    let expected = "error performing TLS handshake: server does not support TLS";
    assert_eq!(refused.to_string(), expected);
    assert!(refusal(&postgres_error(refused)).is_none());
    // With `NoTls` nobody asks.
    let secure = Secure::new().await;
    config = secure.config("postgres");
    let (client, connection) = config.connect(NoTls).await.expect("no error");
    tokio::spawn(connection);
    assert!(!is_over_tls(&client).await);
}

/// Whatever is between says, the client sends nothing but the beginning of a handshake.
#[tokio::test]
async fn no_answer_makes_it_speak_plain_text() {
    // What a server sends that lets everybody in.
    let accepted = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    let injected = b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    for (answer, ends) in [
        (&b"N"[..], false),
        (b"NR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", false),
        (b"E\0\0\0\x0bSERROR\0\0", false),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
        (b"\0", false),
        (b"", true),
        (b"S", true),
        (b"SS", true),
        (accepted, false),
        (injected, false),
    ] {
        let (config, serving) = fake(answer, ends).await;
        let server = PgTls::new(config, any_tls(), MINUTE);
        let refused = soon(server.connect()).await.expect_err("it is no server");
        let refused = postgres_error(refused);
        assert!(refusal(&refused).is_none(), "{refused:?}");
        let sent = soon(serving).await.expect("it asserts");
        match answer.first() {
            // A record of a handshake.
            Some(b'S') => assert!(sent.starts_with(b"\x16\x03"), "{sent:?}"),
            _ => assert!(sent.is_empty(), "{sent:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    for answer in [&b""[..], b"S", b"S\x16\x03\x03\x01\0\x02"] {
        let (config, serving) = fake(answer, false).await;
        let server = PgTls::new(config, any_tls(), 2 * TENTH);
        let ended = soon(server.connect()).await.expect_err("it hangs");
        assert!(matches!(ended, ConnectError::Timeout(_)), "{ended:?}");
        // The socket is closed.
        soon(serving).await.expect("it asserts");
        let (config, serving) = fake(answer, false).await;
        let server = PgTls::new(config, any_tls(), 2 * TENTH);
        let ended = soon(server.pool(1).get()).await.expect_err("it hangs");
        let expected = matches!(ended, PoolError::Timeout(TimeoutType::Create));
        assert!(expected, "{ended:?}");
        soon(serving).await.expect("it asserts");
        // As the header says: this limit is for TCP.
        let (mut config, _serving) = fake(answer, false).await;
        config.connect_timeout(TENTH).ssl_mode(SslMode::Require);
        let connecting = timeout(5 * TENTH, config.connect(any_tls()));
        assert!(connecting.await.is_err());
    }
}

/// The second trap of the header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_cancellation_needs_tls_as_well() {
    let secure = Secure::new().await;
    let server = secure.reach("other");
    let client = server.connect().await.expect("it runs");
    let token = client.cancel_token();
    let cannot = token.cancel_query(NoTls).await.expect_err("it has no TLS");
    assert!(causes(&cannot).ends_with("no TLS implementation configured"));
    let sleeping =
        tokio::spawn(async move { client.execute("SELECT pg_sleep(60)", &[]).await });
    let cancelling = async {
        while !sleeping.is_finished() {
            server.cancel(&token).await.expect("it runs");
            sleep(TENTH / 10).await;
        }
    };
    soon(cancelling).await;
    let ended = sleeping.await.expect("no panic").expect_err("cancelled");
    assert_eq!(ended.code(), Some(&SqlState::QUERY_CANCELED));
    // The server takes a key in plain text, though it refuses such connections.
    let mut config = secure.config("other");
    config.ssl_mode(SslMode::Prefer);
    let (client, connection) = config
        .connect(secure.authority.tls())
        .await
        .expect("it runs");
    tokio::spawn(connection);
    assert!(is_over_tls(&client).await);
    let token = client.cancel_token();
    let sleeping =
        tokio::spawn(async move { client.execute("SELECT pg_sleep(60)", &[]).await });
    let cancelling = async {
        while !sleeping.is_finished() {
            token.cancel_query(NoTls).await.expect("no error");
            sleep(TENTH / 10).await;
        }
    };
    soon(cancelling).await;
    let ended = sleeping.await.expect("no panic").expect_err("cancelled");
    assert_eq!(ended.code(), Some(&SqlState::QUERY_CANCELED));
    // A server that hangs does not hold up the caller.
    let client = server.connect().await.expect("it runs");
    let limited = PgTls::new(secure.config("other"), secure.authority.tls(), TENTH);
    secure.server.pause();
    let ended = soon(limited.cancel(&client.cancel_token())).await;
    let ended = ended.expect_err("it hangs");
    assert!(matches!(ended, ConnectError::Timeout(_)), "{ended:?}");
    secure.server.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn many_connections_at_once() {
    let secure = Secure::new().await;
    let mut clients = JoinSet::new();
    for _ in 0..129 {
        let server = secure.reach("other");
        clients.spawn(async move {
            let client = server.connect().await.expect("it runs");
            assert!(is_over_tls(&client).await);
            client
        });
    }
    assert_eq!(soon(clients.join_all()).await.len(), 129);
    let pool = secure.reach("other").pool(31);
    let mut calls = JoinSet::new();
    for _ in 0..129 {
        let pool = pool.clone();
        calls.spawn(async move {
            let client = pool.get().await.expect("it runs");
            is_over_tls(&client).await
        });
    }
    assert!(soon(calls.join_all()).await.into_iter().all(|tls| tls));
    assert!(pool.status().size <= 31);
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_no_connection_stays() {
    let secure = Secure::new().await;
    let server = secure.reach("other");
    let (mut dropped, mut polls) = (0, 0);
    while poll_and_drop(server.connect(), polls).await.is_none() {
        dropped += 1;
        polls += 1 + polls / 50;
    }
    assert!(dropped > 3, "{dropped}");
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'other'";
    let gone = async {
        while secure
            .admin
            .query_one(sql, &[])
            .await
            .expect("it runs")
            .get::<_, i64>(0)
            > 0
        {
            sleep(TENTH / 10).await;
        }
    };
    soon(gone).await;
    server.connect().await.expect("it runs");
}

/// It has a certificate of our authority, and passes everything on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_password_is_bound_to_the_certificate() {
    let secure = Secure::new().await;
    let mut config = secure.config("scram");
    config.channel_binding(ChannelBinding::Require);
    let server = PgTls::new(config, secure.authority.tls(), MINUTE);
    server.connect().await.expect("nobody is in between");

    let (certificate, key) = secure.authority.sign("localhost", 4000);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let shows = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("it has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(shows));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let between = listener.local_addr().expect("it is bound").port();
    let mut roots = RootCertStore::empty();
    roots
        .add(secure.authority.0.der().clone())
        .expect("it is one");
    let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("it has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(tls));
    let port = secure.port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let passing = async {
                client.read_exact(&mut [0; 8]).await?;
                client.write_all(b"S").await?;
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                server.write_all(&REQUEST).await?;
                server.read_exact(&mut [0]).await?;
                let name = ServerName::try_from("localhost").expect("a name");
                let mut server = connector.connect(name, server).await?;
                copy_bidirectional(&mut client, &mut server).await
            };
            // The client tells the error.
            let _ = passing.await;
        }
    });
    for (binding, refused) in [
        (ChannelBinding::Require, true),
        (ChannelBinding::Prefer, true),
        (ChannelBinding::Disable, false),
    ] {
        let mut config = local(between, "scram");
        config.channel_binding(binding);
        let server = PgTls::new(config, secure.authority.tls(), MINUTE);
        match soon(server.connect()).await {
            Err(error) => {
                assert!(refused, "{error}");
                assert!(error.to_string().contains("channel binding"), "{error}");
            }
            Ok(client) => {
                assert!(!refused, "{binding:?}");
                // To the one in between.
                assert!(is_over_tls(&client).await);
            }
        }
    }
}

#[test]
fn what_is_no_authority() {
    let server = Authority::new("ours");
    assert!(trust(server.0.pem().as_bytes()).is_ok());
    let cut = &server.0.pem()[..200];
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in ["", "nonsense", cut, broken] {
        assert!(trust(text.as_bytes()).is_err(), "{text}");
    }
}

/// The words of libpq that the header names.
#[test]
fn a_url_that_is_refused() {
    for (option, says) in [
        ("sslmode=verify-full", "invalid value for option `sslmode`"),
        ("sslrootcert=root.crt", "unknown option `sslrootcert`"),
    ] {
        let url = format!("postgres://user@localhost/database?{option}");
        let refused = url.parse::<Config>().expect_err(option);
        assert!(causes(&refused).contains(says), "{}", causes(&refused));
    }
}

#[test]
fn no_password_is_printed() {
    let server = PgTls::new(local(1, "other"), any_tls(), MINUTE);
    let text = format!("{server:?}");
    assert!(text.contains("other") && !text.contains("pencil"), "{text}");
}
