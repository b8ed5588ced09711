//! Pagination of an API with cursors as a stream of items, the next page fetched ahead.
//!
//! What an async generator does with `yield` stands in a state that `try_unfold` hands
//! on; the crate `async-stream` has `try_stream!` for who prefers `yield`. The next page
//! comes from a task, as a stream by itself does nothing while its consumer works on an
//! item, and `buffered` does not help with that. Who stops early has asked for one page
//! too many at most, and dropping the stream stops that request; a generator of Python
//! has to be closed, see `aclosing`. The traps: `try_collect` throws away what came
//! before an error, so take items as they come. And a server whose cursor comes again
//! would be asked for ever. Only a 503 or 429 that says when is tried again; the crates
//! `reqwest-retry` and `backon` do more.
//!
//! asyncio: yield, async for, contextlib.aclosing, asyncio.create_task
//! clock: real

use std::collections::HashSet;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::vec::IntoIter;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Why there are no more items, although this was not the end.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// No connection, no answer in time, or one that is not a page.
    #[error("no page came")]
    Request(#[from] reqwest::Error),
    #[error("status {0}")]
    Status(StatusCode),
    /// With this cursor a page was fetched before.
    #[error("the cursor {0:?} came again")]
    Again(String),
    #[error("a fetch crashed")]
    Crashed(#[from] JoinError),
}

/// What the server answers.
#[derive(Debug, Deserialize)]
struct Page<T> {
    items: Vec<T>,
    /// Names the next page, if there is one.
    next: Option<String>,
}

/// Where the pages come from, and how patiently.
#[derive(Clone, Debug)]
pub struct Source {
    /// Set a timeout: it has none by itself.
    pub client: Client,
    /// Of the first page, without a parameter `cursor`; the others have one in addition.
    pub url: Url,
    /// How often a page is asked for again when the server is busy.
    pub retries: u32,
    /// Who is to come back later than this gives up.
    pub longest_wait: Duration,
}

impl Source {
    /// All items, page by page. While one page is consumed the next one is fetched.
    ///
    /// An error is the last that comes. Nothing is fetched before the first poll, and
    /// nothing after a drop. The stream runs in a Tokio runtime only.
    pub fn items<T>(self) -> impl Stream<Item = Result<T, PageError>> + Send
    where
        T: DeserializeOwned + Send + 'static,
    {
        stream::once(async { stream::try_unfold(Pages::begin(self), Pages::next) })
            .flatten()
    }

    async fn fetch<T: DeserializeOwned>(
        &self,
        cursor: Option<&str>,
    ) -> Result<Page<T>, PageError> {
        let mut url = self.url.clone();
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let mut retries = self.retries;
        loop {
            let response = self.client.get(url.clone()).send().await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response.json().await?);
            }
            match retry_after(&response) {
                Some(wait) if retries > 0 && wait <= self.longest_wait => {
                    retries -= 1;
                    // The connection is free while this sleeps.
                    drop(response);
                    sleep(wait).await;
                }
                _ => return Err(PageError::Status(status)),
            }
        }
    }
}

/// The seconds in `Retry-After`, which may hold a date instead, of a server that is busy.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    const BUSY: [StatusCode; 2] = [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if !BUSY.contains(&response.status()) {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

/// What is left of the page that is consumed, and the fetch of the one after it.
struct Pages<T> {
    source: Source,
    items: IntoIter<T>,
    next_page: Option<AbortOnDropHandle<Result<Page<T>, PageError>>>,
    seen: HashSet<String>,
}

impl<T: DeserializeOwned + Send + 'static> Pages<T> {
    fn begin(source: Source) -> Self {
        let mut pages = Self {
            source,
            items: Vec::new().into_iter(),
            next_page: None,
            seen: HashSet::new(),
        };
        pages.fetch_ahead(None);
        pages
    }

    fn fetch_ahead(&mut self, cursor: Option<String>) {
        let source = self.source.clone();
        let new = cursor.clone().is_none_or(|cursor| self.seen.insert(cursor));
        let fetch = tokio::spawn(async move {
            match cursor {
                // This comes after the items of the page that named the cursor.
                Some(cursor) if !new => Err(PageError::Again(cursor)),
                cursor => source.fetch(cursor.as_deref()).await,
            }
        });
        self.next_page = Some(AbortOnDropHandle::new(fetch));
    }

    async fn next(mut self) -> Result<Option<(T, Self)>, PageError> {
        loop {
            if let Some(item) = self.items.next() {
                return Ok(Some((item, self)));
            }
            let Some(fetch) = self.next_page.take() else {
                return Ok(None);
            };
            let page = fetch.await??;
            self.items = page.items.into_iter();
            // With an empty one some servers say that this was the last page.
            if let Some(cursor) = page.next.filter(|cursor| !cursor.is_empty()) {
                self.fetch_ahead(Some(cursor));
            }
        }
    }
}

type Failure = Box<dyn Error + Send + Sync>;

/// Has six items on three pages, and counts how often it is asked.
struct Server {
    url: Url,
    requests: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    async fn start() -> Result<Self, Failure> {
        let requests = Arc::new(AtomicUsize::new(0));
        let app = Router::new()
            .route("/{kind}", get(page))
            .with_state(Arc::clone(&requests));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let task = tokio::spawn(async { axum::serve(listener, app).await });
        let _task = AbortOnDropHandle::new(task);
        Ok(Self {
            url,
            requests,
            _task,
        })
    }

    fn items(&self, client: &Client, kind: &str) -> Result<Items, Failure> {
        let source = Source {
            client: client.clone(),
            url: self.url.join(kind)?,
            retries: 2,
            longest_wait: Duration::from_secs(5),
        };
        Ok(source.items().boxed())
    }

    /// How many requests came since it was last asked.
    fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }
}

/// A name for the type, as a struct needs for a field.
type Items = BoxStream<'static, Result<u32, PageError>>;

async fn page(
    State(requests): State<Arc<AtomicUsize>>,
    Path(kind): Path<String>,
    uri: Uri,
) -> Response {
    let requests = requests.fetch_add(1, Ordering::Relaxed) + 1;
    sleep(Duration::from_millis(200)).await;
    let cursor = uri.query().and_then(|query| query.strip_prefix("cursor="));
    let number: u32 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(1);
    match (kind.as_str(), number) {
        ("busy", 2) if requests == 2 => {
            let wait = [("retry-after", "1")];
            return (StatusCode::SERVICE_UNAVAILABLE, wait).into_response();
        }
        ("broken", 2) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => {}
    }
    let next = match (kind.as_str(), number) {
        ("circle", 2) => Some("2"),
        (_, 1) => Some("2"),
        (_, 2) => Some("3"),
        _ => None,
    };
    let items = [2 * number - 1, 2 * number];
    Json(json!({ "items": items, "next": next })).into_response()
}

/// Works on each item for a tenth of a second.
async fn consume(mut items: Items) {
    loop {
        match items.try_next().await {
            Ok(Some(item)) => println!("item {item}"),
            Ok(None) => return println!("the end"),
            Err(error) => return println!("{error}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |tenths: u32| sleep_until(start + tenths * Duration::from_millis(100));
    let server = Server::start().await?;
    // In an example the server is on this machine, which no proxy would reach.
    let builder = Client::builder().no_proxy();
    let client = builder.timeout(Duration::from_secs(5)).build()?;

    at(3).await;
    println!("A page takes 0.2 s, and so does the work on its two items:");
    consume(server.items(&client, "/good")?).await;
    println!("requests: {}", server.requests());

    at(12).await;
    println!("Only one item is wanted:");
    let mut items = server.items(&client, "/good")?;
    if let Some(item) = items.try_next().await? {
        println!("item {item}");
    }
    sleep(Duration::from_millis(100)).await;
    drop(items);
    at(18).await;
    println!("requests: {}", server.requests());

    println!("The second page comes only when it is asked for again:");
    consume(server.items(&client, "/busy")?).await;
    println!("requests: {}", server.requests());

    at(40).await;
    println!("The second page does not come:");
    consume(server.items(&client, "/broken")?).await;

    at(46).await;
    println!("After the second page comes the second page:");
    consume(server.items(&client, "/circle")?).await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use axum::Router;
    use axum::http::Uri;
    use axum::response::{IntoResponse, Json, Response};
    use axum::routing::get;
    use futures::future::join_all;
    use futures::stream::{BoxStream, StreamExt, TryStreamExt};
    use reqwest::{Client, StatusCode, Url};
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Deserializer};
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;
    use tokio::task::yield_now;
    use tokio::time::{Instant, sleep, timeout};
    use tokio_util::task::AbortOnDropHandle;

    use super::{Failure, PageError, Source};

    const SECOND: Duration = Duration::from_secs(1);

    struct Server {
        source: Source,
        requests: Arc<AtomicUsize>,
        _task: AbortOnDropHandle<()>,
    }

    impl Server {
        /// Answers with what the function makes of the cursor and the request's number.
        async fn start(
            answer: impl Fn(&str, usize) -> Response + Clone + Send + Sync + 'static,
        ) -> Result<Self, Failure> {
            let requests = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&requests);
            let handle = async move |uri: Uri| {
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                sleep(SECOND / 100).await;
                let base = Url::parse("http://server").expect("it is one");
                let url = base.join(&uri.to_string()).expect("it is one");
                let cursor = url.query_pairs().find(|(name, _)| name == "cursor");
                let cursor = cursor.map(|(_, cursor)| cursor.into_owned());
                answer(&cursor.unwrap_or_default(), number)
            };
            let app = Router::new().route("/", get(handle));
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let source = Source {
                client: Client::builder().no_proxy().build()?,
                url: format!("http://{}/?size=2", listener.local_addr()?).parse()?,
                retries: 2,
                longest_wait: 5 * SECOND,
            };
            let task = tokio::spawn(async {
                axum::serve(listener, app)
                    .await
                    .expect("it goes on for ever");
            });
            Ok(Self {
                source,
                requests,
                _task: AbortOnDropHandle::new(task),
            })
        }

        fn requests(&self) -> usize {
            self.requests.load(Ordering::SeqCst)
        }

        fn items<T>(&self) -> BoxStream<'static, Result<T, PageError>>
        where
            T: DeserializeOwned + Send + 'static,
        {
            self.source.clone().items().boxed()
        }

        /// All items up to the end or the error.
        async fn all(&self) -> (Vec<String>, Option<PageError>) {
            let (mut all, mut items) = (Vec::new(), self.items());
            loop {
                match items.try_next().await {
                    Ok(Some(item)) => all.push(item),
                    Ok(None) => return (all, None),
                    Err(error) => {
                        assert!(items.next().await.is_none(), "nothing comes after it");
                        return (all, Some(error));
                    }
                }
            }
        }
    }

    fn page(items: &[&str], next: Option<&str>) -> Response {
        Json(json!({ "items": items, "next": next })).into_response()
    }

    fn busy(retry_after: &'static str) -> Response {
        let wait = [("retry-after", retry_after)];
        (StatusCode::SERVICE_UNAVAILABLE, wait).into_response()
    }

    /// Three pages: a cursor has to be escaped, a page has no items, a cursor is empty.
    fn three_pages(cursor: &str, _number: usize) -> Response {
        match cursor {
            "" => page(&["a", "b"], Some("x&y=z #")),
            "x&y=z #" => page(&[], Some("3")),
            "3" => page(&["c"], Some("")),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    #[tokio::test]
    async fn all_items_of_all_pages_in_order() -> Result<(), Failure> {
        let server = Server::start(three_pages).await?;
        let (all, error) = server.all().await;
        assert!(error.is_none());
        assert_eq!(all, ["a", "b", "c"]);
        assert_eq!(server.requests(), 3);
        Ok(())
    }

    #[tokio::test]
    async fn one_page_ahead_and_no_more() -> Result<(), Failure> {
        let server = Server::start(three_pages).await?;
        let mut items = server.items::<String>();
        sleep(SECOND / 20).await;
        assert_eq!(server.requests(), 0);
        assert!(items.next().await.is_some());
        sleep(SECOND / 20).await;
        assert_eq!(server.requests(), 2);
        drop(items);
        sleep(SECOND / 20).await;
        assert_eq!(server.requests(), 2);
        Ok(())
    }

    #[tokio::test]
    async fn an_error_comes_after_the_items_before_it() -> Result<(), Failure> {
        for kind in ["status", "no page", "circle"] {
            let server = Server::start(move |cursor, _| match (cursor, kind) {
                ("", _) => page(&["a", "b"], Some("2")),
                ("3", _) => page(&["d"], Some("2")),
                (_, "status") => StatusCode::BAD_GATEWAY.into_response(),
                (_, "no page") => "[]".into_response(),
                _ => page(&["c"], Some("3")),
            })
            .await?;
            let (all, error) = server.all().await;
            match (kind, error) {
                ("circle", Some(PageError::Again(cursor))) => {
                    assert_eq!(cursor, "2");
                    assert_eq!(all, ["a", "b", "c", "d"]);
                    assert_eq!(server.requests(), 3);
                }
                ("status", Some(PageError::Status(StatusCode::BAD_GATEWAY)))
                | ("no page", Some(PageError::Request(_))) => assert_eq!(all, ["a", "b"]),
                other => panic!("{other:?}"),
            }
            // What it throws away is why the header warns.
            let collected: Result<Vec<String>, _> = server.items().try_collect().await;
            assert!(collected.is_err());
        }
        Ok(())
    }

    #[tokio::test]
    async fn who_is_busy_is_asked_again_but_not_for_ever() -> Result<(), Failure> {
        for (busy_until, asked) in [(1, 2), (2, 3), (3, 3)] {
            let server = Server::start(move |_, number| {
                if number <= busy_until {
                    busy("0")
                } else {
                    page(&["a"], None)
                }
            })
            .await?;
            let (all, error) = server.all().await;
            assert_eq!(all.is_empty(), busy_until == 3);
            assert_eq!(error.is_some(), busy_until == 3);
            assert_eq!(server.requests(), asked);
        }
        for wait in ["6", "-1", "", "Wed, 21 Oct 2099 07:28:00 GMT"] {
            let server = Server::start(move |_, _| busy(wait)).await?;
            let (_, error) = server.all().await;
            assert!(matches!(error, Some(PageError::Status(_))), "{error:?}");
            assert_eq!(server.requests(), 1);
        }
        let server = Server::start(|_, number| match number {
            1 => busy("1"),
            _ => page(&[], None),
        })
        .await?;
        let start = Instant::now();
        assert!(server.all().await.1.is_none());
        assert!(start.elapsed() >= SECOND);
        Ok(())
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_nothing() -> Result<(), Failure> {
        let server = Server::start(three_pages).await?;
        let (mut all, mut items, mut given_up) =
            (Vec::new(), server.items::<String>(), 0);
        loop {
            match timeout(SECOND / 500, items.try_next()).await {
                Ok(item) => match item? {
                    Some(item) => all.push(item),
                    None => break,
                },
                Err(_) => given_up += 1,
            }
        }
        assert_eq!(all, ["a", "b", "c"]);
        assert_eq!(server.requests(), 3);
        assert!(given_up > 3);
        Ok(())
    }

    #[tokio::test]
    async fn dropped_at_each_await_it_leaves_no_task() -> Result<(), Failure> {
        let server = Server::start(|_, _| page(&["a"], Some("2"))).await?;
        let (all, error) = server.all().await;
        assert!(matches!(error, Some(PageError::Again(_))), "{all:?}");
        let tasks = Handle::current().metrics().num_alive_tasks();
        for polls in 0..100 {
            let mut items = server.items::<String>();
            for _ in 0..polls {
                let _ = futures::poll!(items.next());
                yield_now().await;
            }
            drop(items);
        }
        let calm = async {
            while Handle::current().metrics().num_alive_tasks() > tasks + 2 {
                sleep(SECOND / 100).await;
            }
        };
        timeout(SECOND, calm).await?;
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_at_once_in_tasks() -> Result<(), Failure> {
        let server = Server::start(three_pages).await?;
        let all = join_all((0..50).map(|_| {
            tokio::spawn(server.items::<String>().try_collect::<Vec<String>>())
        }));
        for items in all.await {
            assert_eq!(items??, ["a", "b", "c"]);
        }
        assert_eq!(server.requests(), 150);
        Ok(())
    }

    #[tokio::test]
    async fn a_panic_in_the_fetch_is_an_error() -> Result<(), Failure> {
        #[derive(Debug)]
        struct Panics;

        impl<'a> Deserialize<'a> for Panics {
            fn deserialize<D: Deserializer<'a>>(_: D) -> Result<Self, D::Error> {
                panic!("scheduled");
            }
        }
        let server = Server::start(three_pages).await?;
        let error = server.items::<Panics>().try_next().await;
        assert!(matches!(error, Err(PageError::Crashed(_))), "{error:?}");
        Ok(())
    }
}
