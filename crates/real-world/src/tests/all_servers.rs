//! The hostile peers of `hostile` against each server of this section, and the one policy
//! of all their accept loops, as far as the text shows it.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::hostile::{
    BoxStream, CONNECTIONS, Opened, Target, api, chat, echo, lines, listen, one_text,
    rpc, small_buffers, target, unix, whole,
};
use super::support::{child_of, soon, tasks};
use crate::{
    api_server, chat_room, demos, http_server, https_server, line_protocol, protocols,
    rpc_over_one_connection, servers, tcp_echo_server, tcp_proxy, tls, unix_socket,
    websocket_server,
};

/// All limits in time.
const SHORT: Duration = Duration::from_millis(300);

const MINUTE: Duration = Duration::from_secs(60);

/// A server that runs, and what stops it and waits for its end.
pub(super) struct Running {
    pub(super) target: Target,
    pub(super) stop: BoxFuture<'static, ()>,
}

pub(super) type Started = io::Result<Running>;

async fn tcp_echo_server(connections: usize) -> Started {
    let listener = listen()?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let limits = tcp_echo_server::Limits {
        connections,
        idle: SHORT,
        drain: SHORT,
    };
    let task = tokio::spawn(tcp_echo_server::serve(listener, limits, stop.clone()));
    let stop = async move {
        stop.cancel();
        task.await.expect("no panic");
    };
    Ok(Running {
        target: echo(target(address)),
        stop: stop.boxed(),
    })
}

/// Before a server that sends back what comes.
async fn tcp_proxy(connections: usize) -> Started {
    let (listener, upstream) = (listen()?, listen()?);
    let address = listener.local_addr()?;
    let server = upstream.local_addr()?.to_string();
    let [proxy_stop, stop] = [(); 2].map(|()| CancellationToken::new());
    let limits = tcp_proxy::Limits {
        connections,
        connect: SHORT,
        idle: SHORT,
        drain: SHORT,
    };
    let serving = tcp_proxy::serve(listener, server, limits, proxy_stop.clone());
    let proxy = tokio::spawn(serving);
    let limits = tcp_echo_server::Limits {
        connections: connections.saturating_mul(2),
        idle: 3 * SHORT,
        drain: SHORT,
    };
    let echoing = tcp_echo_server::serve(upstream, limits, stop.clone());
    let echoing = tokio::spawn(echoing);
    let stop = async move {
        proxy_stop.cancel();
        proxy.await.expect("no panic");
        stop.cancel();
        echoing.await.expect("no panic");
    };
    Ok(Running {
        target: Target {
            // The system holds megabytes between the two. A test of the example counts
            // what the proxy holds.
            held: 4 << 20,
            ..echo(target(address))
        },
        stop: stop.boxed(),
    })
}

async fn servers(connections: usize) -> Started {
    let sockets = servers::bind(&["127.0.0.1:0".parse().expect("an address")], false)?;
    small_buffers(&sockets[0])?;
    let handle = |stream: TcpStream| async move {
        let mut first = [0; 5];
        let peeked = tokio::time::timeout(SHORT, stream.peek(&mut first)).await;
        assert!(
            !matches!(peeked, Ok(Ok(5)) if &first == b"panic"),
            "scheduled"
        );
        let _ = tcp_echo_server::echo(stream, SHORT).await;
    };
    let server = servers::Server::start_serving(sockets, connections, handle)?;
    let target = Target {
        panics: Some(b"panic".to_vec()),
        ..echo(target(server.addresses()[0]))
    };
    let stop = async move {
        server.close().await;
        server.wait_closed().await;
    };
    Ok(Running {
        target,
        stop: stop.boxed(),
    })
}

async fn protocols(connections: usize) -> Started {
    let listener = listen()?;
    let address = listener.local_addr()?;
    let (made, mut accepted) = mpsc::channel(1);
    tokio::spawn(async move { while accepted.recv().await.is_some() {} });
    let task = tokio::spawn(protocols::serve(listener, connections, SHORT, made));
    let stop = async move {
        task.abort();
        let _cancelled = task.await;
    };
    Ok(Running {
        target: echo(target(address)),
        stop: stop.boxed(),
    })
}

async fn line_protocol(connections: usize) -> Started {
    let listener = listen()?;
    let address = listener.local_addr()?;
    let limits = line_protocol::Limits {
        connections,
        line: 1000,
        names: 100,
        idle: SHORT,
        write: SHORT,
    };
    let stop = CancellationToken::new();
    let server = line_protocol::Server::new(limits, stop.clone());
    let task = tokio::spawn(server.serve(listener));
    let stop = async move {
        stop.cancel();
        task.await.expect("no panic");
    };
    Ok(Running {
        target: lines(target(address)),
        stop: stop.boxed(),
    })
}

async fn unix_socket(connections: usize) -> Started {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("socket");
    let user = rustix::process::geteuid().as_raw();
    let listener = unix_socket::unix::Listener::bind(&path, 0o600, user).await;
    let listener = listener.map_err(io::Error::other)?;
    let limits = unix_socket::unix::Limits {
        connections,
        write: SHORT,
    };
    // More than the system takes of a peer that does not read.
    let text: &str = "x".repeat(1 << 20).leak();
    let stop = CancellationToken::new();
    let serving = unix_socket::unix::serve(listener, text, limits, stop.clone());
    let task = tokio::spawn(serving);
    let stop = async move {
        stop.cancel();
        task.await.expect("no panic");
        drop(folder);
    };
    let target = Target {
        connect: unix(path),
        ..target(([127, 0, 0, 1], 0).into())
    };
    let target = one_text(target);
    Ok(Running {
        target,
        stop: stop.boxed(),
    })
}

/// Opens a connection by a handshake.
fn secured(client: Arc<ClientConfig>) -> Arc<dyn Fn(BoxStream) -> Opened + Send + Sync> {
    Arc::new(move |stream| {
        let client = Arc::clone(&client);
        let opening = async move {
            let limit = Duration::from_secs(10);
            let opened = tls::connect(&client, "localhost", stream, limit).await;
            let opened = opened.map_err(io::Error::other)?;
            Ok(Box::new(opened) as BoxStream)
        };
        opening.boxed()
    })
}

async fn tls(connections: usize) -> Started {
    let listener = listen()?;
    let address = listener.local_addr()?;
    let authority = demos::tls::Authority::new().map_err(io::Error::other)?;
    let config = authority.identity("localhost", 4000);
    let config = config.map_err(io::Error::other)?;
    let roots = authority.roots().map_err(io::Error::other)?;
    let client = tls::trust(roots).map_err(io::Error::other)?;
    let limits = tls::Limits {
        connections,
        handshake: SHORT,
        connection: 3 * SHORT,
        drain: SHORT,
    };
    let stop = CancellationToken::new();
    let serving = tls::serve(listener, config, limits, stop.clone(), demos::tls::answer);
    let task = tokio::spawn(serving);
    let stop = async move {
        stop.cancel();
        task.await.expect("no panic");
    };
    let target = Target {
        open: secured(client),
        ..whole(target(address))
    };
    Ok(Running {
        target,
        stop: stop.boxed(),
    })
}

/// With the room of `chat_room`.
async fn websocket_server(connections: usize) -> Started {
    let listener = listen()?;
    let address = listener.local_addr()?;
    let limits = websocket_server::Limits {
        connections,
        origins: &[],
        handshake: SHORT,
        message: 1000,
        ping: SHORT / 3,
        silence: SHORT,
        closing: SHORT,
    };
    let room = chat_room::Room::new(64, Duration::from_millis(1));
    let entered = Arc::clone(&room);
    let handle = move |connection| {
        demos::websocket_server::take_part(Arc::clone(&entered), connection)
    };
    let stop = CancellationToken::new();
    let serving = websocket_server::serve(listener, limits, stop.clone(), handle);
    let task = tokio::spawn(serving);
    let stop = async move {
        stop.cancel();
        room.close();
        task.await.expect("no panic");
    };
    Ok(Running {
        target: chat(target(address)),
        stop: stop.boxed(),
    })
}

/// With the routes of `api_server`.
async fn http_server(connections: usize) -> Started {
    let listener = listen()?;
    let address = listener.local_addr()?;
    let limits = http_server::Limits {
        connections,
        body: 1000,
        head: SHORT,
        request: SHORT,
        connection: 3 * SHORT,
        drain: SHORT,
    };
    let work = |text: String| {
        assert_ne!(text, "panic", "scheduled");
        demos::api_server::count_words(text)
    };
    let jobs = api_server::Jobs::new(2, 10, work);
    let routes = Arc::clone(&jobs).routes();
    let stop = CancellationToken::new();
    let serving = http_server::serve(listener, routes, limits, stop.clone());
    let task = tokio::spawn(serving);
    let stop = async move {
        stop.cancel();
        task.await.expect("no panic");
        jobs.drain(SHORT).await;
    };
    Ok(Running {
        target: api(target(address)),
        stop: stop.boxed(),
    })
}

/// With the routes of `api_server`.
async fn https_server(connections: usize) -> Started {
    let listener = listen()?;
    let address = listener.local_addr()?;
    let authority = demos::https_server::Authority::new().map_err(io::Error::other)?;
    let pair = authority.sign("localhost").map_err(io::Error::other)?;
    let folder = tempfile::tempdir()?;
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.path().join(name));
    fs::write(&chain, pair.chain)?;
    fs::write(&key, pair.key)?;
    let certificate = https_server::Certificate::load(chain, key);
    let certificate = Arc::new(certificate.map_err(io::Error::other)?);
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.pem().as_bytes());
    let authority = authority.map_err(io::Error::other)?;
    roots.add(authority).map_err(io::Error::other)?;
    let client = tls::trust(roots).map_err(io::Error::other)?;
    let limits = https_server::Limits {
        connections,
        handshake: SHORT,
        head: SHORT,
        connection: 3 * SHORT,
        drain: SHORT,
    };
    let work = |text: String| {
        assert_ne!(text, "panic", "scheduled");
        demos::api_server::count_words(text)
    };
    let jobs = api_server::Jobs::new(2, 10, work);
    let routes = Arc::clone(&jobs).routes();
    let routes = routes.layer(DefaultBodyLimit::max(1000));
    let stop = CancellationToken::new();
    let serving =
        https_server::serve(listener, certificate, routes, limits, stop.clone());
    let task = tokio::spawn(serving);
    let stop = async move {
        stop.cancel();
        task.await.expect("no panic");
        jobs.drain(SHORT).await;
    };
    let target = api(target(address));
    Ok(Running {
        target: Target {
            open: secured(client),
            opens_when_served: true,
            held: target.held + 60_000,
            ..target
        },
        stop: stop.boxed(),
    })
}

/// Behind the accept loop of `servers`.
async fn rpc_over_one_connection(connections: usize) -> Started {
    let sockets = servers::bind(&["127.0.0.1:0".parse().expect("an address")], false)?;
    small_buffers(&sockets[0])?;
    let limits = rpc_over_one_connection::Limits {
        payload: 1000,
        calls: 4,
        call: SHORT,
        idle: 2 * SHORT,
    };
    let echo = |request: Bytes| async move {
        assert_ne!(request, "panic", "scheduled");
        request
    };
    let handle = move |stream: TcpStream| async move {
        let _ = rpc_over_one_connection::answer(stream, limits, echo).await;
    };
    let server = servers::Server::start_serving(sockets, connections, handle)?;
    let target = rpc(target(server.addresses()[0]));
    let stop = async move {
        server.close().await;
        server.wait_closed().await;
    };
    Ok(Running {
        target,
        stop: stop.boxed(),
    })
}

/// Attacks, then stops the server while peers stay, and looks for what is left.
async fn attack(start: impl AsyncFn(usize) -> Started) -> io::Result<()> {
    let before = tasks();
    let Running { target, stop } = start(CONNECTIONS).await?;
    if let Err(fault) = target.attack().await {
        panic!("{fault}");
    }
    let peers = target.linger().await;
    soon(stop).await;
    drop(peers);
    soon(async {
        while tasks() > before {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    Ok(())
}

macro_rules! servers {
    ($($name:ident)*) => {
        mod attacked {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() -> std::io::Result<()> {
                    crate::tests::allow_files();
                    super::attack(super::$name).await
                }
            )*
        }

        async fn limited(name: &str, connections: usize) -> Started {
            match name {
                $(stringify!($name) => $name(connections).await,)*
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        }

        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

servers!(
    tcp_echo_server tcp_proxy servers protocols line_protocol unix_socket tls websocket_server
    http_server https_server rpc_over_one_connection
);

pub(super) async fn one(name: &str) -> Started {
    limited(name, CONNECTIONS).await
}

/// A semaphore with so many permits would panic.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_of_usize_max_are_served() -> io::Result<()> {
    for name in NAMES {
        let Running { target, stop } = limited(name, usize::MAX).await?;
        target.serves(name).await.map_err(io::Error::other)?;
        soon(stop).await;
    }
    Ok(())
}

const IS_CHILD: &str = "SERVER_OUT_OF_DESCRIPTORS";

/// The limit of descriptors is the whole process's, so this is done in another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child() -> io::Result<()> {
    let Ok(name) = env::var(IS_CHILD) else {
        return Ok(());
    };
    let maximum = getrlimit(Resource::Nofile).maximum;
    let Running { target, stop } = one(&name).await?;
    target.serves("nothing").await.map_err(io::Error::other)?;
    let current = Some(64);
    setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    let served = target.out_of_descriptors().await;
    assert!(served.is_ok(), "{served:?}");
    soon(stop).await;
    println!("served again");
    Ok(())
}

#[test]
fn out_of_descriptors_they_serve_again() -> io::Result<()> {
    for name in NAMES {
        let output = child_of(module_path!()).env(IS_CHILD, name).output()?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stdout.contains("served again"), "{name}: {stdout}{stderr}");
        // The operator is told, and no loop spins.
        let told = stderr.matches("cannot accept").count();
        assert!((1..5).contains(&told), "{name}: {told} lines\n{stderr}");
    }
    Ok(())
}

/// From the text of a file, the function `accept`, without its indentation.
fn accept_of(source: &str) -> Option<&str> {
    let (_, rest) = source.split_once("async fn accept(listener: &TcpListener)")?;
    rest.split_once("\n}\n").map(|(body, _)| body)
}

#[test]
fn all_examples_accept_with_the_same_words() -> io::Result<()> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let model = fs::read_to_string(src.join("tcp_echo_server.rs"))?;
    let model = accept_of(&model).expect("it has one");
    let mut seen = 0;
    for entry in fs::read_dir(&src)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let (name, source) = (path.display(), fs::read_to_string(&path)?);
        let Some(accept) = accept_of(&source) else {
            continue;
        };
        seen += 1;
        assert_eq!(accept, model, "{name}");
        // Nowhere else, so no error of `accept` can end a server.
        let code = source.lines().filter(|line| !line.starts_with("//!"));
        let calls = code.filter(|line| line.contains("listener.accept()"));
        let calls = calls.count();
        assert_eq!(calls, 1, "{name}");
        let limited = ["acquire_owned()", "< limits.connections"];
        let limited = limited.iter().any(|permit| source.contains(permit));
        assert!(limited, "{name}");
    }
    assert_eq!(seen, 9, "servers that accept");
    Ok(())
}

/// One that serves must not end with an error of `accept`: what accepts once may.
#[test]
fn no_loop_ends_with_an_error_of_accept() -> io::Result<()> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(&src)? {
        let path = entry?.path();
        if path.is_dir() {
            continue;
        }
        let source = fs::read_to_string(&path)?;
        for function in source
            .split("\nasync fn ")
            .flat_map(|f| f.split("\npub async fn "))
        {
            let body = function.split("\n}\n").next().unwrap_or_default();
            let loops = body.contains("loop {") || body.contains("for number in 1");
            let ends = body.contains("accept().await?");
            assert!(!(loops && ends), "{}: {body}", path.display());
        }
    }
    Ok(())
}

/// As the header of `https_server` says, `websocket_server` takes the stream of `tls`.
#[tokio::test]
async fn wss_is_a_websocket_over_a_tls_stream() -> Result<(), Box<dyn Error + Send + Sync>>
{
    let authority = demos::tls::Authority::new()?;
    let config = authority.identity("localhost", 4000)?;
    let client = tls::trust(authority.roots()?)?;
    let listener = listen()?;
    let address = listener.local_addr()?;
    let limits = websocket_server::Limits {
        connections: CONNECTIONS,
        origins: &[],
        handshake: MINUTE,
        message: 1000,
        ping: MINUTE,
        silence: MINUTE,
        closing: MINUTE,
    };
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let connection = websocket_server::Connection::accept(stream, limits).await;
        let mut connection = connection.expect("a handshake");
        let text = connection.next().await.expect("a text");
        Ok::<_, io::Error>(text.to_string())
    });
    let stream = TcpStream::connect(address).await?;
    let stream = tls::connect(&client, "localhost", stream, MINUTE).await?;
    let opened = tokio_tungstenite::client_async("wss://localhost/", stream).await?;
    let mut socket = opened.0;
    socket.send(Message::text("hello")).await?;
    assert_eq!(soon(server).await??, "hello");
    Ok(())
}
