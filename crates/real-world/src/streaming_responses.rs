//! Streaming responses: server-sent events and JSON lines, sent by axum and read lazily.
//!
//! A handler returns a stream of items, as a FastAPI handler yields them. Each item is
//! sent at once. If the client is slow, the stream waits for it. If the client leaves,
//! the stream is dropped at its await. A client reads one item at a time.
//!
//! Bounds: [`MAX_ITEM`] bytes for a line or an event that is read. unbounded: the stream,
//! and a client that does not read: serve the routes with `http_server`.
//!
//! Trap: the `timeout` of a reqwest client limits the whole response, so it breaks a long
//! stream off. Set `read_timeout` instead: it limits the wait for each piece.
//!
//! Trap: a task that feeds the stream through a channel runs until its `send` fails.
//!
//! See also: `http_server`, `client_disconnects`, `websocket_server`, `generator`.
//!
//! asyncio: async for, yield, asyncio.CancelledError

use std::io;
use std::mem::take;
use std::time::Duration;

use async_stream::try_stream;
use axum::body::Body;
use axum::http::header;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, TryStreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
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
/// connection breaks off: the status 200 is already sent.
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

fn lines(
    response: reqwest::Response,
) -> impl Stream<Item = Result<String, StreamError>> + Send {
    let bytes = response.bytes_stream().map_err(io::Error::other);
    let codec = LinesCodec::new_with_max_length(MAX_ITEM);
    let lines = FramedRead::new(StreamReader::new(bytes), codec);
    lines.map_err(|error| match error {
        LinesCodecError::MaxLineLengthExceeded => StreamError::TooLarge,
        LinesCodecError::Io(error) => StreamError::BrokeOff(error),
    })
}

/// Returns the items of a response whose body is JSON lines. Check its status first.
/// Dropping the stream closes the connection.
pub fn read_json_lines<T: DeserializeOwned + Send>(
    response: reqwest::Response,
) -> impl Stream<Item = Result<T, StreamError>> + Send {
    lines(response).map(|line| Ok(serde_json::from_str(&line?)?))
}

/// Returns the events of a response. Check its status first. Dropping the stream closes
/// the connection. An event that is cut off at the end is left out.
pub fn read_events(
    response: reqwest::Response,
) -> impl Stream<Item = Result<Event, StreamError>> + Send {
    try_stream! {
        let mut next = Event::default();
        for await line in lines(response) {
            let line = line?;
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
                "id" => next.id = value.to_owned(),
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
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
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
