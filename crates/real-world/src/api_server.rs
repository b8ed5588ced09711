//! An HTTP API with background jobs: submit, ask for the result, refuse too many, stop.
//!
//! A job runs for longer than the request that submits it, so the server owns the job's
//! task. If too many jobs run, the server answers 503 with `Retry-After`. An unknown id
//! gets 404. To shut down, the server first answers "not ready", so that no load
//! balancer sends more clients. Then it stops accepting, and waits for the jobs.
//!
//! Bounds: At most `running` jobs run (above that 503), and the last `kept` results are
//! kept. A body has at most 2 MB (above that 413). Unbounded: The time of a job.
//!
//! Trap: If the handler itself awaits the job, the job is dropped when its client
//! disconnects. Spawn it, as here.
//!
//! Trap: If you use `axum::serve`, a slow client can delay your shutdown, because
//! `axum::serve` has no time limit for headers. And a client that ends its side after
//! the request, as `nc -N` does, often gets no answer. `http_server` has the limit, and
//! answers such a client.
//!
//! In production: Keep the jobs in a table, as `job_queue` does: they survive a restart.
//!
//! See also: `http_server`, `router`, `axum_service`, `client_disconnects`, `job_queue`.
//!
//! asyncio: asyncio.create_task, asyncio.Semaphore, asyncio.wait

use std::collections::{BTreeMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Job {
    Running,
    Done { result: Value },
    Failed { error: String },
}

#[derive(Debug, Deserialize)]
struct NewJob {
    text: String,
}

/// An error response, in JSON: `{"error":"..."}`.
#[derive(Debug)]
pub struct ApiError(StatusCode, String);

impl ApiError {
    fn busy(text: &str) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), "the body is no job in JSON".to_owned())
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

/// The future of a job. The client gets its error as text.
pub type Work = BoxFuture<'static, Result<Value, String>>;

/// The jobs of the server.
pub struct Jobs {
    work: Box<dyn Fn(String) -> Work + Send + Sync>,
    kept: usize,
    table: Mutex<Table>,
    /// A permit for each job that runs. Closed when the server is about to stop.
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    abort: CancellationToken,
}

#[derive(Default)]
struct Table {
    last: u64,
    jobs: BTreeMap<u64, Job>,
    ended: VecDeque<u64>,
}

impl Jobs {
    /// Returns an empty table. At most `running` jobs run at the same time; `work`
    /// returns the future of each. Clients can ask for the last `kept` results.
    pub fn new(
        running: usize,
        kept: usize,
        work: impl Fn(String) -> Work + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            work: Box::new(work),
            kept,
            table: Mutex::default(),
            permits: Arc::new(Semaphore::new(running.min(Semaphore::MAX_PERMITS))),
            tasks: TaskTracker::new(),
            abort: CancellationToken::new(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic under this lock can only come from a lack of memory.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a job in a task and returns its id, or refuses it immediately.
    pub fn submit(self: &Arc<Self>, text: String) -> Result<u64, ApiError> {
        // Under the same lock as `stop`, so that no job starts after it.
        let mut table = self.table();
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|error| match error {
            TryAcquireError::NoPermits => ApiError::busy("too many jobs are running"),
            TryAcquireError::Closed => ApiError::busy("the server is about to stop"),
        })?;
        table.last += 1;
        let id = table.last;
        table.jobs.insert(id, Job::Running);
        let jobs = Arc::clone(self);
        let job = async move {
            let _permit = permit;
            // The block also catches a panic of `work` before it returns its future.
            let work = AssertUnwindSafe(async { (jobs.work)(text).await });
            let ended = match work.catch_unwind().await {
                Ok(Ok(result)) => Job::Done { result },
                Ok(Err(error)) => Job::Failed { error },
                Err(_panic) => Job::Failed {
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

    /// Records how a job ended, and forgets the oldest result beyond `kept`.
    fn end(&self, id: u64, ended: Job) {
        let table = &mut *self.table();
        table.jobs.insert(id, ended);
        table.ended.push_back(id);
        let surplus = table.ended.len().saturating_sub(self.kept);
        for oldest in table.ended.drain(..surplus) {
            table.jobs.remove(&oldest);
        }
    }

    /// Refuses further jobs. From now on `/ready` answers 503.
    pub fn stop(&self) {
        let _table = self.table();
        self.permits.close();
    }

    /// Refuses further jobs and waits for the running ones. After the limit, drops the
    /// jobs that still run, and returns their ids.
    pub async fn drain(&self, limit: Duration) -> Vec<u64> {
        self.stop();
        self.tasks.close();
        if timeout(limit, self.tasks.wait()).await.is_err() {
            self.abort.cancel();
            self.tasks.wait().await;
        }
        let table = self.table();
        let left = table.jobs.iter().filter(|(_, job)| **job == Job::Running);
        left.map(|(id, _)| *id).collect()
    }

    /// Returns the routes: `POST /jobs`, `GET /jobs/{id}`, `/health` and `/ready`.
    pub fn routes(self: Arc<Self>) -> Router {
        // If this route fails, the process should be restarted.
        let health = async || Json(json!({ "status": "alive" }));
        Router::new()
            .route("/jobs", post(submit))
            .route("/jobs/{id}", get(status))
            .route("/health", get(health))
            .route("/ready", get(ready))
            .with_state(self)
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

/// Tells a load balancer whether to send clients: answers 503 once `stop` was called.
async fn ready(State(jobs): State<Arc<Jobs>>) -> Result<Json<Value>, ApiError> {
    if jobs.permits.is_closed() {
        Err(ApiError::busy("the server is about to stop"))
    } else {
        Ok(Json(json!({ "status": "ready" })))
    }
}

/// Counts the words of texts until Ctrl-C: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    let count_words =
        |text: String| async move { Ok(json!(text.split_whitespace().count())) }.boxed();
    let jobs = Jobs::new(100, 1_000, count_words);
    let stop = async {
        let _ctrl_c = tokio::signal::ctrl_c().await;
        jobs.stop();
        // Time for the load balancer to stop sending clients.
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    // `with_graceful_shutdown` would wait for slow clients without a limit.
    tokio::select! {
        result = axum::serve(listener, Arc::clone(&jobs).routes()) => result?,
        () = stop => {}
    }
    println!("dropped: {:?}", jobs.drain(Duration::from_secs(20)).await);
    Ok(())
}

//@ clock: real
//@ try: nowhere -> invalid socket address
