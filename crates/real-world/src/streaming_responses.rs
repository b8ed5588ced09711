//! Streaming responses: server-sent events and JSON lines, sent by axum and read lazily.
//!
//! A handler returns a stream of items, as a FastAPI handler yields them. Each item is
//! sent immediately. If the client is slow, the stream waits for the client. If the
//! client leaves, the stream is dropped at its current await. The functions for clients
//! read one item at a time. An open stream holds up the shutdown of `axum::serve`;
//! `http_server` ends such streams.
//!
//! Bounds: The client functions of this file return an error for an item of more than
//! [`MAX_ITEM`] bytes. Unbounded on the server: the length of a stream, and the time of a
//! client that does not read. `http_server` limits both.
//!
//! Trap: If you set `timeout` on a reqwest client, it cuts off a long stream, because it
//! limits the whole response. Set `read_timeout` instead, which limits the wait for each
//! piece. But `read_timeout` also limits the whole time in which a request's body is
//! sent. For uploads, use a second client without `read_timeout`.
//!
//! Trap: If you feed the stream from a task through a channel, the task does not notice
//! that the client has left until its next `send` fails. Until then it works for nobody.
//! Let the task stop when `closed()` of its sender returns.
//!
//! See also: `http_server`, `client_disconnects`, `websocket_server`, `generator`.
//!
//! asyncio: async for, yield, asyncio.CancelledError

use std::future::ready;
use std::io;
use std::mem::take;

use async_stream::try_stream;
use axum::body::Body;
use axum::http::header;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio_util::bytes::{Buf, BytesMut};
use tokio_util::codec::{Decoder, FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

/// The largest line or event that a client accepts, in bytes.
pub const MAX_ITEM: usize = 100_000;

/// Returns a response that sends each item as an event, in JSON.
///
/// While there is no item, a comment goes to the client every 15 s: then no proxy takes
/// the connection for dead. If an item is an error, the connection breaks off.
pub fn events<T, E>(items: impl Stream<Item = Result<T, E>> + Send + 'static) -> Response
where
    T: Serialize,
    E: std::error::Error + Send + Sync + 'static,
{
    let events = items.map(|item| {
        let event = item.map_err(axum::Error::new)?;
        sse::Event::default().json_data(event)
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// Returns a response that sends each item as a line of JSON. If an item is an error, the
/// connection breaks off: the status 200 cannot be changed any more. A client may get
/// neither the status nor the items that were ready at the same time.
pub fn json_lines<T, E>(
    items: impl Stream<Item = Result<T, E>> + Send + 'static,
) -> Response
where
    T: Serialize,
    E: std::error::Error + Send + Sync + 'static,
{
    let lines = items.map(|item| {
        let mut line = serde_json::to_vec(&item.map_err(axum::Error::new)?)
            .map_err(axum::Error::new)?;
        line.push(b'\n');
        Ok::<_, axum::Error>(line)
    });
    let content_type = [(header::CONTENT_TYPE, "application/jsonl")];
    (content_type, Body::from_stream(lines)).into_response()
}

/// Why there is no further item.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("more than {MAX_ITEM} bytes")]
    TooLarge,
    #[error("the stream broke off")]
    BrokeOff(#[from] io::Error),
    #[error("not the JSON that was expected")]
    Json(#[from] serde_json::Error),
}

/// An event that a server has sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type; empty for a plain message.
    pub event: String,
    pub data: String,
    /// The newest id so far. Send it as `Last-Event-ID` when you connect again.
    pub id: String,
}

fn lines<D: Decoder>(
    response: reqwest::Response,
    codec: D,
) -> FramedRead<impl AsyncRead + Send, D> {
    let bytes = response.bytes_stream().map_err(io::Error::other);
    FramedRead::new(StreamReader::new(bytes), codec)
}

/// Returns the items of a response whose body is JSON lines. Check its status first.
/// Dropping the stream closes the connection. Empty lines, which some servers send as
/// heartbeats, are skipped.
///
/// The last line needs no line end, so a body that was cut off may pass for a whole one:
/// `12` of `1234`. If your server ends each line, or sends a length, check that.
pub fn read_json_lines<T: DeserializeOwned + Send>(
    response: reqwest::Response,
) -> impl Stream<Item = Result<T, StreamError>> + Send {
    let codec = LinesCodec::new_with_max_length(MAX_ITEM);
    lines(response, codec).filter_map(|line| {
        ready(match line {
            Ok(line) => {
                let json = line.trim_start_matches(BYTE_ORDER_MARK).trim();
                let item = || serde_json::from_str(json).map_err(StreamError::from);
                (!json.is_empty()).then(item)
            }
            Err(LinesCodecError::MaxLineLengthExceeded) => {
                Some(Err(StreamError::TooLarge))
            }
            Err(LinesCodecError::Io(error)) => Some(Err(error.into())),
        })
    })
}

const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// The lines of a stream of events, which end with CR, LF or both. Bytes that are not
/// UTF-8 are replaced.
#[derive(Default)]
struct EventLines {
    /// How many bytes hold no line end.
    searched: usize,
    /// Whether the last line ended with CR: then an LF belongs to it.
    after_cr: bool,
}

impl Decoder for EventLines {
    type Item = String;
    type Error = StreamError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<String>, StreamError> {
        if self.after_cr && !buffer.is_empty() {
            self.after_cr = false;
            if buffer[0] == b'\n' {
                buffer.advance(1);
            }
        }
        let mut rest = buffer[self.searched..].iter();
        let Some(end) = rest.position(|byte| matches!(byte, b'\r' | b'\n')) else {
            self.searched = buffer.len();
            return match self.searched {
                0..=MAX_ITEM => Ok(None),
                _ => Err(StreamError::TooLarge),
            };
        };
        let line = buffer.split_to(self.searched + end);
        self.searched = 0;
        self.after_cr = buffer.get_u8() == b'\r';
        if line.len() > MAX_ITEM {
            return Err(StreamError::TooLarge);
        }
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    fn decode_eof(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<String>, StreamError> {
        let line = self.decode(buffer)?;
        if line.is_none() {
            // A line that was cut off.
            buffer.clear();
        }
        Ok(line)
    }
}

/// Returns the events of a response. Check its status first. Dropping the stream closes
/// the connection. An event that is cut off at the end is left out. The fields are read
/// as a browser reads them; `retry` is ignored.
pub fn read_events(
    response: reqwest::Response,
) -> impl Stream<Item = Result<Event, StreamError>> + Send {
    try_stream! {
        let mut next = Event::default();
        let mut is_first = true;
        for await line in lines(response, EventLines::default()) {
            let mut line = line?;
            if take(&mut is_first) && line.starts_with(BYTE_ORDER_MARK) {
                line.remove(0);
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                // An empty line ends an event. A line that begins with a colon does not.
                "" if line.is_empty() => {
                    let event = take(&mut next.event);
                    let mut data = take(&mut next.data);
                    // Without the last newline. No `data` at all is no event.
                    if data.pop().is_some() {
                        yield Event { event, data, id: next.id.clone() };
                    }
                }
                "event" => next.event = value.to_owned(),
                "id" if !value.contains('\0') => next.id = value.to_owned(),
                "data" => {
                    next.data.push_str(value);
                    next.data.push('\n');
                    if next.data.len() > MAX_ITEM {
                        Err(StreamError::TooLarge)?;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Counts seconds for each client: `cargo run -- 127.0.0.1:8080`, then
/// `curl -N http://127.0.0.1:8080/events`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    let count = async || {
        events(async_stream::stream! {
            let mut seconds = tokio::time::interval(std::time::Duration::from_secs(1));
            for number in 0..60 {
                seconds.tick().await;
                yield Ok::<_, std::convert::Infallible>(number);
            }
        })
    };
    let routes = axum::Router::new().route("/events", axum::routing::get(count));
    axum::serve(listener, routes).await?;
    Ok(())
}

//@ clock: real
//@ order: server: the stream has ended
//@ try: nowhere -> invalid socket address
