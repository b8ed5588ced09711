//! Structured logging: JSON lines with a request id, even from spawned tasks.
//!
//! A span of the crate `tracing`, with fields such as the request id, takes the place
//! of a contextvar. Each line that the future `handle(..).instrument(span)` logs has
//! the fields of the span, under the key `span`. structlog writes them at the top
//! level. Here, only what you write in the log call itself, such as `status = 200`, is
//! moved to the top level, by the setting `flatten_event`.
//!
//! `EnvFilter` reads from the environment variable `RUST_LOG` which levels are logged:
//! `info,shop=debug` means `debug` for the module `shop`, and `info` for all others.
//!
//! For two outputs, such as the terminal and a file, add a `fmt::layer()` for each of
//! them to `tracing_subscriber::registry()`. On one layer, only the last `with_writer`
//! counts.
//!
//! Trap: If you use `EnvFilter::from_default_env()` and `RUST_LOG` is not set, only
//! errors are logged. A default level in the builder of `EnvFilter` helps only while
//! `RUST_LOG` is empty: as soon as an operator sets `RUST_LOG=shop=debug`, all other
//! modules log nothing. Put `info,` before the value of `RUST_LOG`, as `subscriber` below
//! does.
//!
//! Trap: If you spawn a task, its lines have no request id, because a task of Tokio
//! starts without a span. (A task of asyncio copies the context.) Add
//! `.in_current_span()` to the future; in `spawn_blocking`, call `span.in_scope(|| ..)`.
//!
//! Trap: If you put `#[instrument]`, which makes a span of each call, on a function, its
//! arguments are logged, passwords too. Write `#[instrument(skip_all)]`.
//!
//! Trap: If you await while you keep the guard of `span.entered()`, other futures log
//! with your request's id, because the span is active on the thread until the guard is
//! dropped. (In a spawned task, this does not compile.) Write `.instrument(span)`.
//!
//! Trap: If a task receives its work from a channel, the lines have no request id either.
//! Send `Span::current()` with the item, and write `.instrument(span)` where the task
//! handles it.
//!
//! In production: The crate `tracing-appender` writes lines in a separate thread, and
//! begins a file each day with `rolling::daily`. When its queue is full, it drops lines.
//! Keep its `WorkerGuard` in `main`: after the guard is dropped, nothing is written. The
//! crate `secrecy` hides secrets in `Debug`. To change the level at run time, see
//! `json_logs`.
//!
//! asyncio: contextvars.ContextVar, logging.Filter, asyncio.create_task, asyncio.gather
//! differs: a task of asyncio inherits the context, one of Tokio gets none by itself

use std::time::Duration;

use tokio::time::sleep;
use tracing::field::Empty;
use tracing::{Span, Subscriber, error_span, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Returns a subscriber that writes each event as a line of JSON, with its span. The
/// filter is as in `RUST_LOG`, such as `warn,shop::orders=debug`. Invalid parts are left
/// out. Where the filter names no level, it is INFO.
///
/// Do not name a field `level` or `span`: the key would be in the line twice.
///
/// Each line is one call of `write_all`. Lines have no time, because the collector
/// (journald, Docker) adds one. Remove `without_time` to write it.
pub fn subscriber<W>(filter: &str, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_target(false)
        .without_time()
        .with_env_filter(EnvFilter::new(format!("info,{filter}")))
        .with_writer(writer)
        .finish()
}

/// Returns a span for one request, whose user is recorded later. At the level WARN, an
/// `info_span!` would be left out, and the id with it.
pub fn request(id: u32) -> Span {
    error_span!("request", request_id = id, user = Empty)
}

pub async fn handle(user: &str) {
    info!("received");
    sleep(Duration::from_millis(100)).await;
    Span::current().record("user", user);
    sleep(Duration::from_millis(100)).await;
    info!(status = 200, "answered");
}

pub async fn send_mail() {
    sleep(Duration::from_millis(100)).await;
    warn!("the mail is late");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use tracing::Instrument as _;

    let filter = std::env::var("RUST_LOG").unwrap_or_default();
    tracing::subscriber::set_global_default(subscriber(&filter, std::io::stdout))?;

    println!("Two requests at once:");
    tokio::join!(
        handle("ada").instrument(request(1)),
        handle("bob").instrument(request(2)),
    );

    println!("A task that gets the request's context, and one that does not:");
    async {
        tokio::spawn(send_mail().in_current_span()).await?;
        tokio::spawn(send_mail()).await
    }
    .instrument(request(3))
    .await?;

    println!("A name with a line in it:");
    info!(name = "eve\n{\"level\":\"ERROR\"}", "signed in");
    Ok(())
}

//@ order: "answered"
