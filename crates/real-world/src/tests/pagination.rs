use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use futures::future::join_all;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::pagination::{PageError, Source};

type Failure = Box<dyn std::error::Error + Send + Sync>;

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
            max_retries: 2,
            max_wait: 5 * SECOND,
            max_pages: 100,
            max_bytes: 10_000,
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
            ("circle", Some(PageError::RepeatedCursor(cursor))) => {
                assert_eq!(cursor, "2");
                assert_eq!(all, ["a", "b", "c", "d"]);
                assert_eq!(server.requests(), 3);
            }
            ("status", Some(PageError::Status(StatusCode::BAD_GATEWAY)))
            | ("no page", Some(PageError::Json(_))) => assert_eq!(all, ["a", "b"]),
            other => panic!("{other:?}"),
        }
        // What it throws away is why the header warns.
        let collected: Result<Vec<String>, _> = server.items().try_collect().await;
        assert!(collected.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_busy_server_is_asked_again_but_not_for_ever() -> Result<(), Failure> {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_never_ends_is_asked_for_so_many_pages() -> Result<(), Failure> {
    for max_pages in [0, 1, 2, 31] {
        let mut server = Server::start(|_, number| {
            let items: &[&str] = if number % 2 == 0 { &[] } else { &["a"] };
            page(items, Some(&number.to_string()))
        })
        .await?;
        server.source.max_pages = max_pages;
        let (all, error) = timeout(60 * SECOND, server.all()).await?;
        let expected = max_pages.max(1);
        assert!(
            matches!(error, Some(PageError::TooManyPages(_))),
            "{error:?}"
        );
        assert_eq!(server.requests(), expected);
        assert_eq!(all.len(), expected.div_ceil(2));
    }
    // As many as allowed, and then an end.
    let mut server = Server::start(three_pages).await?;
    server.source.max_pages = 3;
    let (all, error) = server.all().await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(all, ["a", "b", "c"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_page_without_an_end_is_an_error() -> Result<(), Failure> {
    let server = Server::start(|cursor, _| match cursor {
        "" => page(&["a"], Some("2")),
        _ => {
            let forever = || Ok::<_, std::io::Error>(vec![b' '; 65_536]);
            axum::body::Body::from_stream(stream::repeat_with(forever)).into_response()
        }
    })
    .await?;
    let (all, error) = timeout(60 * SECOND, server.all()).await?;
    assert!(
        matches!(error, Some(PageError::TooLarge(10_000))),
        "{error:?}"
    );
    assert_eq!(all, ["a"]);
    Ok(())
}

#[tokio::test]
async fn a_page_of_exactly_the_limit_is_read() -> Result<(), Failure> {
    let padded = |page: &str, size: usize| format!("{page:size$}").into_response();
    let server = Server::start(move |cursor, _| match cursor {
        "" => padded(r#"{"items": ["a"], "next": "2"}"#, 10_000),
        _ => padded(r#"{"items": ["b"]}"#, 10_001),
    })
    .await?;
    let (all, error) = timeout(60 * SECOND, server.all()).await?;
    assert!(
        matches!(error, Some(PageError::TooLarge(10_000))),
        "{error:?}"
    );
    assert_eq!(all, ["a"]);
    Ok(())
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() -> Result<(), Failure> {
    let server = Server::start(three_pages).await?;
    let (mut all, mut items, mut given_up) = (Vec::new(), server.items::<String>(), 0);
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
    assert!(
        matches!(error, Some(PageError::RepeatedCursor(_))),
        "{all:?}"
    );
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
    super::allow_files();
    let server = Server::start(three_pages).await?;
    let all =
        join_all((0..50).map(|_| {
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
    assert!(matches!(error, Err(PageError::Panicked(_))), "{error:?}");
    Ok(())
}
