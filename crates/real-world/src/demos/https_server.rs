//! Clients that trust other authorities, a renewal, a silent client, and the stop.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Client;
use reqwest::tls::TlsInfo;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until};
use tokio::{join, select};
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

pub async fn run() -> Result<(), Failure> {
    let tenth = Duration::from_millis(100);
    // Clients and certificates take time to make. What is late does not add up.
    let start = Instant::now() + 5 * tenth;
    let at = |tenths: u32| sleep_until(start + tenths * tenth);
    let folder = tempfile::tempdir()?;
    let [chain, key] = ["fullchain.pem", "privkey.pem"].map(|it| folder.path().join(it));
    let write = |path: &Path, pem: &str| fs::write(path, pem);
    let authority = Authority::new()?;
    let pairs = [&authority.sign("localhost")?, &authority.sign("localhost")?];
    write(&chain, &pairs[0].chain)?;
    write(&key, &pairs[0].key)?;
    let certificate = Arc::new(Certificate::load(chain.clone(), key.clone())?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let limits = Limits {
        connections: 100,
        handshake: 3 * tenth,
        head: 50 * tenth,
        connection: 600 * tenth,
        drain: 5 * tenth,
    };
    let nap = async move || {
        sleep(2 * tenth).await;
        "slept well"
    };
    let routes = Router::new()
        .route("/", get(async || "hello"))
        .route("/nap", get(nap));
    let stop = CancellationToken::new();
    let served = Arc::clone(&certificate);
    let server = tokio::spawn(serve(listener, served, routes, limits, stop.clone()));
    let root = format!("https://localhost:{}", address.port());
    let old_client = trusting(&authority)?;
    let new_client = trusting(&authority)?;
    let as_the_system = Client::builder().no_proxy().build()?;

    at(0).await;
    println!("Clients that trust our authority, and the system's:");
    ask(&old_client, &root, &pairs).await;
    ask(&as_the_system, &root, &pairs).await;

    at(2).await;
    println!("The two files are renewed, one after the other:");
    write(&chain, &pairs[1].chain)?;
    reload(&certificate);
    write(&key, &pairs[1].key)?;
    reload(&certificate);
    ask(&old_client, &root, &pairs).await;
    ask(&new_client, &root, &pairs).await;

    at(4).await;
    println!("A client that says nothing:");
    let mut silent = TcpStream::connect(address).await?;
    println!("it gets {} bytes", silent.read(&mut [0]).await?);

    at(8).await;
    println!("The server stops while it answers a request:");
    let nap = format!("{root}/nap");
    let late = async {
        at(9).await;
        stop.cancel();
        sleep(tenth / 2).await;
        ask(&trusting(&authority)?, &root, &pairs).await;
        Ok::<_, Failure>(())
    };
    let (late, ()) = join!(late, ask(&old_client, &nap, &pairs));
    late?;
    select! {
        ended = server => ended?,
        () = at(14) => println!("the server does not stop"),
    }
    println!("the server has stopped");
    Ok(())
}
