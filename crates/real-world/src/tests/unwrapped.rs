//! What an `unwrap` prints: the `{:?}` of errors that the table of messages has, and what
//! WebSockets, serde_json and the environment say.

use std::convert::Infallible;
use std::env;
use std::fmt::Debug;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::routing::get;
use futures::{SinkExt, StreamExt};
use reqwest::Client;
use rusqlite::Connection;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async, connect_async};
use tower::buffer::Buffer;
use tower::limit::rate::Rate;
use tower::limit::{ConcurrencyLimit, RateLimit};
use tower::{Service, service_fn};

use super::messages::{Provoked, error, panics, runtime, serve};
use super::support::child_of;

/// Returns what an `unwrap` prints of an error, and what the error says of itself.
#[track_caller]
fn both<T>(result: Result<T, impl Debug + ToString>) -> [String; 2] {
    let error = result.err().expect("it fails");
    [format!("{error:?}"), error.to_string()]
}

/// Two ends of a WebSocket.
async fn sockets() -> [WebSocketStream<DuplexStream>; 2] {
    let (near, far) = duplex(1 << 20);
    let limit = WebSocketConfig::default().max_message_size(Some(1000));
    [
        WebSocketStream::from_raw_socket(near, Role::Client, Some(limit)).await,
        WebSocketStream::from_raw_socket(far, Role::Server, None).await,
    ]
}

/// Opens a WebSocket to a server that sends this text; returns what an `unwrap` prints.
async fn opened(answer: &'static str) -> String {
    let (near, mut far) = duplex(1000);
    let answering = async {
        far.write_all(answer.as_bytes())
            .await
            .expect("there is room");
        far.read(&mut [0; 1000]).await.expect("a request")
    };
    let (opened, _) = tokio::join!(client_async("ws://localhost/", near), answering);
    let [unwrapped, _] = both(opened);
    unwrapped
}

/// Sends a plain request to a WebSocket server.
async fn accepted() -> String {
    let (mut near, far) = duplex(1000);
    let request = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\r\n";
    near.write_all(request).await.expect("there is room");
    error(accept_async(far).await)
}

/// Opens a WebSocket with a request that has no headers.
async fn by_hand() -> String {
    let (near, _far) = duplex(1000);
    let request = Request::get("ws://localhost/").body(());
    error(client_async(request.expect("a request"), near).await)
}

pub async fn of_websockets() -> Vec<Provoked> {
    let [mut client, server] = sockets().await;
    drop(server);
    let [reset, says_reset] = both(client.next().await.expect("an error"));
    let [mut client, mut server] = sockets().await;
    client.close(None).await.expect("it closes");
    let [after_closing, says_after] = both(client.send("text".into()).await);
    while server.next().await.is_some() {}
    // A client waits until the server has closed the connection.
    drop(server);
    while client.next().await.is_some() {}
    let [closed, says_closed] = both(client.send("text".into()).await);
    let [mut client, mut server] = sockets().await;
    server
        .send(vec![0; 2000].into())
        .await
        .expect("there is room");
    let [long, says_long] = both(client.next().await.expect("an error"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    vec![
        ("Protocol(ResetWithoutClosingHandshake)", reset),
        (
            "WebSocket protocol error: Connection reset without closing handshake",
            says_reset,
        ),
        ("Protocol(SendAfterClosing)", after_closing),
        ("Sending after closing is not allowed", says_after),
        ("AlreadyClosed", closed),
        ("Trying to work with closed connection", says_closed),
        (
            "Capacity(MessageTooLong { size: ..., max_size: ... })",
            long,
        ),
        ("Space limit exceeded: Message too long", says_long),
        (
            "Http(Response { status: ..., version: HTTP/1.1, headers:",
            opened("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await,
        ),
        ("No \"Upgrade: websocket\" header", accepted().await),
        (
            "Missing, duplicated or incorrect header sec-websocket-key",
            by_hand().await,
        ),
        (
            "URL error: TLS support not compiled in",
            error(connect_async(format!("wss://{address}/")).await),
        ),
    ]
}

/// A server that sends the first half of a body, and then nothing.
async fn half() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
        let _part = stream.read(&mut [0; 1000]).await.expect("a request");
        stream.write_all(head).await.expect("it reads");
        std::future::pending::<()>().await;
    });
    format!("http://{address}/")
}

pub async fn of_requests() -> Vec<Provoked> {
    let builder = Client::builder().no_proxy();
    let quick = builder.timeout(Duration::from_millis(50)).build();
    let quick = quick.expect("a client");
    let client = Client::builder().no_proxy().build().expect("a client");
    let (breaks_off, _) = serve(Some(""));
    let (mail, _) = serve(Some("220 localhost ESMTP\r\n\r\n"));
    let body = quick.get(half().await).send().await.expect("a head");
    vec![
        (
            "hyper::Error(IncompleteMessage)",
            format!("{:?}", client.get(breaks_off).send().await),
        ),
        (
            "invalid HTTP version parsed",
            error(client.get(mail).send().await),
        ),
        (
            "reqwest::Error { kind: Builder, ... source: BadScheme }",
            format!("{:?}", client.get("localhost:8080/").send().await),
        ),
        (
            "reqwest::Error { kind: Decode, ... source: reqwest::Error { kind: Body, \
             source: TimedOut } }",
            format!("{:?}", body.bytes().await),
        ),
    ]
}

pub fn of_sqlite() -> Vec<Provoked> {
    let db = Connection::open_in_memory().expect("a database");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("x.db");
    fs::write(&path, "x".repeat(4096)).expect("it is written");
    let text = Connection::open(&path).expect("it reads nothing yet");
    let get_text = |sql| db.query_row(sql, [], |row| row.get::<_, String>(0));
    let column = db.query_row("SELECT 1", [], |row| row.get::<_, u8>(3));
    let large = db.query_row("SELECT 300", [], |row| row.get::<_, u8>(0));
    let named = db.execute("SELECT :a", &[(":b", "x")]);
    let pragma = db.execute_batch("PRAGMA query_only = ON");
    pragma.expect("it is set");
    vec![
        (
            "attempt to write a readonly database",
            error(db.execute("CREATE TABLE users (name TEXT)", [])),
        ),
        (
            "file is not a database",
            error(text.execute("CREATE TABLE users (name TEXT)", [])),
        ),
        (
            "InvalidColumnType(..., \"...\", Integer)",
            format!("{:?}", get_text("SELECT 1")),
        ),
        (
            "InvalidColumnType(..., \"...\", Null)",
            format!("{:?}", get_text("SELECT NULL")),
        ),
        ("InvalidColumnIndex(...)", format!("{column:?}")),
        ("IntegralValueOutOfRange(..., ...)", format!("{large:?}")),
        ("InvalidParameterName(\"...\")", format!("{named:?}")),
    ]
}

pub fn of_json() -> Vec<Provoked> {
    #[derive(Debug, Deserialize)]
    struct User {
        #[expect(dead_code, reason = "it is never there")]
        name: String,
    }
    let list = |text| format!("{:?}", serde_json::from_str::<Vec<u32>>(text));
    vec![
        (
            "missing field `...`",
            format!("{:?}", serde_json::from_str::<User>("{}")),
        ),
        ("EOF while parsing a value", list("")),
        ("invalid type: map, expected a sequence", list("{}")),
        ("trailing characters", list("[] []")),
    ]
}

pub fn of_axum() -> Vec<Provoked> {
    let route = |app: Router, path: &str| app.route(path, get(async || ()));
    vec![
        (
            "Path segments must not start with `*`. For wildcard capture, use \
             `{*wildcard}`.",
            panics(|| route(Router::new(), "/files/*path")),
        ),
        (
            "Invalid route \"...\": Insertion failed due to conflict with previously \
             registered route",
            panics(|| route(route(Router::new(), "/{id}"), "/{name}")),
        ),
    ]
}

/// Services of tower that are called, and were not asked whether they are ready.
pub async fn of_tower() -> Vec<Provoked> {
    let echo = || service_fn(async |text: &'static str| Ok::<_, Infallible>(text));
    vec![
        (
            "max requests in-flight; poll_ready must be called first",
            panics(|| ConcurrencyLimit::new(echo(), 1).call("text")),
        ),
        (
            "service not ready; poll_ready must be called first",
            panics(|| {
                let each_minute = Rate::new(1, Duration::from_secs(60));
                let mut limited = RateLimit::new(echo(), each_minute);
                let _first = limited.call("text");
                limited.call("text")
            }),
        ),
        (
            "`send_item` called without first calling `poll_reserve`",
            panics(|| Buffer::new(echo(), 1).call("text")),
        ),
    ]
}

/// Returns what a runtime says that is built where the variable has this value.
fn workers(number: &str) -> String {
    let mut child = child_of(module_path!());
    let child = child.env("TOKIO_WORKER_THREADS", number).output();
    String::from_utf8_lossy(&child.expect("it runs").stdout).into_owned()
}

pub fn of_runtimes() -> Vec<Provoked> {
    let (sender, mut receiver) = watch::channel(());
    drop(sender);
    let changed = runtime().block_on(receiver.changed());
    vec![
        (
            "time is not frozen",
            panics(|| runtime().block_on(time::advance(Duration::from_secs(1)))),
        ),
        ("RecvError(())", format!("{changed:?}")),
        ("\"TOKIO_WORKER_THREADS\" cannot be set to 0", workers("0")),
        (
            "\"TOKIO_WORKER_THREADS\" must be usize, error: invalid digit found in string",
            workers("two"),
        ),
    ]
}

/// The other process of the test: its runtime counts the workers by the variable.
#[test]
fn child() {
    if env::var_os("TOKIO_WORKER_THREADS").is_some() {
        println!("{}", panics(|| Builder::new_multi_thread().build()));
    }
}

pub fn of_systems() -> Vec<Provoked> {
    let (sender, receiver) = std::sync::mpsc::channel();
    drop(receiver);
    let sent = sender.send(());
    let [unset, says_unset] = both(env::var("NOT_SET_BY_ANYBODY"));
    let [number, says_number] = both("12 ".parse::<u32>());
    // An address for documentation, which no machine has.
    let [address, says_address] = both(TcpListener::bind("192.0.2.1:0"));
    let [denied, says_denied] = both(Err::<(), _>(io::Error::from_raw_os_error(13)));
    let [missing, _] = both(fs::read("no-such-file"));
    vec![
        ("SendError { .. }", format!("{sent:?}")),
        (
            "index out of bounds: the len is 0 but the index is 0",
            panics(|| std::hint::black_box(Vec::<u32>::new())[0]),
        ),
        ("NotPresent", unset),
        ("environment variable not found", says_unset),
        ("ParseIntError { kind: InvalidDigit }", number),
        ("invalid digit found in string", says_number),
        (
            "Os { code: 99, kind: AddrNotAvailable, message: \"Cannot assign requested \
             address\" }",
            address,
        ),
        (
            "Cannot assign requested address (os error 99)",
            says_address,
        ),
        (
            "Os { code: 13, kind: PermissionDenied, message: \"Permission denied\" }",
            denied,
        ),
        ("Permission denied (os error 13)", says_denied),
        (
            "Os { code: 2, kind: NotFound, message: \"No such file or directory\" }",
            missing,
        ),
    ]
}
