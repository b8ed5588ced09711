//! NATS request and reply: call a service by its subject, on whichever machine it runs.
//!
//! A subject is a name to which messages are sent. A caller sends its request to the
//! subject of a service, with an address for the reply. The instances of a service
//! subscribe as one queue group, and the server gives each request to one instance. An
//! instance that stops still answers the requests that it has received.
//!
//! `Client::publish` only queues a message for a task in the background. A program that
//! ends then loses it: await `client.flush()` first.
//!
//! Bounds: In `Limits` you set how many handlers run concurrently, how long each may run,
//! and how long the stop may take. A message has at most the server's `max_payload`,
//! 1 MiB. Requests for which no handler is free wait in the instance, in its
//! `Subscriber`. If that is full, further requests are dropped, and their callers time
//! out.
//!
//! Trap: If you treat a call that "timed out" as not done, you may do the work twice. The
//! handler may still be running, or only its reply was lost. If you repeat a request,
//! make it idempotent.
//!
//! In production: A `Subscriber` holds 65,536 messages by default
//! (`subscription_capacity`). `event_callback` reports dropped ones as "slow consumers".
//!
//! See also: `nats_work_queue`, `worker_pool`, `graceful_shutdown`.
//!
//! asyncio: asyncio.Semaphore, asyncio.timeout, asyncio.wait

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, RequestErrorKind, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use tokio::select;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The header of a reply that is an error. The `nats` command shows it, too.
const ERROR: &str = "Nats-Service-Error";

/// What one instance of a service allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many handlers run at the same time. At least 1.
    pub handlers: usize,
    /// How long a handler may run. After that its caller is told "timed out".
    pub runtime: Duration,
    /// How long requests are still answered after the stop.
    pub drain: Duration,
}

/// Answers requests until `stop` is cancelled, and then those that have arrived by then.
/// Returns how many handlers it had to abort at the end. If the client is closed, it
/// returns before the stop.
///
/// Each handler runs in a task. If a handler panics, its caller times out. A reply that
/// is too long becomes an error. Dropping the future aborts all handlers.
pub async fn serve<F, Fut, E>(
    client: Client,
    mut requests: Subscriber,
    limits: Limits,
    stop: CancellationToken,
    handler: F,
) -> usize
where
    F: Fn(Bytes) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Bytes, E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut handlers = JoinSet::new();
    let handler = Arc::new(handler);
    let start = |request: Message, handlers: &mut JoinSet<()>| {
        let (client, handler) = (client.clone(), Arc::clone(&handler));
        handlers.spawn(async move {
            // Called in the task as well: it may panic before it returns its future.
            let handling = async { handler(request.payload).await };
            let reply = match timeout(limits.runtime, handling).await {
                Ok(result) => result.map_err(|error| error.to_string()),
                Err(_) => Err("timed out".to_owned()),
            };
            let Some(to) = request.reply else { return };
            let error = match reply {
                Err(error) => error,
                Ok(reply) => match client.publish(to.clone(), reply).await {
                    Ok(()) => return,
                    Err(error) => error.to_string(),
                },
            };
            // A line break would end the header. A longer text might not fit into it.
            let line = error.chars().map(|it| if it < ' ' { ' ' } else { it });
            let line: String = line.take(1000).collect();
            let mut headers = HeaderMap::new();
            headers.insert(ERROR, line);
            // Fails only if the client is closed.
            let _sent = client.publish_with_headers(to, headers, Bytes::new()).await;
        });
    };
    select! {
        () = handle_all(&mut requests, &mut handlers, limits.handlers, &start) => {}
        () = stop.cancelled() => {}
    }
    // The server sends no more, and the stream ends after what has arrived.
    let rest = async {
        requests.drain().await.ok();
        handle_all(&mut requests, &mut handlers, limits.handlers, &start).await;
    };
    let _late = timeout(limits.drain, rest).await;
    let aborted = handlers.len();
    handlers.shutdown().await;
    // A reply is on its way only after the flush.
    let _flushed = timeout(limits.drain, client.flush()).await;
    aborted
}

/// Starts a handler for each request. Returns when the requests have ended and all
/// handlers have finished.
async fn handle_all(
    requests: &mut Subscriber,
    handlers: &mut JoinSet<()>,
    at_once: usize,
    start: &impl Fn(Message, &mut JoinSet<()>),
) {
    let mut ended = false;
    loop {
        select! {
            Some(_) = handlers.join_next() => {}
            request = requests.next(), if !ended && handlers.len() < at_once => {
                match request {
                    Some(request) => start(request, handlers),
                    None => ended = true,
                }
            }
            else => return,
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no service listens")]
    NoResponders,
    #[error("timed out")]
    TimedOut,
    /// The handler failed, in these words.
    #[error("{0}")]
    Failed(String),
    #[error("cannot send the request")]
    Request(#[source] async_nats::RequestError),
}

/// Sends a request, and returns the reply. While the connection is lost the request
/// waits, within the time limit; it may be sent after the caller has timed out.
///
/// Dropping the future does not stop the handler.
pub async fn call(
    client: &Client,
    subject: impl Into<String>,
    payload: impl Into<Bytes>,
    limit: Duration,
) -> Result<Bytes, CallError> {
    let request = async_nats::Request::new()
        .payload(payload.into())
        .timeout(None);
    let reply = match timeout(limit, client.send_request(subject.into(), request)).await {
        Err(_) => return Err(CallError::TimedOut),
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => match error.kind() {
            RequestErrorKind::NoResponders => return Err(CallError::NoResponders),
            RequestErrorKind::TimedOut => return Err(CallError::TimedOut),
            _ => return Err(CallError::Request(error)),
        },
    };
    let headers = reply.headers.as_ref();
    match headers.and_then(|headers| headers.get(ERROR)) {
        Some(error) => Err(CallError::Failed(error.to_string())),
        None => Ok(reply.payload),
    }
}

/// Calls a service that greets, as another machine could: `cargo run -- Ada`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("NATS_URL").map_err(|_| "set NATS_URL=nats://HOST:PORT")?;
    let options = async_nats::ConnectOptions::new();
    // A server that is silent for two pings is taken for lost.
    let options = options.ping_interval(Duration::from_secs(10));
    let client = options.connect(url).await?;
    let stop = CancellationToken::new();
    let limits = Limits {
        handlers: 100,
        runtime: Duration::from_secs(10),
        drain: Duration::from_secs(5),
    };
    let greet = async |name: Bytes| {
        let name = String::from_utf8_lossy(&name).into_owned();
        Ok::<_, String>(format!("Hello, {name}").into())
    };
    let requests = client.queue_subscribe("greet", "greet".into()).await?;
    let service = serve(client.clone(), requests, limits, stop.clone(), greet);
    let service = tokio::spawn(service);
    for name in std::env::args().skip(1) {
        let reply = call(&client, "greet", name, Duration::from_secs(1)).await?;
        println!("{}", String::from_utf8_lossy(&reply));
    }
    stop.cancel();
    service.await?;
    Ok(())
}

//@ clock: real
//@ order: is greeted
//@ order: reply: Hello
//@ try: Ada -> Hello, Ada
