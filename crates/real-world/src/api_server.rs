//! An HTTP API server with background jobs: submit, poll the result, limits, shutdown.
//!
//! A job outlives its request, so the server owns its task. If too many jobs wait, the
//! answer is 503 with `Retry-After`. An unknown id is 404. The last results are kept.
//!
//! Bounds: `Limits`, and 16 KiB of buffer for each connection. A client that never reads
//! is closed when its connection is `connection` old.
//!
//! Trap: hyper and axum drop a handler at its await when the client leaves; FastAPI lets
//! it finish. The middleware `finish` runs each handler in a task of its own.
//!
//! Trap: `axum::serve` has no limit for headers, so a client can hold up the shutdown.
//!
//! In production: `tower-http` has the deadline (`TimeoutLayer`) and answers 500 after a
//! panic (`CatchPanicLayer`). `hyper_util::server::conn::auto` serves HTTP/2 as well.
//!
//! asyncio: asyncio.create_task, asyncio.Semaphore, asyncio.timeout, asyncio.wait
//! asyncio: asyncio.Server, asyncio.Server.close, asyncio.Server.wait_closed
//! clock: real
//! try: nowhere -> invalid socket address

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the server allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The connections that are open at once. Further clients wait in the system's
    /// backlog.
    pub connections: usize,
    /// The jobs that run at once; not 0.
    pub running: usize,
    /// The jobs that wait to run. One more is refused.
    pub waiting: usize,
    /// The finished jobs that clients can still ask for.
    pub kept: usize,
    /// The length of a body in bytes.
    pub body: usize,
    /// The time for the headers of a request, and between two requests.
    pub head: Duration,
    /// The time for a request, from the end of its headers to the head of its response.
    pub request: Duration,
    /// The age at which a connection takes no further request.
    pub connection: Duration,
    /// How long the server answers "not ready" before it stops accepting.
    pub leave: Duration,
    /// The time that connections and jobs have to end.
    pub drain: Duration,
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Job {
    /// Waits for a permit to run.
    Waiting,
    /// Runs.
    Running,
    /// Has ended with a result: how many words the text has.
    Done { words: usize },
    /// Has ended without a result.
    Failed { error: String },
}

/// What a client sends.
#[derive(Debug, Deserialize)]
struct NewJob {
    text: String,
}

/// An error response, in JSON: `{"error":"..."}`.
#[derive(Debug)]
pub struct ApiError(StatusCode, String);

impl ApiError {
    fn new(status: StatusCode, text: &str) -> Self {
        Self(status, text.to_owned())
    }

    fn is_stopping() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "the server is about to stop")
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let text = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "the body is too large",
            _ => "the body is no job in JSON",
        };
        Self::new(rejection.status(), text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(status, text) = self;
        let is_busy = status == StatusCode::SERVICE_UNAVAILABLE;
        let retry_after = is_busy.then_some([(header::RETRY_AFTER, "1")]);
        (status, retry_after, Json(json!({ "error": text }))).into_response()
    }
}

pub type Work = BoxFuture<'static, Result<usize, String>>;

/// The jobs of the server.
pub struct Jobs {
    work: Box<dyn Fn(String) -> Work + Send + Sync>,
    limits: Limits,
    table: Mutex<Table>,
    /// A permit for each job that runs or waits. Closed when the server is about to stop.
    places: Arc<Semaphore>,
    /// A permit for each job that runs, first come, first served.
    permits: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    abort: CancellationToken,
}

#[derive(Default)]
struct Table {
    last: u64,
    jobs: BTreeMap<u64, Job>,
    ended: VecDeque<u64>,
}

impl Jobs {
    pub(crate) fn new(
        limits: Limits,
        work: impl Fn(String) -> Work + Send + Sync + 'static,
    ) -> Self {
        assert!(limits.running > 0, "no job would ever run");
        Self {
            work: Box::new(work),
            limits,
            table: Mutex::default(),
            places: Arc::new(Semaphore::new(limits.running + limits.waiting)),
            permits: Arc::new(Semaphore::new(limits.running)),
            tasks: TaskTracker::new(),
            abort: CancellationToken::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic under this lock can only come from a lack of memory.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a job in a task, or refuses it at once.
    pub(crate) fn submit(self: &Arc<Self>, text: String) -> Result<u64, ApiError> {
        // Under one lock with `stop`, so that no job begins after it.
        let mut table = self.table();
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|error| match error {
            TryAcquireError::NoPermits => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "there are too many jobs")
            }
            TryAcquireError::Closed => ApiError::is_stopping(),
        })?;
        table.last += 1;
        let id = table.last;
        table.jobs.insert(id, Job::Waiting);
        // Polled here, so that jobs are in line in the order of their numbers.
        let mut turn = Box::pin(Arc::clone(&self.permits).acquire_owned());
        let at_once = turn.as_mut().now_or_never();
        let jobs = Arc::clone(self);
        let job = async move {
            let _place = place;
            let _permit = match at_once {
                Some(permit) => permit,
                None => turn.await,
            };
            jobs.table().jobs.insert(id, Job::Running);
            // In a block, for `work` may panic before there is a future.
            let work = AssertUnwindSafe(async { (jobs.work)(text).await });
            let ended = match work.catch_unwind().await {
                Ok(Ok(words)) => Job::Done { words },
                Ok(Err(error)) => Job::Failed { error },
                Err(_) => Job::Failed {
                    error: "internal error".to_owned(),
                },
            };
            jobs.end(id, ended);
        };
        let abort = self.abort.clone();
        self.tasks
            .spawn(async move { abort.run_until_cancelled(job).await });
        Ok(id)
    }

    /// Records how a job has ended, and forgets the oldest of too many.
    fn end(&self, id: u64, ended: Job) {
        let mut table = self.table();
        table.jobs.insert(id, ended);
        table.ended.push_back(id);
        if table.ended.len() > self.limits.kept
            && let Some(oldest) = table.ended.pop_front()
        {
            table.jobs.remove(&oldest);
        }
    }

    /// Takes no more jobs.
    fn stop(&self) {
        let _table = self.table();
        self.places.close();
    }

    /// Waits for the jobs, drops those that are left after the deadline, and returns
    /// their numbers.
    async fn drain(&self) -> Vec<u64> {
        self.tasks.close();
        if timeout(self.limits.drain, self.tasks.wait()).await.is_err() {
            self.abort.cancel();
            self.tasks.wait().await;
        }
        let table = self.table();
        let left = table.jobs.iter();
        left.filter(|(_, job)| matches!(job, Job::Waiting | Job::Running))
            .map(|(id, _)| *id)
            .collect()
    }
}

async fn submit(
    State(jobs): State<Arc<Jobs>>,
    job: Result<Json<NewJob>, JsonRejection>,
) -> Result<Response, ApiError> {
    let id = jobs.submit(job?.0.text)?;
    let location = [(header::LOCATION, format!("/jobs/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(json!({ "id": id }))).into_response())
}

async fn status(
    State(jobs): State<Arc<Jobs>>,
    Path(id): Path<String>,
) -> Result<Json<Job>, ApiError> {
    let number = id.parse().ok();
    let job = number.and_then(|number: u64| jobs.table().jobs.get(&number).cloned());
    let no_job = || ApiError(StatusCode::NOT_FOUND, format!("there is no job {id}"));
    job.map(Json).ok_or_else(no_job)
}

/// Answers if the process works at all. Restart it if this fails.
async fn health() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// Answers whether clients should be sent here: not while the server is about to stop.
async fn ready(State(jobs): State<Arc<Jobs>>) -> Result<Json<Value>, ApiError> {
    match jobs.places.is_closed() {
        true => Err(ApiError::is_stopping()),
        false => Ok(Json(json!({ "status": "ready" }))),
    }
}

/// Drops a handler that takes too long, also one that waits for the rest of a body.
async fn deadline(
    State(limit): State<Duration>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let answered = timeout(limit, next.run(request)).await;
    let too_long = |_| ApiError::new(StatusCode::GATEWAY_TIMEOUT, "it takes too long");
    answered.map_err(too_long)
}

/// Runs a handler in a task of its own, so that it ends even if the client leaves: hyper
/// would drop it at its await. A panic becomes a response as well.
pub(crate) async fn finish(
    State(jobs): State<Arc<Jobs>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let abort = jobs.abort.clone();
    let handler = async move { abort.run_until_cancelled(next.run(request)).await };
    match jobs.tasks.spawn(handler).await {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Err(ApiError::is_stopping()),
        Err(_) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(ApiError::new(status, "internal error"))
        }
    }
}

fn routes(jobs: &Arc<Jobs>) -> Router {
    let no_path = || ApiError::new(StatusCode::NOT_FOUND, "there is no such path");
    let no_method = || {
        ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "the path has not this method",
        )
    };
    Router::new()
        .route("/jobs", post(submit))
        .route("/jobs/{id}", get(status))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .fallback(async move || no_path())
        .method_not_allowed_fallback(async move || no_method())
        .layer(DefaultBodyLimit::max(jobs.limits.body))
        .layer(from_fn_with_state(jobs.limits.request, deadline))
        // Outside of the deadline, which limits the task as well.
        .layer(from_fn_with_state(Arc::clone(jobs), finish))
        .with_state(Arc::clone(jobs))
}

/// Serves until `stop` is cancelled, and then ends in order. For the time `leave` it
/// answers, but is not ready and takes no jobs. Then it stops accepting, and gives open
/// connections and jobs time to end. Returns the numbers of the jobs that were dropped.
///
/// When it returns, none of its tasks is left. Dropped, it drops the jobs too and lets
/// its connections end, but does not wait for them.
///
/// # Panics
///
/// If `running` is 0.
pub async fn serve(
    listener: TcpListener,
    limits: Limits,
    work: impl Fn(String) -> Work + Send + Sync + 'static,
    stop: CancellationToken,
) -> Vec<u64> {
    let jobs = Arc::new(Jobs::new(limits, work));
    let routes = routes(&jobs);
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(limits.connections));
    let close = CancellationToken::new();
    // Should this future be dropped.
    let _close = close.clone().drop_guard();
    let _abort = jobs.abort.clone().drop_guard();
    let leave = async {
        stop.cancelled().await;
        jobs.stop();
        sleep(limits.leave).await;
    };
    let accepting = async {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            let stream = accept(&listener).await;
            // Small responses go out at once.
            let _ = stream.set_nodelay(true);
            let serving = connection(stream, routes.clone(), limits, close.clone());
            connections.spawn(async move {
                let _permit = permit;
                serving.await;
            });
        }
    };
    select! {
        biased;
        () = leave => {}
        () = accepting => {}
    }
    drop(listener);
    close.cancel();
    connections.close();
    let ((), dropped) = tokio::join!(connections.wait(), jobs.drain());
    dropped
}

/// Returns the next connection, however long that takes. Cancel-safe.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // The client left before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // Out of file descriptors or memory: without a pause this would spin.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Serves one connection until its client leaves, it is old, or the server stops. After
/// that the request that runs may end, within the deadline.
pub(crate) async fn connection(
    stream: TcpStream,
    routes: Router,
    limits: Limits,
    close: CancellationToken,
) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        // Otherwise a client can make it keep 400 kB of one head.
        .max_buf_size(16 * 1024)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut serving = pin!(serving);
    select! {
        // An error is the client's: it left, or what it sent is not HTTP.
        _ = serving.as_mut() => return,
        () = close.cancelled() => {}
        () = sleep(limits.connection) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = timeout(limits.drain, serving).await;
}

/// Counts the words of texts until Ctrl-C: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = TcpListener::bind(address).await?;
    let limits = Limits {
        connections: 1_000,
        running: 4,
        waiting: 100,
        kept: 1_000,
        body: 100_000,
        head: Duration::from_secs(10),
        request: Duration::from_secs(30),
        connection: Duration::from_secs(600),
        leave: Duration::from_secs(5),
        drain: Duration::from_secs(20),
    };
    let count_words =
        |text: String| async move { Ok(text.split_whitespace().count()) }.boxed();
    let stop = CancellationToken::new();
    let serving = serve(listener, limits, count_words, stop.clone());
    let ctrl_c = async {
        // Where nobody can listen for it, it ends the program as usual.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    };
    let (dropped, ()) = tokio::join!(serving, ctrl_c);
    println!("dropped jobs: {dropped:?}");
    Ok(())
}
