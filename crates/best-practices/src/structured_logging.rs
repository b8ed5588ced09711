//! Structured logging: request ids in log lines (logfmt, JSON), also from spawned tasks.
//!
//! A tracing span is the contextvar: `instrument` enters it at each poll of a future and
//! leaves it after. The first trap is to hold `span.entered()` over an await: the span
//! stays the current one of the thread, and two requests in a `join!` write each other's
//! ids. A task refuses it, `main` does not; clippy warns if `tracing::span::EnteredSpan`
//! is in clippy.toml's `await-holding-invalid-types`. The second is `spawn`: a task of
//! asyncio has a copy of the context, one of Tokio has no span until it gets
//! `in_current_span`. The third is `#[instrument]`, which records all arguments,
//! passwords too: write `skip_all`. The feature `json` of tracing-subscriber writes JSON
//! in place of this logfmt, `env-filter` sets levels by module, and the crate
//! `tracing-appender` writes from a thread of its own.
//!
//! asyncio: contextvars.ContextVar, logging.Filter, asyncio.create_task, asyncio.gather
//! send: no (a guard over an await is shown, and no task may have one)
//! differs: a task inherits the context in asyncio; a guard over an await is right there

use std::error::Error;
use std::fmt;
use std::io;
use std::mem;
use std::time::Duration;

use tokio::join;
use tokio::time::sleep;
use tracing::field::{Empty, Field, Visit};
use tracing::{Event, Instrument, Level, Span, Subscriber, error_span, info, warn};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{
    FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Writes an event as one line: its level, its message as `msg`, its fields, and those of
/// the spans that it is in, from the outermost on. The time is left to what collects the
/// lines (journald and Docker note it).
pub struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = event.metadata().level().as_str().to_lowercase();
        write!(writer, "level={level} ")?;
        context.format_fields(writer.by_ref(), event)?;
        let spans = context.event_scope().into_iter();
        for span in spans.flat_map(Scope::from_root) {
            let extensions = span.extensions();
            if let Some(fields) = extensions.get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, " {fields}")?;
            }
        }
        writeln!(writer)
    }
}

impl<'a> FormatFields<'a> for Logfmt {
    fn format_fields<R: RecordFields>(
        &self,
        writer: Writer<'a>,
        fields: R,
    ) -> fmt::Result {
        let mut pairs = Pairs {
            writer,
            separator: "",
            result: Ok(()),
        };
        fields.record(&mut pairs);
        pairs.result
    }
}

struct Pairs<'a> {
    writer: Writer<'a>,
    separator: &'static str,
    result: fmt::Result,
}

impl Visit for Pairs<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let name = match field.name() {
            "message" => "msg",
            name => name,
        };
        // What would end the value or the line is quoted, so no value forges a line.
        let is_plain = |c: char| c.is_alphanumeric() || "-_.:/[]".contains(c);
        let separator = mem::replace(&mut self.separator, " ");
        let written = if !value.is_empty() && value.chars().all(is_plain) {
            write!(self.writer, "{separator}{name}={value}")
        } else {
            write!(self.writer, "{separator}{name}={value:?}")
        };
        self.result = self.result.and(written);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// What takes the log: lines of this level and above go to the writer, one call of
/// `write_all` for each. `io::stdout` is a writer, and so is a buffer of a test.
pub fn subscriber<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_max_level(level)
        .event_format(Logfmt)
        .fmt_fields(Logfmt)
        .with_writer(writer)
        .finish()
}

/// A text for no log: its `Debug` hides it, also in a struct that derives `Debug`. The
/// crate `secrecy` has one that wipes its memory, too.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Hides the text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for whoever has to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A span for all that is logged for one request; its user is filled in later. With
/// `info_span!` the id would be gone at the level `WARN`, which turns off the span, too.
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

/// The mistake: while it waits, its span is the current one for all on this thread.
async fn handle_with_a_guard(id: u32) {
    let _entered = request(id).entered();
    info!("received");
    sleep(Duration::from_millis(100) * id).await;
    info!("answered");
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing::subscriber::set_global_default(subscriber(Level::INFO, io::stdout))?;

    println!("Two requests at once:");
    join!(
        handle("ada").instrument(request(1)),
        handle("bob").instrument(request(2)),
    );

    println!("A task that is told its request, and one that is not:");
    async {
        tokio::spawn(send_mail().in_current_span()).await?;
        tokio::spawn(send_mail()).await
    }
    .instrument(request(3))
    .await?;

    println!("Two requests at once, each with a guard over its await:");
    join!(handle_with_a_guard(4), handle_with_a_guard(5));

    println!("A secret, and a name with a line in it:");
    let token = Secret::new("hunter2".to_owned());
    let name = "eve\nlevel=error msg=forged";
    info!(?token, length = token.reveal().len(), name, "signed in");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
