//! Clients that trust other authorities, a renewal, a silent client, and the stop.

use std::error::Error;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Client;
use reqwest::tls::TlsInfo;
use tokio::io::AsyncReadExt;
use tokio::join;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::https_server::{Certificate, CertificateError, Limits, serve};

type Failure = Box<dyn Error + Send + Sync>;

/// Whoever signs certificates; here it is the example itself.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM, and the certificate as clients see it.
pub struct Pair {
    pub chain: String,
    pub key: String,
    pub der: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn sign(&self, host: &str) -> Result<Pair, rcgen::Error> {
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
pub fn trusting(authority: &Authority) -> Result<Client, Failure> {
    let authority = reqwest::Certificate::from_pem(authority.pem().as_bytes())?;
    let client = Client::builder().no_proxy().tls_info(true);
    Ok(client.tls_certs_only([authority]).build()?)
}

/// Prints what a request comes to, and with which of the certificates.
async fn ask(client: &Client, url: &str, pairs: &[&Pair; 2]) {
    let response = match client.get(url).send().await {
        Ok(response) => response,
        Err(error) if format!("{error:?}").contains("UnknownIssuer") => {
            return println!("the certificate is signed by nobody we trust");
        }
        Err(_) => return println!("no connection"),
    };
    let info = response.extensions().get::<TlsInfo>();
    let seen = info.and_then(TlsInfo::peer_certificate);
    let is_first = seen == Some(&pairs[0].der[..]);
    let which = if is_first { "first" } else { "renewed" };
    match response.text().await {
        Ok(text) => println!("{text}, with the {which} certificate"),
        Err(_) => println!("cut off"),
    }
}

fn reload(certificate: &Certificate) {
    match certificate.reload() {
        Ok(()) => println!("the certificate is renewed"),
        Err(CertificateError::Pair(_)) => println!("the key does not fit: it stays"),
        Err(CertificateError::File(..)) => println!("a file cannot be read: it stays"),
    }
}

/// A server, and what stops it.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(
    certificate: Arc<Certificate>,
    routes: Router,
    handshake: Duration,
) -> io::Result<Server> {
    let limits = Limits {
        connections: 100,
        handshake,
        head: LONG,
        connection: LONG,
        drain: LONG,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let serving = serve(listener, certificate, routes, limits, stop.clone());
    let task = tokio::spawn(serving);
    Ok(Server {
        address,
        stop,
        task,
    })
}

/// No part takes as long.
const LONG: Duration = Duration::from_secs(30);

pub async fn run() -> Result<(), Failure> {
    // Clients and certificates take time to make.
    let ready = Instant::now() + Duration::from_secs(2);
    let folder = tempfile::tempdir()?;
    let [chain, key] = ["fullchain.pem", "privkey.pem"].map(|it| folder.path().join(it));
    let write = |path: &Path, pem: &str| fs::write(path, pem);
    let authority = Authority::new()?;
    let pairs = [&authority.sign("localhost")?, &authority.sign("localhost")?];
    write(&chain, &pairs[0].chain)?;
    write(&key, &pairs[0].key)?;
    let certificate = Arc::new(Certificate::load(chain.clone(), key.clone())?);
    // A nap begins, and ends when it is told to.
    let (begun, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, ends) = (Arc::clone(&begun), Arc::clone(&end));
    let nap = async move || {
        begins.notify_one();
        ends.notified().await;
        "slept well"
    };
    let routes = Router::new()
        .route("/", get(async || "hello"))
        .route("/nap", get(nap));
    let server = start(Arc::clone(&certificate), routes, LONG).await?;
    let root = format!("https://localhost:{}", server.address.port());
    let [old_client, new_client, late_client] = [
        trusting(&authority)?,
        trusting(&authority)?,
        trusting(&authority)?,
    ];
    let as_the_system = Client::builder().no_proxy().build()?;
    sleep_until(ready).await;

    println!("Clients that trust our authority, and the system's:");
    ask(&old_client, &root, &pairs).await;
    ask(&as_the_system, &root, &pairs).await;

    println!("The two files are renewed, one after the other:");
    write(&chain, &pairs[1].chain)?;
    reload(&certificate);
    write(&key, &pairs[1].key)?;
    reload(&certificate);
    ask(&old_client, &root, &pairs).await;
    ask(&new_client, &root, &pairs).await;

    println!("A client that says nothing:");
    let limit = Duration::from_millis(300);
    let strict = start(certificate, Router::new(), limit).await?;
    let mut silent = TcpStream::connect(strict.address).await?;
    println!("it gets {} bytes", silent.read(&mut [0]).await?);
    strict.stop.cancel();
    strict.task.await?;

    println!("The server stops while it answers a request:");
    let nap = format!("{root}/nap");
    let late = async {
        begun.notified().await;
        server.stop.cancel();
        ask(&late_client, &root, &pairs).await;
        end.notify_one();
    };
    join!(late, ask(&old_client, &nap, &pairs));
    server.task.await?;
    println!("the server has stopped");
    Ok(())
}
