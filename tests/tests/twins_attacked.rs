//! The hostile peers of the section real-world against the servers of its twins.

// A test fails by a panic.
#![allow(clippy::unwrap_used)]

#[path = "../../crates/real-world/src/tests/hostile.rs"]
mod hostile;

use std::fs;
use std::io::{self, BufRead as _, BufReader, Seek as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use catalog::workspace::Workspace;
use futures::FutureExt as _;
use tokio::runtime::Builder;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use hostile::{
    BoxStream, Fault, Opened, Target, api, chat, echo, lines, one_text, rpc, target, tcp,
    unix, whole,
};

fn twin(name: &str) -> PathBuf {
    tests::root().join(format!("crates/real-world/python/{name}.py"))
}

/// What asyncio reads at once, before a protocol can pause it.
const CHUNK: usize = 256 * 1024;

/// Runs the twin's server, attacks it, and stops it beside peers that stay.
fn attack(name: &str, known: impl Fn(Target, &str) -> Target) -> Result<(), Fault> {
    let python = tests::python();
    let python = python.environment(&Workspace::open().unwrap()).unwrap();
    let mut log = tempfile::tempfile().unwrap();
    let mut child = Command::new(python)
        .arg(tests::root().join("tests/tests/host_twin.py"))
        .arg(twin(name))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log.try_clone().unwrap())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut address = String::new();
    stdout.read_line(&mut address).unwrap();
    let address = address.trim();
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let attacked = runtime.block_on(async {
        let mut target = known(target(([127, 0, 0, 1], 0).into()), address);
        target.held += CHUNK;
        let attacked = target.attack().await;
        let peers = target.linger().await;
        drop(child.stdin.take());
        // The server ends while they are still there.
        let ended = async {
            while child.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(40), ended).await;
        drop(peers);
        attacked.map(|()| ended.is_ok())
    });
    let _ = child.kill();
    let status = child.wait().unwrap();
    log.rewind().unwrap();
    let said = io::read_to_string(log).unwrap();
    let last = said.lines().rev().take(20).collect::<Vec<_>>();
    match attacked {
        Ok(true) if status.success() => Ok(()),
        Ok(_) => panic!("{name} does not stop as it should, {status}: {last:#?}"),
        Err(fault) => {
            eprintln!("{name}: {last:#?}");
            Err(fault)
        }
    }
}

/// A twin that listens on a port of TCP.
fn attack_tcp(name: &str, known: impl Fn(Target) -> Target) -> Result<(), Fault> {
    attack(name, |target, port| {
        let port: u16 = port.parse().unwrap();
        let connect = tcp(([127, 0, 0, 1], port).into());
        known(Target { connect, ..target })
    })
}

#[test]
fn tcp_echo_server() {
    attack_tcp("tcp_echo_server", echo).unwrap();
}

/// Before a server that sends back what comes.
#[test]
fn tcp_proxy() {
    let two_servers = |target| Target {
        held: 2 << 20,
        ..echo(target)
    };
    attack_tcp("tcp_proxy", two_servers).unwrap();
}

/// It names itself before what it sends back.
#[test]
fn servers() {
    let named = |target| Target {
        honest: hostile::ask(b"hello", b"x: hello"),
        ..echo(target)
    };
    attack_tcp("servers", named).unwrap();
}

/// Its high-water mark is for two pieces of half a megabyte, and more.
#[test]
fn protocols() {
    let high_water = |target| Target {
        held: 1_100_000,
        ..echo(target)
    };
    attack_tcp("protocols", high_water).unwrap();
}

#[test]
fn line_protocol() {
    attack_tcp("line_protocol", lines).unwrap();
}

#[test]
fn unix_socket() {
    let known = |target, path: &str| {
        let connect = unix(path.into());
        one_text(Target { connect, ..target })
    };
    attack("unix_socket", known).unwrap();
}

/// Trusts the authority that stands first in the twin.
fn client(name: &str) -> Arc<ClientConfig> {
    let source = fs::read(twin(name)).unwrap();
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(&source);
    roots.add(certificates.flatten().next().unwrap()).unwrap();
    let provider = Arc::new(default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// Opens a connection by a handshake with the twin.
fn secured(name: &str) -> Arc<dyn Fn(BoxStream) -> Opened + Send + Sync> {
    let connector = TlsConnector::from(client(name));
    Arc::new(move |stream| {
        let host = ServerName::try_from("localhost").unwrap();
        let connecting = connector.connect(host, stream);
        async { Ok(Box::new(connecting.await?) as BoxStream) }.boxed()
    })
}

/// It makes the handshake with each client, and serves as many as may.
#[test]
fn tls() {
    let secured = |target| Target {
        open: secured("tls"),
        opens_when_served: false,
        ..whole(target)
    };
    attack_tcp("tls", secured).unwrap();
}

#[test]
fn websocket_server() {
    attack_tcp("websocket_server", chat).unwrap();
}

#[test]
fn rpc_over_one_connection() {
    attack_tcp("rpc_over_one_connection", rpc).unwrap();
}

/// aiohttp limits neither connections nor the time of a head or a response: it leaves that
/// to a proxy. What it throws away while it lingers counts here.
fn alone(target: Target) -> Target {
    Target {
        connections: 1000,
        held: 1_000_000,
        ends_drips: false,
        ends_silence: false,
        ..api(target)
    }
}

#[test]
fn api_server() {
    attack_tcp("api_server", alone).unwrap();
}

#[test]
fn https_server() {
    let secured = |target| Target {
        open: secured("https_server"),
        panics: None,
        ..alone(target)
    };
    attack_tcp("https_server", secured).unwrap();
}
