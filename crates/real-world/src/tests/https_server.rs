use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Client;
use reqwest::tls::TlsInfo;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsConnector, client};
use tokio_util::sync::CancellationToken;

use super::support::{most_memory, soon, tasks};
use crate::https_server::{Certificate, CertificateError, Limits, serve};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);
const LIMITS: Limits = Limits {
    connections: 100,
    handshake: MINUTE,
    head: MINUTE,
    connection: MINUTE,
    drain: MINUTE,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Whoever signs certificates; here it is the test itself.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM, and the certificate as clients see it.
struct Pair {
    chain: String,
    key: String,
    der: Vec<u8>,
}

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    fn sign(&self, host: &str) -> Result<Pair, rcgen::Error> {
        let params = CertificateParams::new([host.to_owned()])?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Pair {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
        })
    }
}

/// Returns a client that trusts this authority alone.
fn trusting(authority: &Authority) -> Result<Client, Failure> {
    let authority = reqwest::Certificate::from_pem(authority.0.pem().as_bytes())?;
    let client = Client::builder().no_proxy().tls_info(true);
    Ok(client.tls_certs_only([authority]).build()?)
}

/// The two files of a certificate.
struct Files {
    chain: PathBuf,
    key: PathBuf,
    _folder: TempDir,
}

impl Files {
    fn new(pair: &Pair) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let [chain, key] = ["fullchain.pem", "privkey.pem"];
        let files = Self {
            chain: folder.path().join(chain),
            key: folder.path().join(key),
            _folder: folder,
        };
        files.write(&pair.chain, &pair.key)?;
        Ok(files)
    }

    fn write(&self, chain: &str, key: &str) -> io::Result<()> {
        fs::write(&self.chain, chain)?;
        fs::write(&self.key, key)
    }

    fn load(&self) -> Result<Certificate, CertificateError> {
        Certificate::load(self.chain.clone(), self.key.clone())
    }
}

/// A server that says hello, after a nap if asked for.
struct Server {
    port: u16,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(certificate: Arc<Certificate>, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let stop = CancellationToken::new();
        let nap = async || {
            sleep(2 * TENTH).await;
            "slept"
        };
        let routes = Router::new()
            .route("/", get(async || "hello"))
            .route("/nap", get(nap))
            .route(
                "/switch",
                get(async || axum::http::StatusCode::SWITCHING_PROTOCOLS),
            )
            .route(
                "/hang",
                get(async || std::future::pending::<String>().await),
            )
            .route(
                "/panic",
                get(async || -> &'static str { panic!("scheduled") }),
            );
        let serving = serve(listener, certificate, routes, limits, stop.clone());
        let task = tokio::spawn(serving);
        Ok(Self { port, stop, task })
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Connects, and offers these protocols.
    async fn connect(
        &self,
        authority: &Authority,
        protocols: &[&[u8]],
    ) -> Result<client::TlsStream<TcpStream>, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let connector = TlsConnector::from(client_config(authority, protocols)?);
        let host = ServerName::try_from("localhost")?;
        Ok(soon(connector.connect(host, stream)).await?)
    }
}

fn client_config(
    authority: &Authority,
    protocols: &[&[u8]],
) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone())?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
    Ok(Arc::new(config))
}

fn messages(error: &CertificateError) -> String {
    let source = error.source().map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

/// The first trap of the page is among these.
#[tokio::test]
async fn files_that_do_not_fit_leave_the_certificate_as_it_was() -> Result<(), Failure> {
    let authority = Authority::new()?;
    let [first, second] = [authority.sign("localhost")?, authority.sign("localhost")?];
    let files = Files::new(&first)?;
    let certificate = Arc::new(files.load()?);
    let server = Server::start(Arc::clone(&certificate), LIMITS).await?;
    for (chain, key, message) in [
        (
            &*second.chain,
            &*first.key,
            "keys may not be consistent: KeyMismatch",
        ),
        (
            &first.chain,
            &second.key,
            "keys may not be consistent: KeyMismatch",
        ),
        ("", &first.key, "no certificates"),
        ("nonsense", &first.key, "no certificates"),
        (&first.key, &first.key, "no certificates"),
        (&first.chain, "", "privkey.pem as PEM: no items found"),
        (
            &first.chain,
            &first.chain,
            "privkey.pem as PEM: no items found",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMII",
            &first.key,
            "fullchain.pem as PEM",
        ),
    ] {
        files.write(chain, key)?;
        let error = certificate.reload().expect_err("it does not fit");
        let found = messages(&error);
        assert!(found.contains(message), "{found}");
        assert!(!found.contains("PRIVATE"), "{found}");
        assert!(files.load().is_err());
    }
    fs::remove_file(&files.chain)?;
    let found = messages(&certificate.reload().expect_err("no file"));
    assert!(
        found.contains("cannot read") && found.contains("No such file"),
        "{found}"
    );
    let response = trusting(&authority)?.get(server.url()).send().await?;
    let info = response.extensions().get::<TlsInfo>().expect("it is TLS");
    assert_eq!(info.peer_certificate(), Some(&first.der[..]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_are_served_while_the_certificate_is_renewed() -> Result<(), Failure> {
    super::allow_files();
    let before = tasks();
    let authority = Authority::new()?;
    let pairs = [authority.sign("localhost")?, authority.sign("localhost")?];
    let files = Files::new(&pairs[0])?;
    let certificate = Arc::new(files.load()?);
    let server = Server::start(Arc::clone(&certificate), LIMITS).await?;
    let seen = (0..60).map(|number| {
        let client = trusting(&authority);
        let url = match number % 3 {
            0 => format!("{}/nap", server.url()),
            1 => server.url(),
            _ => format!("{}/panic", server.url()),
        };
        async move {
            let response = client?.get(url).send().await;
            if number % 3 == 2 {
                assert!(response.is_err());
                return Ok(None);
            }
            let response = response?.error_for_status()?;
            let info = response.extensions().get::<TlsInfo>().cloned();
            let seen = info.and_then(|info| info.peer_certificate().map(<[u8]>::to_vec));
            assert!(["hello", "slept"].contains(&&*response.text().await?));
            Ok::<_, Failure>(seen)
        }
    });
    let renewing = async {
        for pair in pairs.iter().cycle().take(20) {
            files.write(&pair.chain, &pair.key)?;
            certificate.reload()?;
            sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, Failure>(())
    };
    let (seen, renewed) = soon(async { tokio::join!(join_all(seen), renewing) }).await;
    renewed?;
    for seen in seen {
        let seen = seen?;
        assert!(seen.is_none_or(|seen| pairs.iter().any(|pair| pair.der == seen)));
    }
    server.stop.cancel();
    soon(server.task).await?;
    soon(async {
        while tasks() > before {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    Ok(())
}

async fn started(limits: Limits) -> Result<(Authority, Server), Failure> {
    let authority = Authority::new()?;
    let files = Files::new(&authority.sign("localhost")?)?;
    let server = Server::start(Arc::new(files.load()?), limits).await?;
    Ok((authority, server))
}

/// The second trap of the page is among these.
#[tokio::test]
async fn alpn_chooses_http_1_and_refuses_a_client_that_speaks_http_2_alone()
-> Result<(), Failure> {
    let (authority, server) = started(LIMITS).await?;
    for offered in [&[&b"h2"[..], b"http/1.1"][..], &[b"http/1.1"], &[]] {
        let stream = server.connect(&authority, offered).await?;
        let chosen = stream.get_ref().1.alpn_protocol();
        let expected = (!offered.is_empty()).then_some(&b"http/1.1"[..]);
        assert_eq!(chosen, expected);
    }
    let refused = server.connect(&authority, &[b"h2"]).await.map(|_| ());
    let error = refused.expect_err("refused").to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    // What a client would send if the server had offered h2.
    let mut stream = server.connect(&authority, &[]).await?;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    Ok(())
}

/// A request is answered, and the end of the connection is no error.
async fn says_hello_to_the_end(limits: Limits) -> Result<(), Failure> {
    let (authority, server) = started(limits).await?;
    let mut stream = server.connect(&authority, &[]).await?;
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await?;
    assert!(answer.ends_with("hello"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_response_ends_with_close_notify() -> Result<(), Failure> {
    // Without it this would be an error: UnexpectedEof.
    says_hello_to_the_end(LIMITS).await
}

#[tokio::test]
async fn limits_without_end_overflow_nothing() -> Result<(), Failure> {
    let limits = Limits {
        connections: 1,
        handshake: Duration::MAX,
        head: Duration::MAX,
        connection: Duration::MAX,
        drain: Duration::MAX,
    };
    says_hello_to_the_end(limits).await
}

#[tokio::test]
async fn each_limit_in_time_ends_a_connection() -> Result<(), Failure> {
    // No handshake.
    let (_, server) = started(Limits {
        handshake: TENTH,
        ..LIMITS
    })
    .await?;
    let mut silent = TcpStream::connect(("127.0.0.1", server.port)).await?;
    assert_eq!(soon(silent.read(&mut [0])).await?, 0);
    // No request after the handshake.
    let (authority, server) = started(Limits {
        head: TENTH,
        ..LIMITS
    })
    .await?;
    let mut stream = server.connect(&authority, &[]).await?;
    stream.write_all(b"GET / HTTP/1.1\r\n").await?;
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    // Too old, and its handler takes longer than it may.
    let (authority, server) = started(Limits {
        connection: TENTH / 10,
        drain: TENTH / 10,
        ..LIMITS
    })
    .await?;
    let mut stream = server.connect(&authority, &[]).await?;
    stream
        .write_all(b"GET /nap HTTP/1.1\r\nhost: x\r\n\r\n")
        .await?;
    let cut_off = soon(stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(
        cut_off.map_err(|error| error.kind()),
        Err(ErrorKind::UnexpectedEof)
    );
    Ok(())
}

#[tokio::test]
async fn the_stop_waits_for_requests_and_for_nothing_else() -> Result<(), Failure> {
    let (authority, server) = started(LIMITS).await?;
    let silent = TcpStream::connect(("127.0.0.1", server.port)).await?;
    let idle = server.connect(&authority, &[]).await?;
    let url = format!("{}/nap", server.url());
    let client = trusting(&authority)?;
    let slept = tokio::spawn(async move { client.get(url).send().await?.text().await });
    let start = Instant::now();
    sleep(TENTH).await;
    server.stop.cancel();
    assert_eq!(soon(slept).await??, "slept");
    soon(server.task).await?;
    assert!(start.elapsed() < LIMITS.drain);
    drop((silent, idle));
    Ok(())
}

#[tokio::test]
async fn a_request_has_64_headers_at_most() -> Result<(), Failure> {
    let (authority, server) = started(LIMITS).await?;
    for (headers, status) in [(1, "200"), (64, "200"), (65, "431")] {
        let mut stream = server.connect(&authority, &[]).await?;
        let others = "a: b\r\n".repeat(headers - 1);
        let request = format!("GET / HTTP/1.1\r\nconnection: close\r\n{others}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    Ok(())
}

/// Clients know the root alone, as with Let's Encrypt.
#[tokio::test]
async fn the_whole_chain_is_sent() -> Result<(), Failure> {
    let root = Authority::new()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let between = CertifiedIssuer::signed_by(params, KeyPair::generate()?, &root.0)?;
    let between = Authority(between);
    let mut pair = between.sign("localhost")?;
    pair.chain += &between.0.pem();
    let files = Files::new(&pair)?;
    let server = Server::start(Arc::new(files.load()?), LIMITS).await?;
    let response = soon(trusting(&root)?.get(server.url()).send()).await?;
    assert_eq!(response.text().await?, "hello");
    Ok(())
}

#[tokio::test]
async fn after_a_reload_new_connections_alone_get_the_new_certificate()
-> Result<(), Failure> {
    let authority = Authority::new()?;
    let [first, second] = [authority.sign("localhost")?, authority.sign("localhost")?];
    let files = Files::new(&first)?;
    let certificate = Arc::new(files.load()?);
    let server = Server::start(Arc::clone(&certificate), LIMITS).await?;
    let clients = [trusting(&authority)?, trusting(&authority)?];
    let seen = async |client: &Client| {
        let response = client.get(server.url()).send().await?;
        let info = response.extensions().get::<TlsInfo>().cloned();
        assert_eq!(response.text().await?, "hello");
        let seen = info.and_then(|info| info.peer_certificate().map(<[u8]>::to_vec));
        Ok::<_, Failure>(seen.expect("it is TLS"))
    };
    assert_eq!(seen(&clients[0]).await?, first.der);
    files.write(&second.chain, &second.key)?;
    certificate.reload()?;
    assert_eq!(seen(&clients[0]).await?, first.der);
    assert_eq!(seen(&clients[1]).await?, second.der);
    Ok(())
}

#[tokio::test]
async fn stopped_it_refuses_new_clients_and_dropped_it_ends_the_others()
-> Result<(), Failure> {
    let (authority, server) = started(LIMITS).await?;
    let mut stream = server.connect(&authority, &[]).await?;
    stream
        .write_all(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n")
        .await?;
    // The handler runs when a request that came later has its answer.
    let nap = format!("{}/nap", server.url());
    soon(trusting(&authority)?.get(nap).send()).await?;
    server.stop.cancel();
    soon(async { while TcpStream::connect(("127.0.0.1", server.port)).await.is_ok() {} })
        .await;
    assert!(!server.task.is_finished());
    server.task.abort();
    assert!(soon(stream.read_to_end(&mut Vec::new())).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_request_may_end_after_the_age_of_its_connection() -> Result<(), Failure> {
    let limits = Limits {
        connection: TENTH,
        ..LIMITS
    };
    let (authority, server) = started(limits).await?;
    let request = b"GET /nap HTTP/1.1\r\nhost: x\r\n\r\n";
    let answered = async {
        let mut answer = Vec::new();
        // On a busy machine, the request may come when the connection is too old.
        while !answer.ends_with(b"slept") {
            let mut stream = server.connect(&authority, &[]).await?;
            let _ = stream.write_all(request).await;
            let _ = stream.read_to_end(&mut answer).await;
        }
        Ok::<_, Failure>(())
    };
    soon(answered).await
}

#[test]
fn finished_connections_do_not_pile_up() {
    let memory = |clients: u32| {
        most_memory(async move {
            let (_, server) = started(LIMITS).await.expect("it starts");
            for _ in 0..clients {
                let stream = TcpStream::connect(("127.0.0.1", server.port)).await;
                let mut stream = stream.expect("it serves");
                stream.shutdown().await.expect("it is open");
                let _ = stream.read(&mut [0]).await;
            }
        })
    };
    let [few, many] = [100, 3_000].map(memory);
    assert!(many < few + 100_000, "{few} {many}");
}

/// As the header says: a socket that is upgraded would pass the limits by.
#[tokio::test]
async fn an_upgrade_is_refused_with_a_status() -> Result<(), Failure> {
    let (authority, server) = started(LIMITS).await?;
    let mut stream = server.connect(&authority, &[]).await?;
    let request = b"GET /switch HTTP/1.1\r\nhost: localhost\r\n\
        connection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(request).await?;
    let mut status = [0; 12];
    soon(stream.read_exact(&mut status)).await?;
    assert_eq!(&status, b"HTTP/1.1 501");
    Ok(())
}

#[tokio::test]
async fn a_client_that_ends_its_side_after_the_request_is_answered() -> Result<(), Failure>
{
    let (authority, server) = started(LIMITS).await?;
    for path in ["/", "/nap"] {
        let mut stream = server.connect(&authority, &[]).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await?;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    Ok(())
}
