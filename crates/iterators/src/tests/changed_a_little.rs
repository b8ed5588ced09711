//! The changes that readers make first, tried on the public items: into a struct, into a
//! spawned task, an error type of one's own, generic, and one item more. Nothing runs
//! here: the check is that it compiles. `compile-fail` has what the compiler refuses.
#![expect(dead_code, reason = "it only has to compile")]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio_stream::adapters::ChunksTimeout;
use tokio_util::sync::CancellationToken;

use crate::blocking_iterator::blocking_stream;
use crate::bounded_fetch_with_failures::{self, Client, FetchError};
use crate::chunks_timeout::chunks_timeout;
use crate::close_a_stream::{self, RowLost};
use crate::deadline_for_the_loop::{SumError, sum};
use crate::either_stream::{Source, above, prices};
use crate::fallible_stream::{NotANumber, lenient, strict};
use crate::fetch_stream;
use crate::for_each_concurrent::{Refused, send_to_all};
use crate::generator::{async_range, readings};
use crate::interval_stream::ticks;
use crate::moving_window::windows;
use crate::paused_stream::pausable;
use crate::recursive_generator::{Comment, walk};
use crate::stop_a_stream::handle_until;
use crate::stream_by_hand::Counter;
use crate::stream_in_a_struct::Watcher;
use crate::stream_processor::{Failure, processed, records};
use crate::two_way_generator::{Averager, averages};
use crate::unfold_a_cursor::{ConnectionLost, Cursor, rows};

const SECOND: Duration = Duration::from_secs(1);

struct App {
    numbers: BoxStream<'static, u32>,
    counter: Counter,
    batches: Pin<Box<ChunksTimeout<BoxStream<'static, u32>>>>,
    averager: Averager,
    watchers: BTreeMap<u32, Watcher>,
    rows: BoxStream<'static, Result<String, AppError>>,
    shared: Arc<Mutex<BoxStream<'static, u32>>>,
    paused: watch::Sender<bool>,
    source: Source,
    writer: JoinHandle<()>,
    client: Client,
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("a task has ended")]
    Task(#[from] JoinError),
    #[error(transparent)]
    Cursor(#[from] ConnectionLost),
    #[error(transparent)]
    Row(#[from] RowLost),
    #[error(transparent)]
    Number(#[from] NotANumber),
    #[error(transparent)]
    Sum(#[from] SumError),
    #[error(transparent)]
    Message(#[from] Refused),
    #[error(transparent)]
    Record(#[from] Failure),
    #[error(transparent)]
    Page(#[from] FetchError),
}

impl App {
    fn new(stop: CancellationToken) -> Self {
        let (lost, writer) = close_a_stream::rows(3);
        let cursors = rows(Cursor::new(3, None)).map_err(AppError::from);
        let lost = lost.map(|row| Ok(row?.to_string()));
        let mut shared = SelectAll::new();
        shared.push(readings(3).boxed());
        shared.push(ticks(stop).map(|_| 0).boxed());
        shared.push(records().take(3).boxed());
        shared.push(blocking_stream(vec![1, 2]).boxed());
        let (paused, running) = watch::channel(true);
        let source = Source::Saved(vec![1, 2]);
        let live = above(prices(source.clone()), Some(1));
        shared.push(pausable(live, running).boxed());
        Self {
            numbers: averages(async_range(0..3, SECOND)).boxed(),
            counter: Counter::new(0..3, SECOND),
            batches: Box::pin(chunks_timeout(readings(3).boxed(), 2, SECOND)),
            averager: Averager::default(),
            watchers: BTreeMap::from([(1, Watcher::new("tea", readings(3)))]),
            rows: cursors.chain(lost).boxed(),
            paused,
            source,
            shared: Arc::new(Mutex::new(shared.boxed())),
            writer,
            client: Client { latency: SECOND },
        }
    }

    async fn next(&mut self) -> Result<Option<String>, AppError> {
        if let Some(number) = self.counter.next().await {
            self.averager.send(number).await;
        }
        self.numbers.next().await;
        self.paused.send_replace(false);
        let mut prices = prices(self.source.clone());
        let prices = pausable(&mut prices, self.paused.subscribe());
        std::pin::pin!(prices).next().await;
        self.batches.next().await;
        self.shared.lock().await.next().await;
        self.rows.try_next().await
    }

    async fn pages(&mut self, urls: Vec<String>) -> anyhow::Result<usize> {
        let client = &self.client;
        let fetched = bounded_fetch_with_failures::fetch_all(client, urls, 2).await;
        let (pages, failed) = fetched;
        if let Some((_, error)) = failed.into_iter().next() {
            return Err(error.into());
        }
        Ok(pages.len())
    }
}

fn spawn_methods(mut app: App, urls: Vec<String>) {
    tokio::spawn(async move {
        while let Some(row) = app.next().await? {
            drop(row);
        }
        app.pages(urls).await
    });
}

fn spawn_functions(urls: Vec<String>, stop: CancellationToken) {
    tokio::spawn(async move {
        let lines: Vec<&str> = urls.iter().map(String::as_str).collect();
        let numbers: Vec<u32> = strict(&lines).try_collect().await?;
        let all: u32 = lenient(&lines).try_fold(0, async |a, b| Ok(a + b)).await?;
        let sums = sum(stream::iter(numbers)).await? + all;
        handle_until(&stop, &mut stream::iter([sums])).await;
        send_to_all("news", urls).await?;
        let sums = processed(records().take(3)).try_collect::<Vec<_>>().await?;
        Ok::<_, AppError>(sums)
    });
}

fn spawn_streams(urls: Vec<String>, comments: Vec<Comment>) {
    let walks = comments.into_iter().map(|comment| walk(comment, 0));
    let texts = stream::select_all(walks);
    tokio::spawn(
        texts
            .chain(fetch_stream::fetch_all(urls))
            .collect::<Vec<_>>(),
    );
    tokio::spawn(windows(readings(9), 3).for_each(async |_| {}));
}

/// Batches of any stream, written by any function.
async fn write_batches<S, E, Fut>(
    items: S,
    write: impl Fn(Vec<S::Item>) -> Fut,
) -> Result<(), E>
where
    S: Stream,
    Fut: Future<Output = Result<(), E>>,
{
    let batches = chunks_timeout(items, 100, SECOND).map(Ok);
    batches.try_for_each(write).await
}

fn pairs<S>(items: S) -> impl Stream<Item = (S::Item, S::Item)>
where
    S: Stream<Item: Clone>,
{
    windows(items, 2).map(|pair| (pair[0].clone(), pair[1].clone()))
}

fn off_the_thread<T, I>(items: I) -> BoxStream<'static, T>
where
    T: Send + 'static,
    I: IntoIterator<Item = T> + Send + 'static,
{
    blocking_stream(items).boxed()
}
