//! RPC over one connection: many callers share it, and replies come in any order.
//!
//! Many tasks call a server concurrently over one connection. A message (a frame) is a
//! length, the number of the call, and the payload or an error. `LengthDelimitedCodec`
//! of tokio-util reads and writes the length. One task owns the connection: it writes
//! requests, reads replies, and finds the caller of a reply in a map. If the connection
//! breaks, all calls fail. The function `answer` is the server's side of one
//! connection; accept connections as in `servers`.
//!
//! Bounds: In `Limits` you set the largest payload, how long a call may take, and how
//! long a connection may be silent. Each side holds at most `calls` requests and as many
//! replies; further calls wait.
//!
//! Trap: If callers write to the connection themselves, a caller that is dropped in
//! `write_all` has sent half a frame, and the peer misreads all later frames. In
//! asyncio this cannot happen, because `write` does not await. Let one task write.
//!
//! Trap: If your task reads replies only after it has written, and the server does the
//! same, each may wait forever until the other reads. Read and write concurrently.
//!
//! See also: `replies_by_number`, `reconnecting_client`, `protocols`, `servers`.
//!
//! asyncio: asyncio.StreamReader.readexactly, loop.create_future, asyncio.Future

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::{SinkExt, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio::try_join;
use tokio_util::bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use tokio_util::task::AbortOnDropHandle;

/// What both sides allow.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest payload of a request or a reply, in bytes.
    pub payload: usize,
    /// How many calls of a connection are in flight at the same time. Further calls
    /// wait. At least one.
    pub calls: usize,
    /// The time for a call, for its handler, and to write a frame.
    pub call: Duration,
    /// The server's time for the next request. More than `call`: a client that waits for
    /// a reply may send nothing.
    pub idle: Duration,
}

fn codec(limits: Limits) -> LengthDelimitedCodec {
    let mut codec = LengthDelimitedCodec::new();
    codec.set_max_frame_length(limits.payload.saturating_add(size_of::<u64>()));
    codec
}

fn frame(number: u64, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(size_of::<u64>() + payload.len());
    frame.put_u64(number);
    frame.put_slice(payload);
    frame.freeze()
}

/// Why a call has no reply.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// The request was not sent.
    #[error("the request has {size} bytes, and at most {most} are allowed")]
    TooLarge { size: usize, most: usize },
    /// The server may have carried out the call, or may still do so.
    #[error("no reply in time")]
    TimedOut,
    /// The server may have carried out the call.
    #[error("the connection is lost")]
    Lost(#[source] Option<Arc<io::Error>>),
}

type Request = (Bytes, oneshot::Sender<Bytes>);

/// A connection that many tasks share, each with a clone. When the last clone is dropped,
/// the server has the time `call` to handle what was sent, and to end its side.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    permits: Arc<Semaphore>,
    lost: Arc<OnceLock<Arc<io::Error>>>,
    limits: Limits,
}

impl Client {
    /// Spawns the task of the connection.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn new<S>(stream: S, limits: Limits) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (requests, receiver) = mpsc::channel(1);
        let permits = Arc::new(Semaphore::new(limits.calls.min(Semaphore::MAX_PERMITS)));
        let lost = Arc::default();
        tokio::spawn(exchange(stream, receiver, Arc::clone(&lost), limits));
        Self {
            requests,
            permits,
            lost,
            limits,
        }
    }

    /// Sends a request, and returns the payload of its reply.
    ///
    /// Cancel safety: a dropped call has sent its request in full or not at all. Its
    /// reply is ignored.
    pub async fn call(&self, request: Bytes) -> Result<Bytes, CallError> {
        let (size, most) = (request.len(), self.limits.payload);
        if size > most {
            return Err(CallError::TooLarge { size, most });
        }
        let calling = async {
            let _permit = self.permits.acquire().await;
            let (caller, reply) = oneshot::channel();
            // If the connection is lost, `caller` is dropped, and `reply` fails.
            let _ = self.requests.send((request, caller)).await;
            let lost = |_| CallError::Lost(self.lost.get().cloned());
            reply.await.map_err(lost)
        };
        let called = timeout(self.limits.call, calling).await;
        called.unwrap_or(Err(CallError::TimedOut))
    }
}

/// Writes and reads concurrently, until the connection is lost or has no client.
async fn exchange<S: AsyncRead + AsyncWrite>(
    stream: S,
    mut requests: mpsc::Receiver<Request>,
    lost: Arc<OnceLock<Arc<io::Error>>>,
    limits: Limits,
) {
    let (reader, writer) = split(stream);
    let mut replies = FramedRead::new(reader, codec(limits));
    let mut writer = FramedWrite::new(writer, codec(limits));
    let callers = Mutex::new(HashMap::new());
    let callers = || callers.lock().unwrap_or_else(PoisonError::into_inner);
    let writing = async {
        let mut number = 0;
        while let Some((request, caller)) = requests.recv().await {
            number += 1;
            // Callers that have given up leave when there is no room.
            if callers().len() >= limits.calls {
                callers()
                    .retain(|_, caller: &mut oneshot::Sender<_>| !caller.is_closed());
            }
            // Before the request, as the reply may come immediately.
            callers().insert(number, caller);
            timeout(limits.call, writer.send(frame(number, &request))).await??;
        }
        timeout(limits.call, writer.get_mut().shutdown()).await??;
        // Until then the server may end its side, after all requests and replies.
        sleep(limits.call).await;
        Err::<(), io::Error>(ErrorKind::NotConnected.into())
    };
    let reading = async {
        while let Some(reply) = replies.next().await {
            let mut reply = reply?;
            let number = reply.try_get_u64()?;
            let caller = callers().remove(&number);
            // The reply of a caller that has given up has nowhere to go.
            let _ = caller.map(|caller| caller.send(reply.freeze()));
        }
        Err::<(), io::Error>(ErrorKind::UnexpectedEof.into())
    };
    if let Err(error) = try_join!(writing, reading) {
        // Now the callers and those in the channel are dropped, and read this.
        let _ = lost.set(Arc::new(error));
    }
}

/// Serves one client: calls the handler with each request, in its own task. Returns
/// when the client has ended its side and has its replies.
///
/// A handler that panics or takes too long sends no reply. If the connection breaks, or
/// the future is dropped, the running handlers are dropped.
///
/// # Errors
///
/// `TimedOut` if the client is idle or does not read, otherwise the connection's error.
pub async fn answer<S, F, Fut>(stream: S, limits: Limits, handle: F) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
    F: Fn(Bytes) -> Fut,
    Fut: Future<Output = Bytes> + Send + 'static,
{
    let (reader, writer) = split(stream);
    let reader = FramedRead::new(reader, codec(limits));
    let mut writer = FramedWrite::new(writer, codec(limits));
    let requests = stream::try_unfold(reader, |mut reader| async move {
        let request = timeout(limits.idle, reader.next()).await?.transpose()?;
        io::Result::Ok(request.map(|request| (request, reader)))
    });
    let replies = requests.map(|request| async {
        let mut request = request?;
        let number = request.try_get_u64()?;
        // The closure itself may panic, before there is a future.
        let call = AssertUnwindSafe(|| handle(request.freeze()));
        let Ok(called) = catch_unwind(call) else {
            return Ok(None);
        };
        let handler = AbortOnDropHandle::new(tokio::spawn(called));
        let handled = timeout(limits.call, handler).await.ok();
        let reply = handled.and_then(|handled| handled.ok());
        io::Result::Ok(reply.map(|reply| frame(number, &reply)))
    });
    let mut replies = pin!(replies.buffer_unordered(limits.calls));
    while let Some(reply) = replies.next().await {
        if let Some(reply) = reply? {
            // The handlers keep running meanwhile.
            timeout(limits.call, writer.send(reply)).await??;
        }
    }
    timeout(limits.call, writer.get_mut().shutdown()).await?
}

/// Starts a server, and calls it with each argument: `cargo run -- one two`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let limits = Limits {
        payload: 1 << 20,
        calls: 100,
        call: Duration::from_secs(10),
        idle: Duration::from_secs(60),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let connecting = tokio::net::TcpStream::connect(listener.local_addr()?);
    let (client, (server, _)) = try_join!(connecting, listener.accept())?;
    let upper = |text: Bytes| async move { text.to_ascii_uppercase().into() };
    let server = tokio::spawn(answer(server, limits, upper));
    let client = Client::new(client, limits);
    let calls = std::env::args()
        .skip(1)
        .map(|text| client.call(text.into()));
    for reply in futures::future::try_join_all(calls).await? {
        println!("{}", String::from_utf8_lossy(&reply));
    }
    drop(client);
    Ok(server.await??)
}

//@ clock: real
//@ try: one two -> TWO
