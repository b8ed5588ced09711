//! Call a server over gRPC with a time limit that holds for all servers behind it, too.
//!
//! The crate for gRPC is tonic. A `Deadline`, a struct of this file, is the time at
//! which a call must be over. The client sends the remaining time in the header
//! grpc-timeout; a server reads it with `Deadline::of`, and passes what is left to its
//! own calls. In Python these are `timeout=` of a call and `context.time_remaining()`.
//!
//! If the client drops a call or a stream, the server drops the handler. Keep the tasks
//! that a handler starts in a `JoinSet`, so that they end with the handler. If the server
//! answers a client's stream before the stream ends, the call returns the answer, and the
//! rest of the stream is dropped.
//!
//! `tonic::transport::Channel` is the client's connection. If the server was away, the
//! channel connects again at the next call, but it does not repeat the failed call. A
//! graceful shutdown of a server waits for open streams: end them by a
//! `CancellationToken`.
//!
//! Bounds: A call ends after the constant `MOST` at the latest. A received message of
//! more than 4 MiB is an error ("decoded message length too large"); to allow more,
//! call `max_decoding_message_size()` on both sides.
//!
//! Trap: If you set only the timeout of a request, a stream may last forever, because
//! that timeout ends when the response begins. Wrap the stream in `Deadline::stream`.
//!
//! Trap: If you look for the code `DeadlineExceeded`, as other languages return it, you
//! miss timeouts. tonic's own timeout returns the code `Cancelled` with the message
//! "Timeout expired". Make the call by `Deadline::call`, which returns
//! `DeadlineExceeded`.
//!
//! In production: `Channel::balance_list` of tonic spreads calls over several servers,
//! but keeps trying a server that is down. When one of two servers was down, a third of
//! the calls failed with `Unavailable`. Repeat such a call if it is idempotent. While the
//! list is empty, calls wait.
//!
//! See also: `nats_request_reply`, `retry`, `rpc_over_one_connection`.
//!
//! asyncio: asyncio.timeout, asyncio.timeout_at

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::stream::{Stream, StreamExt, unfold};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};
use tonic::transport::{Endpoint, Error, Server};
use tonic::{Code, Request, Status};

/// The most time of a call whose client sets no limit.
pub const MOST: Duration = Duration::from_secs(60);

/// The time at which a call is over, with all the calls that it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns a deadline that is over after `limit`, or after [`MOST`].
    pub fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit.min(MOST))
    }

    /// Returns the deadline that the client sent. Call it as soon as the handler begins.
    pub fn of<T>(request: &Request<T>) -> Self {
        let header = request.metadata().get("grpc-timeout");
        let limit = header.and_then(|value| parse(value.to_str().ok()?));
        Self::after(limit.unwrap_or(MOST))
    }

    /// Returns the time that is left, which may be zero.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns a request that carries what is left to the server.
    pub fn request<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.left());
        request
    }

    /// Awaits a call, or any other work. Drops it at the deadline: the server is
    /// informed.
    ///
    /// # Errors
    ///
    /// Those of the call, and `DeadlineExceeded`. The server may have done its work.
    pub async fn call<T>(
        self,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        if self.left().is_zero() {
            // Without an await, a caller that retries would never be cancelled.
            yield_now().await;
            return Err(exceeded());
        }
        let ended = timeout_at(self.0, call).await;
        ended.unwrap_or_else(|_| Err(exceeded())).map_err(rename)
    }

    /// Returns the messages that come before the deadline, then `DeadlineExceeded`. The
    /// stream is dropped at its first error, which tells the other side.
    ///
    /// The deadline is seen when the stream is polled. A server polls it while its client
    /// reads.
    pub fn stream<T, S>(self, stream: S) -> impl Stream<Item = Result<T, Status>> + Send
    where
        T: Send,
        S: Stream<Item = Result<T, Status>> + Send,
    {
        unfold(Some(Box::pin(stream)), move |stream| async move {
            let mut stream: Pin<Box<S>> = stream?;
            let next = async { stream.next().await.transpose() };
            let item = self.call(next).await.transpose()?;
            let rest = item.is_ok().then_some(stream);
            Some((item, rest))
        })
    }
}

fn exceeded() -> Status {
    Status::deadline_exceeded("the deadline is over")
}

/// Gives tonic's own errors the codes that other languages use.
fn rename(status: Status) -> Status {
    let is_local = status.source().is_some();
    match (status.code(), status.message()) {
        (Code::Cancelled, "Timeout expired") => exceeded(),
        // The connection was about to close, or it broke.
        (Code::Cancelled, text @ "operation was canceled") => Status::unavailable(text),
        (Code::Unknown, text) if is_local => Status::unavailable(text),
        _ => status,
    }
}

/// Reads the header: up to eight digits and a unit.
fn parse(header: &str) -> Option<Duration> {
    let (digits, unit) = header.split_at_checked(header.len().checked_sub(1)?)?;
    let is_number =
        (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// Returns whether a call may succeed when it is repeated after a pause. The server may
/// have done its work, so repeat only what is idempotent.
pub fn may_retry(status: &Status) -> bool {
    status.code() == Code::Unavailable
}

/// Returns a client's settings. During a call, a server that does not answer a ping is
/// gone after twice that `silence`, and its calls fail.
///
/// A server in another language refuses pings that come more often than every 5 minutes
/// ("too_many_pings"), unless its own settings allow it.
pub fn endpoint(uri: String, silence: Duration) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(uri)?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(silence)
        .keep_alive_timeout(silence))
}

/// Returns a server's settings. A client that does not answer a ping is gone after twice
/// that `silence`, and its handlers are dropped. A call ends after [`MOST`], even if its
/// message never comes: a [`Deadline`] begins with the handler.
///
/// More than `calls` concurrent calls of one connection wait in their client. Not with
/// `concurrency_limit_per_connection`, where their time begins when it is their turn.
pub fn server(silence: Duration, calls: u32) -> Server {
    Server::builder()
        .timeout(MOST)
        .max_concurrent_streams(calls)
        .http2_keepalive_interval(Some(silence))
        .http2_keepalive_timeout(Some(silence))
}

/// Asks a server for its health: `cargo run -- http://localhost:50051`.
///
/// The messages and the call are those that a build script makes of a .proto file, with
/// `tonic-prost-build`. Here they are written by hand.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    #[derive(Clone, PartialEq, prost::Message)]
    struct HealthRequest {
        #[prost(string, tag = "1")]
        service: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct HealthReply {
        #[prost(int32, tag = "1")]
        status: i32,
    }
    let uri = std::env::args().nth(1);
    let uri = uri.ok_or("usage: http://HOST:PORT")?;
    let channel = endpoint(uri, Duration::from_secs(300))?.connect_lazy();
    let deadline = Deadline::after(Duration::from_secs(10));
    let asking = async {
        let mut client = tonic::client::Grpc::new(channel);
        let ready = client.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = tonic::codegen::http::uri::PathAndQuery::from_static(
            "/grpc.health.v1.Health/Check",
        );
        let codec = tonic_prost::ProstCodec::<_, HealthReply>::default();
        let request = deadline.request(HealthRequest::default());
        client.unary(request, path, codec).await
    };
    match deadline.call(asking).await {
        Ok(reply) => println!("status {}; 1 is healthy", reply.into_inner().status),
        Err(status) => println!("no health, retry {}: {status}", may_retry(&status)),
    }
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1 -> no health
