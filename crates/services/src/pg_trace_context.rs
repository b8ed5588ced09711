//! Follow one request through a job queue: its trace id travels with the job.
//!
//! A trace id is a number that all log lines of a request share. A task keeps it in a
//! task-local, which is a `ContextVar` in asyncio. `add` stores the id in a column of the
//! job, in the form of the W3C's header `traceparent`. The worker handles the job in a
//! span (a part of a trace, with a begin and an end) of the same trace. So all log lines
//! of a request have one id, on every machine.
//!
//! Each attempt to handle a job is a separate span. If you send jobs over NATS instead,
//! send `traceparent` as a header of the message.
//!
//! Bounds: A call of `work` handles one job. Unbounded: The table, and the time of a
//! handler.
//!
//! Trap: If you spawn a task and call `add` in it, the job begins a new trace, and you
//! cannot find the job by the request's id. A spawned task does not inherit a task-local,
//! whereas asyncio's `create_task` copies the context. Call `TraceParent::current` before
//! you spawn, and pass the task's future to `scope` of that value.
//!
//! In production: The crate `tracing-opentelemetry` passes the spans to OpenTelemetry.
//! Its `TraceContextPropagator` fills a map of headers. Add a column for this map to
//! the table of `pg_worker`.
//!
//! See also: `pg_worker`, `task_locals`, `opentelemetry_trace`.
//!
//! asyncio: contextvars.ContextVar, asyncio.create_task

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::{Client, Error};

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// The column `traceparent` is all that a traced job needs.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS traced_jobs (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payload TEXT NOT NULL,
        traceparent TEXT NOT NULL,
        added_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
    )";

/// A position in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: u128,
    pub span_id: u64,
    /// Somebody records this trace.
    pub is_sampled: bool,
}

/// The text is no `traceparent`. Begin a new trace.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no traceparent")]
pub struct NoTraceParent;

impl TraceParent {
    /// Begins a trace.
    pub fn new() -> Self {
        let (trace_id, span_id) = (fastrand::u128(1..), fastrand::u64(1..));
        Self {
            trace_id,
            span_id,
            is_sampled: true,
        }
    }

    /// Returns the position of this task, or begins a trace.
    pub fn current() -> Self {
        CURRENT.try_with(|it| *it).unwrap_or_else(|_| Self::new())
    }

    /// Begins a span of the same trace.
    pub fn child(self) -> Self {
        let span_id = Self::new().span_id;
        Self { span_id, ..self }
    }

    /// Runs the future in this span: its `current` is this one.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}

impl Default for TraceParent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            is_sampled,
        } = self;
        write!(
            f,
            "00-{trace_id:032x}-{span_id:016x}-{:02x}",
            u8::from(*is_sampled)
        )
    }
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    /// Reads version 00, and what later versions have in common with it.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let is_hex = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
        let mut parts = text.splitn(5, '-');
        let mut next = |length: usize| {
            let part = parts
                .next()
                .filter(|it| it.len() == length && it.bytes().all(is_hex));
            let number = part.map(|it| u128::from_str_radix(it, 16));
            number.and_then(Result::ok).ok_or(NoTraceParent)
        };
        let (version, trace_id) = (next(2)?, next(32)?);
        let (span_id, flags) = (next(16)? as u64, next(2)?);
        let is_longer = parts.next().is_some();
        if version == 0xff || (version == 0 && is_longer) || trace_id == 0 || span_id == 0
        {
            return Err(NoTraceParent);
        }
        let is_sampled = flags & 1 == 1;
        Ok(Self {
            trace_id,
            span_id,
            is_sampled,
        })
    }
}

/// A job, in the span of its handler.
#[derive(Debug)]
pub struct Job {
    pub payload: String,
    /// How long it has been waiting: a metric to watch.
    pub waited: Duration,
}

/// Creates the table, unless it is there.
pub async fn create_table(client: &Client) -> Result<(), Error> {
    client.batch_execute(SCHEMA).await
}

/// Adds a job in the trace of this task.
pub async fn add(client: &Client, payload: &str) -> Result<(), Error> {
    let sql = "INSERT INTO traced_jobs (payload, traceparent) VALUES ($1, $2)";
    let trace = TraceParent::current().to_string();
    client.execute(sql, &[&payload, &trace]).await.map(drop)
}

/// Runs the handler of one job in the job's trace, and deletes the job. Returns false if
/// there is none. If the handler fails, or the future is dropped, the job comes again.
pub async fn work<E: From<Error>>(
    client: &mut Client,
    handler: impl AsyncFnOnce(Job) -> Result<(), E>,
) -> Result<bool, E> {
    let transaction = client.transaction().await?;
    let sql = "DELETE FROM traced_jobs WHERE id = (
                   SELECT id FROM traced_jobs ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
               RETURNING payload, traceparent,
                   extract(EPOCH FROM clock_timestamp() - added_at)::FLOAT8";
    let Some(row) = transaction.query_opt(sql, &[]).await? else {
        return Ok(false);
    };
    // Another program may have added the job, without a trace.
    let parent = row.get::<_, &str>(1).parse::<TraceParent>();
    let span = parent.map_or_else(|_| TraceParent::new(), TraceParent::child);
    let waited = Duration::try_from_secs_f64(row.get(2)).unwrap_or_default();
    let payload = row.get(0);
    span.scope(handler(Job { payload, waited })).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Prints a line with the trace of this task.
pub fn log(text: &str) {
    println!("trace {:032x}: {text}", TraceParent::current().trace_id);
}

/// Adds its arguments as jobs of one trace, and works on them: `cargo run -- tea cake`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let (mut client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    // Ends when the client is dropped. The client tells the errors.
    tokio::spawn(connection);
    create_table(&client).await?;
    let request = async {
        log("a request");
        for payload in std::env::args().skip(1) {
            add(&client, &payload).await?;
        }
        Ok::<_, Error>(())
    };
    TraceParent::new().scope(request).await?;
    let handler = async |job: Job| {
        log(&format!("{}, waited {:?}", job.payload, job.waited));
        Ok::<_, Error>(())
    };
    while work(&mut client, handler).await? {}
    Ok(())
}

//@ clock: real
//@ try: tea -> tea, waited
