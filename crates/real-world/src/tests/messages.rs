//! What Tokio, the crates next to it and the standard library print when something is
//! wrong: a program provokes each of their messages in `docs/messages.tsv`.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::iter::successors;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Multipart, Path};
use axum::http::{Request, header};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures::future::{self, Either, FutureExt};
use futures::{SinkExt, StreamExt, stream};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use reqwest::Client;
use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::time::{self, timeout};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::codec::{Framed, LengthDelimitedCodec, LinesCodec};
use tower::ServiceExt;

use super::support::child_of;
use super::unwrapped;

/// A stack for which no system has the memory.
const TOO_LARGE: usize = 1 << 60;

/// A message of the table, with what was printed.
pub type Provoked = (&'static str, String);

/// Returns the text of an error, and of its sources.
#[track_caller]
pub fn error<T>(result: Result<T, impl Into<Box<dyn Error>>>) -> String {
    let error = result.err().expect("it fails").into();
    let errors = successors(Some(error.as_ref()), |&error| error.source());
    let texts: Vec<String> = errors.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Returns the text of a panic.
#[track_caller]
pub fn panics<T>(run: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).err();
    match payload.expect("it panics").downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a text")).to_owned(),
    }
}

/// Returns a runtime with one thread.
pub fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

/// Returns what a panic says that happens in async code.
#[track_caller]
fn panics_within<T>(run: impl FnOnce() -> T) -> String {
    runtime().block_on(async { panics(run) })
}

fn of_runtimes() -> Vec<Provoked> {
    let bare = || Builder::new_current_thread().build().expect("a runtime");
    let threads = Builder::new_multi_thread().worker_threads(1).build();
    let threads = threads.expect("a runtime");
    let inner = runtime();
    let ended = runtime().handle().clone();
    vec![
        (
            "there is no reactor running, must be called from the context of a Tokio 1.x \
             runtime",
            panics(|| tokio::spawn(async {})),
        ),
        (
            "Cannot start a runtime from within a runtime. This happens because a \
             function (like `block_on`) attempted to block the current thread while the \
             thread is being used to drive asynchronous tasks.",
            panics_within(|| Handle::current().block_on(async {})),
        ),
        (
            "Cannot drop a runtime in a context where blocking is not allowed. This \
             happens when a runtime is dropped from within an asynchronous context.",
            panics_within(|| drop(inner)),
        ),
        (
            "Cannot block the current thread from within a runtime. This happens because \
             a function attempted to block the current thread while the thread is being \
             used to drive asynchronous tasks.",
            panics_within(|| mpsc::channel::<()>(1).1.blocking_recv()),
        ),
        (
            "can call blocking only when running on the multi-threaded runtime",
            panics_within(|| tokio::task::block_in_place(|| ())),
        ),
        (
            "A Tokio 1.x context was found, but timers are disabled. Call `enable_time` \
             on the runtime builder to enable timers.",
            panics(|| bare().block_on(async { time::sleep(Duration::ZERO).await })),
        ),
        (
            "A Tokio 1.x context was found, but IO is disabled. Call `enable_io` on the \
             runtime builder to enable IO.",
            panics(|| bare().block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))),
        ),
        (
            "A Tokio 1.x context was found, but it is being shutdown.",
            panics(|| ended.block_on(async { time::sleep(Duration::ZERO).await })),
        ),
        (
            "`spawn_local` called from outside of a `task::LocalSet` or \
             `runtime::LocalRuntime`",
            panics_within(|| tokio::task::spawn_local(async {})),
        ),
        (
            "`time::pause()` requires the `current_thread` Tokio runtime.",
            panics(|| threads.block_on(async { time::pause() })),
        ),
        (
            "Worker threads cannot be set to 0",
            panics(|| Builder::new_multi_thread().worker_threads(0).build()),
        ),
        (
            "Max blocking threads cannot be set to 0",
            panics(|| {
                Builder::new_current_thread()
                    .max_blocking_threads(0)
                    .build()
            }),
        ),
        (
            "Registering a blocking socket with the tokio runtime is unsupported.",
            panics_within(|| {
                let blocking = TcpListener::bind("127.0.0.1:0").expect("a port");
                tokio::net::TcpListener::from_std(blocking)
            }),
        ),
        (
            "cannot execute `LocalPool` executor from within another executor",
            panics(|| {
                futures::executor::block_on(async {
                    futures::executor::block_on(async {});
                });
            }),
        ),
    ]
}

async fn of_tasks() -> Vec<Provoked> {
    tokio::task_local! { static USER: u32; }
    async fn ready() {}
    let abort = tokio::spawn(future::pending::<()>());
    abort.abort();
    let panicked = tokio::spawn(async { panic!("no disk") }).await;
    let mut ended = tokio::spawn(async {});
    (&mut ended).await.expect("it ends");
    let again = async {
        let mut done = pin!(ready());
        done.as_mut().await;
        done.await;
    };
    let poisoned = Mutex::new(0);
    let _ = panics(|| {
        let _guard = poisoned.lock();
        panic!("in the midst");
    });
    let late = || timeout(Duration::ZERO, future::pending::<()>());
    let (elapsed, unwrapped) = (late().await, late().await);
    vec![
        ("task ... was cancelled", error(abort.await)),
        ("task ... panicked with message \"...\"", error(panicked)),
        (
            "JoinHandle polled after completion",
            panics(|| ended.now_or_never()),
        ),
        (
            "`async fn` resumed after completion",
            panics(|| again.now_or_never()),
        ),
        (
            "cannot access a task-local storage value without setting it first",
            panics(|| USER.get()),
        ),
        ("task-local value not set", error(USER.try_with(|_| ()))),
        (
            "all branches are disabled and there is no else branch",
            panics(|| {
                async {
                    tokio::select! { () = ready(), if false => {} }
                }
                .now_or_never()
            }),
        ),
        (
            "`period` must be non-zero.",
            panics(|| time::interval(Duration::ZERO)),
        ),
        ("deadline has elapsed", error(elapsed)),
        (
            "called `Result::unwrap()` on an `Err` value: Elapsed(())",
            panics(|| unwrapped.unwrap()),
        ),
        (
            "called `Result::unwrap()` on an `Err` value: PoisonError { .. }",
            panics(|| *poisoned.lock().unwrap()),
        ),
        (
            "poisoned lock: another task failed inside",
            error(
                poisoned
                    .lock()
                    .map(|_| ())
                    .map_err(|error| error.to_string()),
            ),
        ),
        (
            "a semaphore may not have more than MAX_PERMITS permits",
            panics(|| Semaphore::new(usize::MAX)),
        ),
        (
            "Can't get a task id when not inside a task",
            panics(tokio::task::id),
        ),
        (
            "called `Option::unwrap()` on a `None` value",
            panics(|| {
                let (sender, mut receiver) = mpsc::channel::<()>(1);
                drop(sender);
                receiver.recv().now_or_never().flatten().unwrap()
            }),
        ),
        (
            "RefCell already borrowed",
            panics(|| {
                let cell = std::cell::RefCell::new(0);
                let _reader = cell.borrow();
                cell.replace(1)
            }),
        ),
    ]
}

async fn of_channels() -> Vec<Provoked> {
    let (sender, mut receiver) = mpsc::channel(1);
    let empty = receiver.try_recv();
    sender.try_send(1).expect("there is a place");
    let full = sender.try_send(2);
    let closed = {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        sender.send(1).await
    };
    drop(sender);
    receiver.recv().await;
    let disconnected = receiver.try_recv();
    let lagged = {
        let (sender, mut receiver) = broadcast::channel(1);
        for number in 0..3 {
            sender.send(number).expect("somebody listens");
        }
        receiver.recv().await
    };
    let (answer, mut waiting) = oneshot::channel::<()>();
    let nothing_yet = waiting.try_recv();
    drop(answer);
    let twice = async {
        let _ = (&mut waiting).await;
        waiting.await
    };
    let semaphore = tokio::sync::Semaphore::new(0);
    let no_permit = semaphore.try_acquire();
    semaphore.close();
    let (mut orphan, _) = futures::channel::mpsc::channel(1);
    let (_, canceled) = futures::channel::oneshot::channel::<()>();
    let mutex = tokio::sync::Mutex::new(0);
    let _guard = mutex.lock().await;
    vec![
        ("channel closed", error(closed)),
        ("channel lagged by", error(lagged)),
        ("channel empty", error(nothing_yet)),
        ("called after complete", panics(|| twice.now_or_never())),
        ("no available capacity", error(full)),
        ("receiving on an empty channel", error(empty)),
        ("receiving on a closed channel", error(disconnected)),
        ("semaphore closed", error(semaphore.acquire().await)),
        ("no permits available", error(no_permit)),
        ("operation would block", error(mutex.try_lock())),
        (
            "mpsc bounded channel requires buffer > 0",
            panics(|| mpsc::channel::<()>(0)),
        ),
        (
            "broadcast channel capacity cannot be zero",
            panics(|| broadcast::channel::<()>(0)),
        ),
        (
            "send failed because receiver is gone",
            error(orphan.send(1).await),
        ),
        ("oneshot canceled", error(canceled.await)),
    ]
}

async fn of_streams() -> Vec<Provoked> {
    let mut lines =
        Framed::new(io_of(b"long line\n"), LinesCodec::new_with_max_length(4));
    let mut frames =
        Framed::new(io_of(b"\xff\xff\xff\xffx"), LengthDelimitedCodec::new());
    let mut cut = Framed::new(io_of(b"\0\0\0\x04xy"), LengthDelimitedCodec::new());
    let next = "there is an item";
    vec![
        (
            "max line length exceeded",
            error(lines.next().await.expect(next)),
        ),
        (
            "frame size too big",
            error(frames.next().await.expect(next)),
        ),
        (
            "bytes remaining on stream",
            error(cut.next().await.expect(next)),
        ),
        (
            "invalid utf-8 sequence of ... bytes from index",
            error((&b"\xff\n"[..]).read_line(&mut String::new()).await),
        ),
        (
            "stream did not contain valid UTF-8",
            error(io::read_to_string(&b"\xff"[..])),
        ),
        (
            "early eof",
            error(io_of(b"abc").read_exact(&mut [0; 4]).await),
        ),
    ]
}

/// A connection whose peer has sent this.
fn io_of(
    sent: &'static [u8],
) -> impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {
    tokio::io::join(sent, tokio::io::sink())
}

/// Answers each connection with this text, and closes it; `None` keeps it open. Returns
/// its address, and a receiver that learns of the first request.
pub fn serve(answer: Option<&'static str>) -> (String, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let (asked, is_asked) = oneshot::channel();
    thread::spawn(move || {
        let mut asked = Some(asked);
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a head");
                head.extend(byte);
            }
            asked.take().map(|asked| asked.send(()));
            let text = answer.unwrap_or_default();
            let _ = stream.write_all(text.as_bytes());
            if answer.is_none() {
                let _ = stream.read(&mut [0]);
            }
        }
    });
    (format!("http://{address}/"), is_asked)
}

async fn of_requests() -> Vec<Provoked> {
    let builder = Client::builder().no_proxy();
    let quick = builder.timeout(Duration::from_millis(50)).build();
    let quick = quick.expect("a client");
    let client = Client::builder().no_proxy().build().expect("a client");
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let nobody = format!("http://{}/", nobody.expect("a port"));
    let (hangs, _) = serve(None);
    let (breaks_off, _) = serve(Some(""));
    let (half, _) = serve(Some("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"));
    let (text, _) = serve(Some("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ntext"));
    let (missing, _) = serve(Some("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"));
    let (turns, _) = serve(Some(
        "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ));
    let got = "it answers";
    let refused = error(client.get(&nobody).send().await);
    let half = client.get(&half).send().await.expect(got).bytes().await;
    let text = client.get(&text).send().await.expect(got);
    let missing = client.get(&missing).send().await.expect(got);
    vec![
        ("error sending request for url", refused.clone()),
        ("Connection refused (os error 111)", refused),
        ("operation timed out", error(quick.get(&hangs).send().await)),
        (
            "connection closed before message completed",
            error(client.get(&breaks_off).send().await),
        ),
        (
            "hyper::Error(Body, Custom { kind: UnexpectedEof, error: IncompleteBody })",
            format!("{half:?}"),
        ),
        ("error reading a body from connection", error(half)),
        (
            "error decoding response body",
            error(text.json::<u32>().await),
        ),
        (
            "HTTP status client error (404 Not Found) for url",
            error(missing.error_for_status()),
        ),
        (
            "error following redirect for url",
            error(client.get(&turns).send().await),
        ),
        ("builder error", error(client.get("http://").send().await)),
        (
            "relative URL without a base",
            error(client.get("/users").send().await),
        ),
        (
            "URL scheme is not allowed",
            error(client.get("ftp://127.0.0.1/").send().await),
        ),
    ]
}

/// The runtime that drives a connection ends before the answer comes.
fn of_hyper() -> Provoked {
    let (hangs, is_asked) = serve(None);
    let client = Client::builder().no_proxy().build().expect("a client");
    let request = client.get(hangs).send().boxed();
    let first = runtime();
    let Either::Right((_, request)) = first.block_on(future::select(request, is_asked))
    else {
        panic!("it does not answer");
    };
    drop(first);
    (
        "dispatch task is gone: runtime dropped the dispatch task",
        error(runtime().block_on(request)),
    )
}

async fn of_tls() -> Vec<Provoked> {
    let connect = async |is_ca: IsCa, is_trusted: bool| {
        let params = CertificateParams::new([String::from("localhost")]);
        let mut params = params.expect("a name");
        params.is_ca = is_ca;
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        let config =
            crate::tls::identify(own.pem().as_bytes(), key.serialize_pem().as_bytes());
        let acceptor = TlsAcceptor::from(config.expect("an identity"));
        let mut roots = RootCertStore::empty();
        if is_trusted {
            roots.add(own.der().clone()).expect("an authority");
        }
        let trust = ClientConfig::builder().with_root_certificates(roots);
        let connector = TlsConnector::from(Arc::new(trust.with_no_client_auth()));
        let (near, far) = tokio::io::duplex(1 << 16);
        let host = "localhost".try_into().expect("a name");
        let connecting = connector.connect(host, near);
        let (connected, accepted) = tokio::join!(connecting, acceptor.accept(far));
        drop(accepted);
        match connected {
            Ok(mut stream) => error(stream.read(&mut [0]).await),
            Err(refused) => error(Err::<(), _>(refused)),
        }
    };
    let authority = IsCa::Ca(BasicConstraints::Unconstrained);
    let [key, other] = [(); 2].map(|()| KeyPair::generate().expect("a key"));
    let chain = CertificateParams::default().self_signed(&key);
    let chain = chain.expect("a certificate").pem();
    let mismatch =
        crate::tls::identify(chain.as_bytes(), other.serialize_pem().as_bytes());
    vec![
        (
            "invalid peer certificate: UnknownIssuer",
            connect(IsCa::NoCa, false).await,
        ),
        (
            "invalid peer certificate: ... CaUsedAsEndEntity",
            connect(authority, true).await,
        ),
        (
            "keys may not be consistent: KeyMismatch",
            error(mismatch.map(drop).map_err(|error| error.to_string())),
        ),
        (
            "peer closed connection without sending TLS close_notify",
            connect(IsCa::NoCa, true).await,
        ),
    ]
}

fn of_sqlite() -> Vec<Provoked> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("x.db");
    let open = || Connection::open(&path).expect("a database");
    let (db, other) = (open(), open());
    db.execute_batch(
        "PRAGMA foreign_keys = ON;
         CREATE TABLE users (name TEXT NOT NULL UNIQUE);
         CREATE TABLE orders (user TEXT REFERENCES users (name));
         INSERT INTO users VALUES ('Ann');",
    )
    .expect("a schema");
    let name = |sql: &str| db.query_row(sql, [], |row| row.get::<_, u32>(0));
    let run = |sql: &str| error(db.execute(sql, []));
    let provoked = vec![
        (
            "Query returned no rows",
            error(name("SELECT name FROM users WHERE name = 'Bob'")),
        ),
        (
            "Invalid column type ... at index",
            error(name("SELECT name FROM users")),
        ),
        (
            "Wrong number of parameters passed to query. Got",
            run("DELETE FROM users WHERE name = ?1"),
        ),
        (
            "Execute returned results - did you mean to call query?",
            run("SELECT name FROM users"),
        ),
        (
            "Multiple statements provided",
            run("DELETE FROM orders; DELETE FROM users"),
        ),
        (
            "InvalidParameterCount(..., ...)",
            format!("{:?}", db.execute("DELETE FROM users", ["Ann"])),
        ),
        (
            "SqlInputError { ... syntax error\"",
            format!("{:?}", db.execute("DELETE users", [])),
        ),
        (
            "InvalidColumnName(\"...\")",
            format!(
                "{:?}",
                db.query_row("SELECT 1", [], |it| it.get::<_, u32>("id"))
            ),
        ),
        ("no such table:", run("DELETE FROM nobody")),
        (
            "UNIQUE constraint failed",
            run("INSERT INTO users VALUES ('Ann')"),
        ),
        (
            "NOT NULL constraint failed",
            run("INSERT INTO users VALUES (NULL)"),
        ),
        (
            "FOREIGN KEY constraint failed",
            run("INSERT INTO orders VALUES ('Bob')"),
        ),
        (
            "cannot start a transaction within a transaction",
            error(db.execute_batch("BEGIN; BEGIN")),
        ),
        (
            "unable to open database file",
            error(Connection::open(path.join("x")).map(|_| ())),
        ),
    ];
    db.execute_batch("ROLLBACK; BEGIN IMMEDIATE")
        .expect("a transaction");
    other.busy_timeout(Duration::ZERO).expect("it is set");
    let locked = error(other.execute("DELETE FROM orders", []));
    provoked
        .into_iter()
        .chain([("database is locked", locked)])
        .collect()
}

/// Returns what axum answers to a JSON body.
async fn answer(path: &str, content_type: &str, body: impl Into<Body>) -> String {
    let app = Router::new()
        .route("/", post(async |Json(_): Json<u32>| ()))
        .route("/users/{id}", post(async |Path(_): Path<u32>| ()))
        .route("/pairs/{id}", post(async |Path(_): Path<(u32, u32)>| ()))
        .route("/form", post(async |_: Multipart| ()))
        .route("/state", post(async |Extension(_): Extension<u32>| ()));
    let request = Request::post(path).header(header::CONTENT_TYPE, content_type);
    let request = request.body(body.into()).expect("a request");
    let response = app.oneshot(request).await.expect("it cannot fail");
    let body = to_bytes(response.into_body(), 1000).await.expect("a body");
    String::from_utf8_lossy(&body).into_owned()
}

async fn of_axum() -> Vec<Provoked> {
    const JSON: &str = "application/json";
    let route = |path: &str| Router::<()>::new().route(path, get(async || ()));
    vec![
        (
            "Overlapping method route. Handler for `GET /` already exists",
            panics(|| route("/").route("/", get(async || ()))),
        ),
        (
            "Path segments must not start with `:`. For capture groups, use `{capture}`.",
            panics(|| route("/users/:id")),
        ),
        ("Paths must start with a `/`", panics(|| route("users"))),
        (
            "Nesting at the root is no longer supported. Use merge instead.",
            panics(|| route("/").nest("/", route("/users"))),
        ),
        (
            "Cannot merge two `Router`s that both have a fallback",
            panics(|| {
                let empty = Router::<()>::new;
                let [one, other] = [(); 2].map(|()| empty().fallback(async || ()));
                one.merge(other)
            }),
        ),
        (
            "Failed to deserialize the JSON body into the target type",
            answer("/", JSON, "\"text\"").await,
        ),
        (
            "Failed to parse the request body as JSON",
            answer("/", JSON, "1 2").await,
        ),
        (
            "Expected request with `Content-Type: application/json`",
            answer("/", "text/plain", "1").await,
        ),
        (
            "Failed to buffer the request body: length limit exceeded",
            answer("/", JSON, vec![b' '; 3 << 20]).await,
        ),
        (
            "Invalid URL: Cannot parse `...` to a `u32`",
            answer("/users/ann", JSON, "").await,
        ),
        (
            "Invalid `boundary` for `multipart/form-data` request",
            answer("/form", "multipart/form-data", "").await,
        ),
        (
            "Wrong number of path arguments for `Path`. Expected",
            answer("/pairs/1", JSON, "").await,
        ),
        (
            "Missing request extension: Extension of type `...` was not found. Perhaps \
             you forgot to add it?",
            answer("/state", JSON, "").await,
        ),
    ]
}

fn of_systems() -> Vec<Provoked> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("it listens");
    let (peer, _) = listener.accept().expect("a client");
    socket2::SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .expect("it is set");
    drop(peer);
    let (reader, mut writer) = io::pipe().expect("a pipe");
    drop(reader);
    let files = child_of(module_path!()).env("FEW_FILES", "1").output();
    let files = files.expect("it runs").stdout;
    let overflow = || time::Instant::now() + Duration::MAX;
    let refused = thread::Builder::new().stack_size(TOO_LARGE).spawn(|| ());
    vec![
        (
            "Address already in use (os error 98)",
            error(TcpListener::bind(address)),
        ),
        (
            "Connection reset by peer (os error 104)",
            error((&client).read(&mut [0])),
        ),
        ("Broken pipe (os error 32)", error(writer.write(b"text"))),
        (
            "Os { code: 111, kind: ConnectionRefused, message: \"Connection refused\" }",
            format!("{:?}", io::Error::from_raw_os_error(111)),
        ),
        (
            "Too many open files (os error 24)",
            String::from_utf8_lossy(&files).into_owned(),
        ),
        (
            "No such file or directory (os error 2)",
            error(Command::new("no-such-program").spawn()),
        ),
        (
            "AddrParseError(Socket)",
            format!("{:?}", "localhost:80".parse::<SocketAddr>()),
        ),
        (
            "Os { code: 11, kind: WouldBlock, message: \"Resource temporarily unavailable\" }",
            format!("{:?}", refused.expect_err("it is too large")),
        ),
        (
            "OS can't spawn worker thread: Resource temporarily unavailable",
            panics(|| {
                let builder = &mut Builder::new_current_thread();
                let runtime = builder.thread_stack_size(TOO_LARGE).build();
                runtime.expect("a runtime").spawn_blocking(|| ())
            }),
        ),
        ("overflow when adding duration to instant", panics(overflow)),
        (
            "overflow when subtracting durations",
            panics(|| Duration::ZERO - std::hint::black_box(Duration::MAX)),
        ),
        (
            "cannot convert float seconds to Duration: value is negative",
            panics(|| Duration::from_secs_f64(std::hint::black_box(-1.0))),
        ),
        (
            "cannot convert float seconds to Duration: value is either too big or NaN",
            panics(|| Duration::from_secs_f64(std::hint::black_box(f64::NAN))),
        ),
        (
            "assertion failed: !ret.inner.is_empty()",
            panics(|| future::select_all(Vec::<future::Ready<()>>::new())),
        ),
        (
            "assertion failed: capacity > 0",
            panics(|| stream::empty::<()>().chunks(0)),
        ),
        (
            "Unfold must not be polled after it returned `Poll::Ready(None)`",
            panics(|| {
                let mut ended = pin!(stream::unfold((), async |()| None::<((), ())>));
                for _ in 0..2 {
                    let _ = ended.next().now_or_never();
                }
            }),
        ),
    ]
}

/// The other process of the test: it has few files.
#[test]
fn child() -> io::Result<()> {
    if env::var_os("FEW_FILES").is_none() {
        return Ok(());
    }
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(9);
    setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
    let files: Result<Vec<File>, _> = (0..9).map(|_| File::open("/dev/null")).collect();
    println!("{}", error(files));
    Ok(())
}

/// Whether the text has the message: each part between two `...`, one after the other.
fn has(text: &str, message: &str) -> bool {
    let mut rest = Some(text);
    for part in message.split("...") {
        let found = rest.and_then(|rest| rest.split_once(part.trim()));
        rest = found.map(|(_, rest)| rest);
    }
    rest.is_some()
}

/// The section services provokes what its clients say, and compile-fail what rustc says.
/// PyO3 needs an interpreter.
const ELSEWHERE: [&str; 6] = [
    "Python",
    "rustc",
    "tokio-postgres",
    "redis",
    "tonic",
    "PyO3",
];

#[test]
fn each_message_is_provoked() {
    let (all, one) = (runtime(), of_hyper());
    let mut provoked = all.block_on(async {
        let axum = of_axum().await;
        let channels = of_channels().await;
        let streams = of_streams().await;
        let requests = of_requests().await;
        let tasks = of_tasks().await;
        let sockets = unwrapped::of_websockets().await;
        let unwrapped = unwrapped::of_requests().await;
        let tower = unwrapped::of_tower().await;
        let tls = of_tls().await;
        [
            axum, channels, streams, requests, tasks, tls, sockets, tower, unwrapped,
        ]
        .concat()
    });
    provoked.extend([of_runtimes(), of_sqlite(), of_systems(), vec![one]].concat());
    provoked.extend([unwrapped::of_runtimes(), unwrapped::of_sqlite()].concat());
    provoked.extend([unwrapped::of_systems(), unwrapped::of_json()].concat());
    provoked.extend(unwrapped::of_axum());
    let programs = provoked.len();
    let mut provoked: BTreeMap<&str, String> = provoked.into_iter().collect();
    assert_eq!(programs, provoked.len(), "two programs have one message");
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/messages.tsv");
    let table = fs::read_to_string(table).expect("the table");
    for row in table.lines().skip(1) {
        let (from, rest) = row.split_once('\t').expect("two columns");
        if ELSEWHERE.contains(&from) {
            continue;
        }
        let message = rest.split('\t').next().unwrap_or_default();
        let text = provoked.remove(message);
        let text = text.unwrap_or_else(|| panic!("nothing provokes `{message}`"));
        assert!(has(&text, message), "`{message}` is not in `{text}`");
    }
    assert!(provoked.is_empty(), "no rows of the table: {provoked:#?}");
}
