//! Debug async code: list the tasks and what each waits for, find a hang or a busy loop.
//!
//! Tokio has no list of its tasks to print, no names and no stacks. Spans do: put
//! `#[instrument]` on the async functions that matter; a layer that keeps the open spans
//! is `all_tasks` and `print_call_graph` in one, with file and line. Print it after a
//! deadline, or on a signal. What never awaits is still being polled: a thread sees that,
//! even if the poll never ends; the warning of asyncio's debug mode comes at its end. The
//! trap: a `timeout` drops the future in it, and its spans are closed before you look;
//! put it around a wait for tasks, or around `&mut` a pinned future. Each step takes a
//! lock a few times, so no spans in inner loops. Counts of polls: `profiling`. With
//! `--cfg tokio_unstable` there is more: `tokio-console` shows all tasks, and
//! `task::Builder` names them.
//!
//! asyncio: asyncio.all_tasks, asyncio.Task.print_stack, asyncio.current_task
//! asyncio: asyncio.Task.all_tasks, asyncio.Task.current_task, asyncio.Task.get_stack
//! asyncio: asyncio.capture_call_graph, asyncio.format_call_graph
//! asyncio: asyncio.print_call_graph, loop.set_debug, PYTHONASYNCIODEBUG
//! asyncio: asyncio.run(debug=)
//! clock: real

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::join;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber, instrument};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// A layer that keeps the spans that are open. Clones share the list.
#[derive(Clone, Default)]
pub struct OpenSpans(Arc<Mutex<HashMap<Id, OpenSpan>>>);

/// A step that a task has begun and not ended.
#[derive(Clone, Debug)]
pub struct OpenSpan {
    /// The span and the fields it began with, behind those around it:
    /// `order id=1 > sell`.
    pub path: String,
    /// Where in the source it stands, among other things.
    pub metadata: &'static Metadata<'static>,
    /// How many polls of it are under way: none if it waits, several if tasks share it.
    pub polls: i32,
    /// Since when there are any, or none.
    pub since: Instant,
    parent: Option<Id>,
}

/// With its place in the source, which `run` leaves out: it changes with the file.
impl fmt::Display for OpenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let does = if self.polls > 0 { "runs" } else { "waits" };
        let seconds = self.since.elapsed().as_secs_f64();
        let file = self.metadata.file().unwrap_or("?");
        let line = self.metadata.line().unwrap_or(0);
        let path = &self.path;
        write!(f, "{path}, {does} for {seconds:.1} s, {file}:{line}")
    }
}

impl OpenSpans {
    /// The steps that are waiting, each the innermost of its task. One that has spawned
    /// a task is hidden by it, unless the span of that has `parent: None`.
    pub fn waiting(&self) -> Vec<OpenSpan> {
        self.innermost(|span| span.polls == 0)
    }

    /// The steps that have been at work for so long without an await.
    pub fn busy(&self, limit: Duration) -> Vec<OpenSpan> {
        self.innermost(|span| span.polls > 0 && span.since.elapsed() >= limit)
    }

    fn innermost(&self, is_meant: impl Fn(&OpenSpan) -> bool) -> Vec<OpenSpan> {
        let spans = self.lock();
        let meant: Vec<_> = spans.iter().filter(|(_, span)| is_meant(span)).collect();
        let parents = meant.iter().filter_map(|(_, span)| span.parent.as_ref());
        let parents: HashSet<&Id> = parents.collect();
        let innermost = meant.iter().filter(|(id, _)| !parents.contains(id));
        let mut found: Vec<OpenSpan> =
            innermost.map(|(_, span)| (*span).clone()).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<Id, OpenSpan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn polled(&self, id: &Id, change: i32) {
        if let Some(span) = self.lock().get_mut(id) {
            let before = span.polls;
            span.polls += change;
            if before == 0 || span.polls == 0 {
                span.since = Instant::now();
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for OpenSpans {
    fn on_new_span(&self, new: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = new.metadata();
        let mut fields = String::new();
        // It writes to a String, which does not fail.
        let _ = DefaultFields::new().format_fields(Writer::new(&mut fields), new);
        let mut path = format!("{} {fields}", metadata.name())
            .trim_end()
            .to_owned();
        let parent = match new.is_contextual() {
            true => context.current_span().id().cloned(),
            false => new.parent().cloned(),
        };
        let mut spans = self.lock();
        if let Some(outer) = parent.as_ref().and_then(|parent| spans.get(parent)) {
            path = format!("{} > {path}", outer.path);
        }
        let span = OpenSpan {
            path,
            metadata,
            polls: 0,
            since: Instant::now(),
            parent,
        };
        spans.insert(id.clone(), span);
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.polled(id, 1);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        self.polled(id, -1);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.lock().remove(&id);
    }
}

/// A thread that looks on while this is kept.
#[must_use = "dropped, it looks no more"]
pub struct Watchdog {
    _stops_when_dropped: Sender<Infallible>,
}

impl Watchdog {
    /// Looks once in each `limit`, and reports each step that has been at work for at
    /// least that long by then. It is reported again only if one within it was, since.
    ///
    /// # Panics
    ///
    /// If the limit is zero.
    pub fn start(
        spans: OpenSpans,
        limit: Duration,
        report: impl Fn(&OpenSpan) + Send + 'static,
    ) -> Self {
        assert!(!limit.is_zero(), "it would look all the time");
        let (_stops_when_dropped, stopped) = channel();
        thread::spawn(move || {
            let (mut next, mut reported) = (Instant::now(), Vec::new());
            loop {
                next += limit;
                let rest = next.saturating_duration_since(Instant::now());
                if stopped.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let busy = spans.busy(limit);
                let news = busy.iter().filter(|span| !reported.contains(&span.since));
                news.for_each(&report);
                reported = busy.iter().map(|span| span.since).collect();
            }
        });
        Self {
            _stops_when_dropped,
        }
    }
}

#[derive(Default)]
pub struct Shop {
    stock: tokio::sync::Mutex<i32>,
    pub(crate) till: tokio::sync::Mutex<i32>,
}

type Opened<'a> = tokio::sync::MutexGuard<'a, i32>;

#[instrument(skip_all)]
async fn open_stock(shop: &Shop) -> Opened<'_> {
    shop.stock.lock().await
}

#[instrument(skip_all)]
async fn open_till(shop: &Shop) -> Opened<'_> {
    shop.till.lock().await
}

#[instrument(skip_all)]
async fn sell(shop: &Shop) {
    let mut stock = open_stock(shop).await;
    sleep(Duration::from_millis(100)).await;
    *open_till(shop).await += 1;
    *stock -= 1;
}

/// Opens the two the other way round.
#[instrument(skip_all)]
async fn take_back(shop: &Shop) {
    let mut till = open_till(shop).await;
    sleep(Duration::from_millis(100)).await;
    *open_stock(shop).await += 1;
    *till -= 1;
}

/// Blocks the thread.
#[instrument(skip_all)]
async fn print_labels(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
    println!("labels printed");
}

#[instrument(skip(shop))]
pub async fn order(id: u32, shop: Arc<Shop>) {
    match id {
        1 => sell(&shop).await,
        2 => take_back(&shop).await,
        3 => print_labels(300).await,
        _ => print_labels(50).await,
    }
}

fn report(spans: &[OpenSpan]) {
    for OpenSpan { path, .. } in spans {
        println!("waits: {path}");
    }
    println!("waiting in all: {}", spans.len());
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let spans = OpenSpans::default();
    tracing_subscriber::registry()
        .with(spans.clone())
        .try_init()?;
    let limit = Duration::from_millis(100);
    let _watchdog = Watchdog::start(spans.clone(), limit, |span| {
        println!("busy: {}", span.path);
    });
    let shop = Arc::new(Shop::default());

    // Each part begins at its time, however long the one before it took.
    let mut part = interval(Duration::from_millis(600));

    part.tick().await;
    println!("Tasks that compute for 0.3 and 0.05 s, and a limit of 0.1 s:");
    sleep(Duration::from_millis(50)).await;
    tokio::spawn(order(3, Arc::clone(&shop))).await?;
    sleep(Duration::from_millis(100)).await;
    tokio::spawn(order(4, Arc::clone(&shop))).await?;

    part.tick().await;
    println!("Two tasks that have not ended after 0.5 s:");
    let patience = Duration::from_millis(500);
    let mut tasks = JoinSet::new();
    tasks.spawn(order(1, Arc::clone(&shop)));
    tasks.spawn(order(2, Arc::clone(&shop)));
    let ended = async { while tasks.join_next().await.is_some() {} };
    if timeout(patience, ended).await.is_err() {
        report(&spans.waiting());
    }
    tasks.shutdown().await;

    part.tick().await;
    println!("The same two without tasks, dropped by their limit:");
    let orders = async { join!(order(1, Arc::clone(&shop)), order(2, shop)) };
    if timeout(patience, orders).await.is_err() {
        report(&spans.waiting());
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
