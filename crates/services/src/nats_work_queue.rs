//! A work queue in NATS: jobs are stored, and run again until they are acknowledged.
//!
//! JetStream is the part of NATS that stores messages; a stream of it keeps the jobs.
//! Each worker asks for a job when it is free. If the worker sends no acknowledgement
//! within `ack_wait`, the server delivers the job again, so a job runs at least once. A
//! worker that needs longer asks for more time, as `work` does here. async-nats's
//! `Message::ack` only sends the acknowledgement; `double_ack` also waits for the
//! server's answer.
//!
//! Every two minutes (its sync interval) the server makes sure that its data is on the
//! disk. A power failure may lose later jobs.
//!
//! While the server is away, the stream of messages yields the error "missed idle
//! heartbeat". Log it and read on: after the restart, the stream continues.
//!
//! Bounds: In `Settings` you set how many jobs may wait (then `add` fails), how often
//! each is tried, how long it may run, and the pauses between attempts. Each call of
//! `work` runs one job at a time. Jobs that failed too often go to a second stream, which
//! drops its oldest.
//!
//! Trap: If you add a job by `publish(..).await?` alone, it may be lost without an
//! error. The first await only sends. It returns a second future: await this one too,
//! and its `Ok` means that the job is stored.
//!
//! Trap: If a job kills its worker each time, it vanishes silently: after `max_deliver`
//! attempts (a setting of JetStream), the server keeps the job but never delivers it
//! again. Here the worker counts the attempts itself, and moves such a job to the
//! second stream.
//!
//! See also: `job_queue`, `job_workers`, `nats_request_reply`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.task_done, asyncio.TaskGroup

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy};
use async_nats::jetstream::{AckKind, Context, Message};
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use futures::StreamExt;
use tokio::select;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Any error that can move to another thread. `?` converts every other error into it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The header by which the server knows a job that it has.
const ID: &str = "Nats-Msg-Id";

/// What a queue allows. A queue that exists keeps `max_jobs` and `ack_wait`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many jobs the queue holds. `add` fails if it is full.
    pub max_jobs: i64,
    /// After this silence of its worker a job is delivered to another one.
    pub ack_wait: Duration,
    /// A handler that runs for longer is aborted, and its attempt fails.
    pub max_runtime: Duration,
    /// After this many deliveries a job is a dead letter. A delivery that is lost on the
    /// way counts, too.
    pub max_attempts: i64,
    /// The delay before the next attempt after a failure.
    pub backoff: Duration,
}

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The id with which it was added.
    pub id: String,
    pub payload: Bytes,
    /// Counts from 1.
    pub attempt: i64,
}

/// A queue of jobs. Clones share it.
#[derive(Clone, Debug)]
pub struct WorkQueue {
    context: Context,
    consumer: PullConsumer,
    name: String,
    settings: Settings,
}

impl WorkQueue {
    /// Opens the queue, and creates it if there is none of this name.
    pub async fn open(
        context: Context,
        name: &str,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let dead = stream::Config {
            name: format!("{name}_dead"),
            subjects: vec![format!("{name}.dead")],
            max_messages: settings.max_jobs,
            ..Default::default()
        };
        context.get_or_create_stream(dead).await?;
        let jobs = stream::Config {
            name: name.to_owned(),
            subjects: vec![format!("{name}.jobs")],
            retention: RetentionPolicy::WorkQueue,
            max_messages: settings.max_jobs,
            discard: DiscardPolicy::New,
            ..Default::default()
        };
        let jobs = context.get_or_create_stream(jobs).await?;
        let workers = pull::Config {
            durable_name: Some("workers".to_owned()),
            ack_wait: settings.ack_wait,
            // A worker pulls one job at a time. A limit here would also count the jobs in
            // backoff, which then stop all others.
            max_ack_pending: -1,
            ..Default::default()
        };
        Ok(Self {
            consumer: jobs.get_or_create_consumer("workers", workers).await?,
            name: name.to_owned(),
            context,
            settings,
        })
    }

    /// Adds a job, and returns when it is stored. Within two minutes a second job of the
    /// same id is ignored: after an error, call it again.
    ///
    /// # Errors
    ///
    /// If the queue is full, the job is longer than the server's `max_payload`, or the id
    /// has a line break, or blanks around it.
    pub async fn add(&self, id: &str, payload: impl Into<Bytes>) -> Result<(), Failure> {
        // The server ignores them, and would take " a" for a second "a".
        if id.is_empty() || id.trim() != id {
            return Err(format!("no id of a job: {id:?}").into());
        }
        self.store("jobs", id, payload.into()).await
    }

    async fn store(&self, to: &str, id: &str, payload: Bytes) -> Result<(), Failure> {
        let subject = format!("{}.{to}", self.name);
        let mut headers = HeaderMap::new();
        headers.insert(ID, id.parse::<HeaderValue>()?);
        let stored = self.context.publish_with_headers(subject, headers, payload);
        stored.await?.await?;
        Ok(())
    }

    /// Runs one job after the other until `stop` is cancelled; then finishes its job.
    /// Call it once for each job that this process may run at the same time.
    ///
    /// `handler` runs in a task. If it fails, panics or takes too long, the attempt
    /// fails. `report` receives each failure. Dropping `work` aborts its job, which
    /// is delivered again after `ack_wait`.
    pub async fn work<F, Fut>(
        &self,
        stop: &CancellationToken,
        handler: F,
        report: impl Fn(Failure),
    ) where
        F: Fn(Job) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        while !stop.is_cancelled() {
            let next = select! {
                next = self.next() => next,
                () = stop.cancelled() => return,
            };
            let worked = match next {
                Ok(Some(message)) => self.attend(&message, &handler, &report).await,
                Ok(None) => continue,
                Err(error) => Err(error),
            };
            // An error of the server, for example while it restarts.
            if let Err(error) = worked {
                report(error);
                select! {
                    () = sleep(self.settings.backoff) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// Pulls one job. Gives up after a while, as a server that restarts forgets the pull.
    async fn next(&self) -> Result<Option<Message>, Failure> {
        let wait = Duration::from_secs(5);
        let pull = self.consumer.fetch().max_messages(1).expires(wait);
        let pulling = async { pull.messages().await?.next().await.transpose() };
        timeout(wait * 2, pulling).await?
    }

    /// Runs the handler of one job, and acknowledges the job.
    async fn attend<F, Fut>(
        &self,
        message: &Message,
        handler: &Arc<F>,
        report: &impl Fn(Failure),
    ) -> Result<(), Failure>
    where
        F: Fn(Job) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let settings = &self.settings;
        let info = message.info()?;
        let id = message.headers.as_ref().and_then(|headers| headers.get(ID));
        let id = id.map_or_else(|| info.stream_sequence.to_string(), ToString::to_string);
        let attempt = info.delivered;
        // Another release may have made the consumer with another time.
        let ack_wait = self.consumer.cached_info().config.ack_wait;
        if attempt <= settings.max_attempts {
            let job = Job {
                id: id.clone(),
                payload: message.payload.clone(),
                attempt,
            };
            let (handler, limit) = (Arc::clone(handler), settings.max_runtime);
            let handling = async move { handler(job).await };
            // In a task, so that a panic ends this attempt and not the worker.
            let task = tokio::spawn(async move { timeout(limit, handling).await? });
            let mut task = AbortOnDropHandle::new(task);
            let result = loop {
                select! {
                    joined = &mut task => {
                        break joined.unwrap_or_else(|panic| Err(panic.into()));
                    }
                    () = sleep(ack_wait / 3) => {
                        message.ack_with(AckKind::Progress).await?;
                    }
                }
            };
            match result {
                Ok(()) => return message.double_ack().await,
                Err(error) => report(error),
            }
            if attempt < settings.max_attempts {
                let again = AckKind::Nak(Some(settings.backoff));
                return message.ack_with(again).await;
            }
        }
        // First stored there, then deleted here: it may be there twice, never nowhere.
        self.store("dead", &id, message.payload.clone()).await?;
        message.double_ack().await
    }
}

/// Adds its arguments as jobs, `cargo run -- order-1 order-2`. Without arguments, works
/// on them until Ctrl-C.
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = std::env::var("NATS_URL").map_err(|_| "set NATS_URL=nats://HOST:PORT")?;
    let options = async_nats::ConnectOptions::new();
    // A server that is silent for two pings is taken for lost.
    let options = options.ping_interval(Duration::from_secs(10));
    let context = async_nats::jetstream::new(options.connect(url).await?);
    let settings = Settings {
        max_jobs: 100_000,
        ack_wait: Duration::from_secs(30),
        max_runtime: Duration::from_secs(600),
        max_attempts: 5,
        backoff: Duration::from_secs(5),
    };
    let queue = WorkQueue::open(context, "example", settings).await?;
    for order in std::env::args().skip(1) {
        queue.add(&order, order.clone()).await?;
        println!("added {order}");
    }
    let stop = CancellationToken::new();
    let handler = async |job: Job| {
        println!("{:?}", job.payload);
        Ok(())
    };
    let work = queue.work(&stop, handler, |error| eprintln!("{error}"));
    let stopping = async {
        if std::env::args().len() == 1 {
            let _signal = tokio::signal::ctrl_c().await;
        }
        stop.cancel();
    };
    tokio::join!(stopping, work);
    Ok(())
}

//@ clock: real
//@ try: order-1 order-2 -> added order-2
