//! JSON logs of a service, with a level that an operator can change while it runs.
//!
//! Each line has the time, the level, the module and the id of its request. The id is a
//! field of a span of the crate `tracing`. Each request has a span, and the fields of the
//! span are added to each line that the request logs.
//!
//! A filter, an `EnvFilter` of `tracing-subscriber`, is read from `RUST_LOG`. For
//! example, `warn,shop::orders=debug` writes WARN and above, but in the module
//! `shop::orders` also INFO and DEBUG. `LogFilter::set` below replaces the filter at run
//! time, for example on SIGHUP or from an admin endpoint. In Python you would call
//! `setLevel`.
//!
//! Bounds: Unbounded: The length of a line. Writing to stdout blocks the thread, so cut
//! long values before you log them.
//!
//! Trap: If you make the span of a request with `info_span!` and the filter is WARN, the
//! lines of the request have no id. The filter hides the span, because the level of the
//! span is below WARN. If you then change the filter to DEBUG, requests that have already
//! begun still have no id. Make the span with `error_span!`, which only the filter `off`
//! hides.
//!
//! Trap: If the operator mistypes the filter, `EnvFilter::new` ignores the invalid part,
//! and nobody notices. `EnvFilter::try_new` returns an error.
//!
//! Trap: If the filter hides the span that you give to a spawned task, the lines of the
//! task have no id at all, not the id of the outer span. Write
//! `task.instrument(debug_span!(..)).in_current_span()`.
//!
//! See also: `structured_logging`, `task_locals`, `log_errors`.
//!
//! asyncio: contextvars.ContextVar, logging.Filter
//! differs: a level hides a span with its id; a contextvar does not know of levels

use std::time::Duration;

use tokio::time::sleep;
use tracing::{Span, Subscriber, debug, error_span, info};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Changes the filter of a subscriber that is in use.
#[derive(Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

/// Why the filter was not changed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error(transparent)]
    Invalid(#[from] ParseError),
    /// The subscriber is gone.
    #[error(transparent)]
    Reload(#[from] reload::Error),
}

impl LogFilter {
    /// Replaces the filter, for all threads, from the next line on.
    ///
    /// # Errors
    ///
    /// If the text is no filter, or the subscriber is gone. The old filter stays.
    pub fn set(&self, filter: &str) -> Result<(), FilterError> {
        Ok(self.0.reload(parse(filter)?)?)
    }
}

/// Where the text names no level, the level is INFO.
fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("info,{filter}"))
}

/// Returns a subscriber that writes each event as a line of JSON, and the handle that
/// changes its filter. `time` writes the time of a line, as
/// `tracing_subscriber::fmt::time::SystemTime` does. Do not name a field `timestamp`,
/// `level`, `target` or `span`: the key would be in the line twice.
///
/// # Errors
///
/// If the text is no filter.
pub fn json_logs<W, T>(
    filter: &str,
    time: T,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync + use<W, T>, LogFilter), ParseError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    T: FormatTime + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_timer(time)
        .with_writer(writer);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    Ok((subscriber, LogFilter(handle)))
}

/// Returns the span of a request. At the level ERROR, no filter but `off` hides it.
pub fn request(id: u32) -> Span {
    error_span!("request", id)
}

/// Handles one request.
pub async fn handle(path: &str) {
    debug!(path, "received");
    sleep(Duration::from_millis(200)).await;
    debug!("the page is in the cache");
    info!(status = 200, "answered");
}

/// Logs with the filter of its argument: `cargo run -- warn`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use tracing::Instrument as _;

    let filter = std::env::args().nth(1);
    let filter = filter.or_else(|| std::env::var("RUST_LOG").ok());
    let time = tracing_subscriber::fmt::time::SystemTime;
    let (subscriber, _) = json_logs(&filter.unwrap_or_default(), time, std::io::stdout)?;
    tracing::subscriber::set_global_default(subscriber)?;
    handle("/items").instrument(request(1)).await;
    Ok(())
}

//@ try: warn,shop=loud -> ParseError
