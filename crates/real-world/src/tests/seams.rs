//! Examples that readers put together, each built from the files as they are: what it
//! takes to join them is the code here.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{SinkExt, TryStreamExt};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rusqlite::{Connection, Transaction};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, error::Elapsed, sleep, timeout};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use super::support::soon;
use crate::crlf_lines::CrlfLines;
use crate::dispatch_by_name::{CallError, Functions};
use crate::job_queue::{Database, Job, JobQueue, QueueError};
use crate::job_workers::{Claim, Ended, Queue, Workers};
use crate::servers::{Server, bind};
use crate::tls::{close, connect, identify, start_tls, trust};
use crate::token_bucket::TokenBucket;

#[allow(dead_code)]
#[path = "../../../error-handling/src/circuit_breaker.rs"]
mod circuit_breaker;
#[allow(dead_code)]
#[path = "../../../error-handling/src/deadlines.rs"]
mod deadlines;
#[allow(dead_code)]
#[path = "../../../error-handling/src/retry.rs"]
mod retry;

use circuit_breaker::{CircuitBreaker, Rejected, State};
use deadlines::Deadline;
use retry::{RetryPolicy, Retryable, retry};

/// Nothing takes that long unless it hangs.
const LONG: Duration = Duration::from_secs(60);

// A server with TLS, limits and a graceful shutdown: `servers`, `crlf_lines`, `deadlines`
// and `tls`, as for SMTP with STARTTLS.

struct Mail {
    tls: Arc<ServerConfig>,
    idle: Duration,
    stop: CancellationToken,
}

impl Mail {
    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut lines = Framed::new(stream, CrlfLines::new(80));
        if !self.talk(&mut lines, true).await? {
            return Ok(());
        }
        let parts = lines.into_parts();
        // Sent without encryption, perhaps by somebody else.
        if !parts.read_buf.is_empty() {
            return Err(ErrorKind::InvalidData.into());
        }
        let stream = start_tls(&self.tls, BufReader::new(parts.io), self.idle).await?;
        let mut lines = Framed::new(stream, CrlfLines::new(80));
        self.talk(&mut lines, false).await?;
        close(lines.into_inner(), self.idle).await
    }

    /// Answers until the end, and returns whether TLS begins. Each line moves the
    /// deadline.
    async fn talk<S>(
        &self,
        lines: &mut Framed<S, CrlfLines>,
        is_plain: bool,
    ) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let deadline = Deadline::after(self.idle);
        let talking = async {
            loop {
                let next = self.stop.run_until_cancelled(lines.try_next());
                let answer = match next.await.transpose()? {
                    Some(Some(Ok(line))) if is_plain && line == "STARTTLS" => {
                        lines.send("220 go ahead").await?;
                        return Ok(true);
                    }
                    Some(Some(Ok(line))) if line == "QUIT" => break,
                    Some(Some(Ok(line))) => format!("250 {}", line.len()),
                    Some(Some(Err(bad))) => format!("500 {bad}"),
                    Some(None) => return Ok(false),
                    None => break,
                };
                lines.send(answer).await?;
                deadline.reschedule(self.idle);
            }
            lines.send("221 bye").await?;
            Ok(false)
        };
        deadline.run(talking).await.map_err(io::Error::other)?
    }
}

struct MailServer {
    server: Server,
    stop: CancellationToken,
    roots: RootCertStore,
}

fn mail_server(limit: usize, idle: Duration) -> MailServer {
    let key = generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    let CertifiedKey { cert, signing_key } = key;
    let (chain, key) = (cert.pem(), signing_key.serialize_pem());
    let tls = identify(chain.as_bytes(), key.as_bytes()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a certificate");
    let stop = CancellationToken::new();
    let mail = Arc::new(Mail {
        tls,
        idle,
        stop: stop.clone(),
    });
    let handle = move |stream| {
        let mail = Arc::clone(&mail);
        async move { drop(mail.serve(stream).await) }
    };
    let sockets = bind(&["127.0.0.1:0".parse().expect("an address")], false);
    let server = Server::start_serving(sockets.expect("a port"), limit, handle);
    MailServer {
        server: server.expect("it listens"),
        stop,
        roots,
    }
}

impl MailServer {
    async fn client(&self) -> TcpStream {
        let address = self.server.addresses()[0];
        TcpStream::connect(address).await.expect("it listens")
    }

    /// The end of a program: what `main` does after a signal.
    async fn shut_down(&self, grace: Duration) {
        self.server.close().await;
        self.stop.cancel();
        if timeout(grace, self.server.wait_closed()).await.is_err() {
            self.server.close_clients();
        }
        self.server.wait_closed().await;
    }
}

/// Sends the text, and returns the next answer.
async fn ask<S>(stream: &mut S, text: &str) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(text.as_bytes()).await.expect("it is open");
    stream.flush().await.expect("it is open");
    let mut answer = String::new();
    while !answer.ends_with("\r\n") {
        let byte = soon(stream.read_u8()).await.expect("an answer");
        answer.push(byte.into());
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_starttls_limits_and_a_graceful_shutdown() {
    let mail = mail_server(10, LONG);
    let mut plain = mail.client().await;
    let long = "x".repeat(100_000) + "\r\n";
    assert_eq!(ask(&mut plain, &long).await, "500 line too long\r\n");
    assert_eq!(ask(&mut plain, "STARTTLS\r\n").await, "220 go ahead\r\n");
    let client = trust(mail.roots.clone()).expect("a configuration");
    let connected = connect(&client, "localhost", plain, LONG).await;
    let mut secure = connected.expect("a handshake");
    assert_eq!(ask(&mut secure, "NOOP\r\n").await, "250 4\r\n");
    let bare = "one\n.\r\n";
    assert_eq!(
        ask(&mut secure, bare).await,
        "500 CR or LF inside a line\r\n"
    );

    let (_, farewell) = tokio::join!(soon(mail.shut_down(LONG)), async {
        let mut rest = String::new();
        // Fails unless TLS was closed.
        soon(secure.read_to_string(&mut rest))
            .await
            .expect("a clean end");
        secure.shutdown().await.expect("it is open");
        rest
    });
    assert_eq!(farewell, "221 bye\r\n");
    let address = mail.server.addresses()[0];
    TcpStream::connect(address).await.expect_err("it is closed");
}

/// What stands behind `STARTTLS` in the same packet is no command of the client's.
#[tokio::test]
async fn commands_before_the_handshake_do_not_count() {
    let mail = mail_server(10, LONG);
    let mut plain = mail.client().await;
    let injected = "STARTTLS\r\nMAIL FROM:<mallory>\r\n";
    assert_eq!(ask(&mut plain, injected).await, "220 go ahead\r\n");
    let ended = soon(plain.read_u8()).await.expect_err("it is closed");
    let kinds = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
    assert!(kinds.contains(&ended.kind()), "{ended}");
}

/// The first client has the only permit until its deadline; at the shutdown the second is
/// cut off at the end of the grace, as it never reads.
#[tokio::test]
async fn a_silent_client_is_cut_off_and_the_next_is_served() {
    let mail = mail_server(1, Duration::from_millis(200));
    let mut silent = mail.client().await;
    assert_eq!(ask(&mut silent, "NOOP\r\n").await, "250 4\r\n");
    let mut next = mail.client().await;
    assert_eq!(ask(&mut next, "NOOP\r\n").await, "250 4\r\n");
    assert_eq!(soon(silent.read(&mut [0])).await.expect("a clean end"), 0);
    soon(mail.shut_down(Duration::ZERO)).await;
}

// Workers with a queue, retries and a shutdown: `job_workers`, `job_queue`,
// `dispatch_by_name` and `retry`.

struct SqliteQueue {
    database: Database,
    jobs: JobQueue,
}

impl SqliteQueue {
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(JobQueue, &Transaction<'_>) -> Result<T, QueueError>
        + Send
        + 'static,
    ) -> Result<T, QueueError> {
        let jobs = self.jobs;
        self.database.transaction(move |db| work(jobs, db)).await
    }
}

impl Queue for SqliteQueue {
    type Job = Job;
    type Output = String;
    type Failure = CallError;
    type Error = QueueError;

    async fn claim(&self) -> Result<Claim<Job>, QueueError> {
        self.change(|jobs, db| match jobs.claim(db)? {
            Some(job) => Ok(Claim::Job(job)),
            None => Ok(Claim::Empty(jobs.next_due(db)?)),
        })
        .await
    }

    async fn extend(&self, job: &Job) -> Result<bool, QueueError> {
        let job = job.clone();
        let extend = move |jobs: JobQueue, db: &Transaction<'_>| jobs.extend(db, &job);
        match self.change(extend).await {
            Err(QueueError::LeaseLost) => Ok(false),
            extended => extended.map(|()| true),
        }
    }

    async fn complete(&self, job: &Job, output: String) -> Result<(), QueueError> {
        let job = job.clone();
        let complete = move |jobs: JobQueue, db: &Transaction<'_>| {
            jobs.complete(db, &job)?;
            db.execute("INSERT INTO results VALUES (?1, ?2)", (job.id, output))?;
            Ok(())
        };
        self.change(complete).await
    }

    async fn fail(
        &self,
        job: &Job,
        ended: Ended<CallError, QueueError>,
    ) -> Result<(), QueueError> {
        let (job, error) = (job.clone(), ended.to_string());
        self.change(move |jobs, db| jobs.fail(db, &job, &error))
            .await
    }

    fn report(&self, error: QueueError) {
        panic!("{error}");
    }

    fn lost(&self, job: &Job) {
        panic!("{job:?}");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the service is busy")]
struct Busy;

/// A service that fails each first and second call for an item.
#[derive(Default)]
struct Flaky {
    calls: Mutex<BTreeMap<u32, u32>>,
}

impl Flaky {
    async fn double(&self, item: u32) -> Result<u32, Busy> {
        sleep(Duration::from_millis(1)).await;
        let mut calls = self.calls.lock().expect("no panic");
        let count = calls.entry(item).or_insert(0);
        *count += 1;
        if *count < 3 { Err(Busy) } else { Ok(2 * item) }
    }
}

async fn double(service: Arc<Flaky>, (item,): (u32,)) -> Result<u32, Busy> {
    let policy = RetryPolicy {
        initial_backoff: Duration::from_millis(1),
        ..RetryPolicy::default()
    };
    retry(&policy, |_| Retryable::Yes, || service.double(item)).await
}

/// The first worker is stopped after some jobs. Then two others do the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_with_a_queue_retries_and_a_shutdown() {
    let connection = Connection::open_in_memory().expect("it opens");
    let results = "CREATE TABLE results (job INTEGER PRIMARY KEY, output TEXT)";
    connection.execute_batch(results).expect("a table");
    let queue = SqliteQueue {
        database: Database::new(connection).expect("a queue"),
        jobs: JobQueue {
            lease: LONG,
            max_attempts: 1,
            initial_backoff: LONG,
            max_backoff: LONG,
        },
    };
    let add = |jobs: JobQueue, db: &Transaction<'_>| {
        for item in 1..=30 {
            let payload = format!(r#"{{"function": "double", "arguments": [{item}]}}"#);
            jobs.enqueue(db, &payload, Duration::ZERO)?;
        }
        for bad in [r#"{"function": "halve", "arguments": [1]}"#, "no JSON"] {
            jobs.enqueue(db, bad, Duration::ZERO)?;
        }
        Ok(())
    };
    queue.change(add).await.expect("it is added");
    let workers = Arc::new(Workers {
        queue,
        lease: LONG,
        max_runtime: LONG,
        grace: LONG,
        poll: Duration::from_millis(1),
        wake: Notify::new(),
    });
    let mut functions = Functions::new(Arc::<Flaky>::default());
    functions.add("double", double);
    let functions = Arc::new(functions);
    let handler = move |job: Job| {
        let functions = Arc::clone(&functions);
        async move {
            let call: serde_json::Value =
                serde_json::from_str(&job.payload).map_err(CallError::Arguments)?;
            let name = call["function"].as_str().unwrap_or_default();
            let result = functions.call(name, call["arguments"].clone()).await?;
            Ok(result.to_string())
        }
    };
    let count = async |sql: &'static str| {
        let count = move |_: JobQueue, db: &Transaction<'_>| {
            Ok(db.query_row(sql, [], |row| row.get::<_, u32>(0))?)
        };
        workers.queue.change(count).await.expect("it answers")
    };

    let stop = CancellationToken::new();
    let first = workers.work(&stop, handler.clone());
    let stopping = async {
        while count("SELECT count(*) FROM results").await < 3 {
            sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    soon(async { tokio::join!(first, stopping) }).await;
    let running = "SELECT count(*) FROM jobs WHERE state = 'running'";
    assert_eq!(count(running).await, 0, "it finished its job");
    assert!(count("SELECT count(*) FROM results").await < 30);

    let stop = CancellationToken::new();
    let mut others = JoinSet::new();
    for _ in 0..2 {
        let (workers, handler) = (Arc::clone(&workers), handler.clone());
        let stop = stop.clone();
        others.spawn(async move { workers.work(&stop, handler).await });
    }
    let ended = async {
        while count("SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running')")
            .await
            > 0
        {
            sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
        others.join_all().await
    };
    soon(ended).await;
    let right = "SELECT count(*) FROM results WHERE output = 2 * job";
    assert_eq!(count(right).await, 30);
    let dead = |jobs: JobQueue, db: &Transaction<'_>| jobs.dead_letters(db);
    let dead = workers.queue.change(dead).await.expect("it answers");
    let errors: Vec<_> = dead.iter().map(|(_, error)| error.as_str()).collect();
    let no_json = "wrong arguments: expected ident at line 1 column 2";
    assert_eq!(errors, ["no function halve", no_json]);
}

// A client with retries, a circuit breaker and a limiter: `retry`, `circuit_breaker` and
// `token_bucket`.

#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error(transparent)]
    Rejected(#[from] Rejected),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error(transparent)]
    Late(#[from] Elapsed),
}

impl ClientError {
    fn retryable(&self) -> Retryable {
        match self {
            Self::Rejected(Rejected::Open { retry_after }) => {
                Retryable::After(*retry_after)
            }
            _ => Retryable::Yes,
        }
    }
}

struct Client {
    policy: RetryPolicy,
    breaker: CircuitBreaker<ClientError>,
    bucket: TokenBucket,
    is_down: AtomicBool,
    calls: Mutex<Vec<Instant>>,
}

impl Client {
    async fn get(&self, item: u32) -> Result<u32, ClientError> {
        let call = || timeout(Duration::from_millis(50), self.call(item));
        let attempt = || async {
            // First the token: if the circuit opens while a call waits for one, the call
            // is rejected. The timeout counts neither wait.
            self.bucket.acquire().await;
            self.breaker.call(|| async { call().await? }).await?
        };
        retry(&self.policy, ClientError::retryable, attempt).await
    }

    async fn call(&self, item: u32) -> Result<u32, ClientError> {
        self.calls.lock().expect("no panic").push(Instant::now());
        match self.is_down.load(SeqCst) {
            // Half of the calls hang.
            true if item % 2 == 0 => std::future::pending().await,
            true => Err(Busy.into()),
            false => Ok(item),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_with_retries_a_breaker_and_a_limiter() {
    let interval = Duration::from_millis(100);
    let client = Arc::new(Client {
        policy: RetryPolicy {
            max_attempts: 10,
            max_elapsed: Duration::from_secs(600),
            initial_backoff: Duration::from_millis(10),
            max_backoff: Duration::from_secs(1),
            jitter: false,
        },
        breaker: CircuitBreaker::new(3, Duration::from_secs(5), |_| true),
        bucket: TokenBucket::new(2, interval),
        is_down: AtomicBool::new(true),
        calls: Mutex::default(),
    });
    let start = Instant::now();
    let mut waiting = JoinSet::new();
    for item in 0..20 {
        let client = Arc::clone(&client);
        waiting.spawn(async move { client.get(item).await });
    }
    sleep(Duration::from_secs(4)).await;
    assert_eq!(client.breaker.state(), State::Open);
    let before = client.calls.lock().expect("no panic").len();
    assert_eq!(before, 3, "those that opened it, and no waiter");
    client.is_down.store(false, SeqCst);
    let done = AtomicU32::new(0);
    while let Some(got) = waiting.join_next().await {
        got.expect("no panic").expect("it was retried");
        done.fetch_add(1, SeqCst);
    }
    assert_eq!(done.load(SeqCst), 20);
    assert_eq!(client.breaker.state(), State::Closed);
    let calls = client.calls.lock().expect("no panic");
    assert!(
        calls[before] - start >= Duration::from_secs(5),
        "while it was open"
    );
    // The limit holds over all calls: two, and one more for each interval.
    for (first, from) in calls.iter().enumerate() {
        for (count, to) in calls[first..].iter().enumerate() {
            let most = 2.0 + (*to - *from).div_duration_f64(interval);
            assert!((count + 1) as f64 <= most + 1e-9, "{count} {most}");
        }
    }
}
