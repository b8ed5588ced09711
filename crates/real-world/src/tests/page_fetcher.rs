use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use futures::{StreamExt, stream};
use reqwest::{Client, Url};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::support::{soon, tasks};
use crate::page_fetcher::{FetchError, MAX_PAGE, Page, Pages, fetch};

type Failure = Box<dyn Error + Send + Sync>;

/// A server of pages `/TITLE/MILLISECONDS`.
async fn start_server() -> Result<(Url, AbortOnDropHandle<()>), Failure> {
    let bytes = async |Path(bytes): Path<usize>| "x".repeat(bytes);
    let page = async |Path((title, millis)): Path<(String, u64)>| {
        sleep(Duration::from_millis(millis)).await;
        format!("<title>{title}</title>")
    };
    let app = Router::new()
        .route("/{title}/{millis}", get(page))
        .route("/bytes/{bytes}", get(bytes));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
    let serving = async { axum::serve(listener, app).await.expect("it serves") };
    Ok((root, AbortOnDropHandle::new(tokio::spawn(serving))))
}

fn client() -> reqwest::Result<Client> {
    let builder = Client::builder().timeout(Duration::from_millis(700));
    builder.no_proxy().build()
}

fn urls(root: &Url) -> Result<Vec<Url>, Failure> {
    let paths = ["One/100", "Two/200", "Three/300"];
    let urls: Result<_, _> = paths.iter().map(|path| root.join(path)).collect();
    Ok(urls?)
}

#[tokio::test]
async fn a_busy_loop_makes_pages_late_that_came_in_time() -> Result<(), Failure> {
    let (root, _server) = start_server().await?;
    let client = client()?;
    let fetches = stream::iter(urls(&root)?).map(|url| fetch(&client, url));
    let mut pages = pin!(fetches.buffer_unordered(3));
    assert!(pages.next().await.is_some_and(|page| page.is_ok()));
    sleep(Duration::from_millis(800)).await;
    for _ in 0..2 {
        let error = pages.next().await.expect("another").expect_err("late");
        let FetchError::Http(error) = error else {
            panic!("{error:?}");
        };
        let source = error.source().map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("operation timed out"));
    }

    let mut pages = Pages::new(client.clone(), urls(&root)?, 3);
    for _ in 0..3 {
        let (_, _, page) = pages.next().await.expect("another");
        assert!(page.is_ok());
        sleep(Duration::from_millis(400)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_caller_that_stops_waiting_loses_no_page() -> Result<(), Failure> {
    let (root, _server) = start_server().await?;
    let mut pages = Pages::new(client()?, urls(&root)?, 2);
    let mut places = Vec::new();
    loop {
        match timeout(Duration::from_millis(7), pages.next()).await {
            Ok(Some((index, ..))) => places.push(index),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_page_of_exactly_the_limit_is_read() -> Result<(), Failure> {
    let (root, _server) = start_server().await?;
    let client = Client::builder().no_proxy().build()?;
    for (size, fits) in [(MAX_PAGE, true), (MAX_PAGE + 1, false)] {
        let url = root.join(&format!("bytes/{size}"))?;
        match fetch(&client, url).await {
            Ok(page) => assert!(fits && page.length == size),
            Err(FetchError::TooLarge(MAX_PAGE)) => assert!(!fits),
            Err(error) => panic!("{error}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_404_is_an_error_and_a_304_is_a_page() -> Result<(), Failure> {
    let not_modified = async || axum::http::StatusCode::NOT_MODIFIED;
    let app = Router::new().route("/304", get(not_modified));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
    let serving = tokio::spawn(async { axum::serve(listener, app).await });
    let _serving = AbortOnDropHandle::new(serving);
    let client = Client::builder().no_proxy().build()?;
    let page = soon(fetch(&client, root.join("304")?)).await?;
    assert_eq!((page.title, page.length), (None, 0));
    let missing = soon(fetch(&client, root.join("missing")?)).await;
    assert!(
        matches!(&missing, Err(FetchError::Http(error)) if error.is_status()),
        "{missing:?}"
    );
    Ok(())
}

/// Before the first call nothing is sent. Between two calls, the next page of the list
/// waits for the second, although there is room for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fetch_starts_but_in_a_call_of_next() -> Result<(), Failure> {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let count = async move || counted.fetch_add(1, SeqCst).to_string();
    let app = Router::new().fallback(count);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
    let serving = tokio::spawn(async { axum::serve(listener, app).await });
    let _serving = AbortOnDropHandle::new(serving);
    let client = Client::builder().no_proxy().build()?;
    let mut pages = Pages::new(client, vec![url; 5], 2);
    for (calls, expected) in [0, 2, 3, 4, 5, 5].into_iter().enumerate() {
        soon(async {
            while asked.load(SeqCst) < expected {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        sleep(Duration::from_millis(50)).await;
        assert_eq!(asked.load(SeqCst), expected);
        let next = soon(pages.next()).await;
        assert_eq!(next.is_some_and(|(_, _, page)| page.is_ok()), calls < 5);
    }
    Ok(())
}

#[tokio::test]
async fn a_fetch_that_panics_keeps_its_url() -> Result<(), Failure> {
    let url = Url::parse("http://a.example/1")?;
    let mut pages = Pages::new(client()?, Vec::new(), 2);
    let crash = async { panic!("scheduled") };
    pages.running.spawn((7, url.clone()), crash);
    let (index, found, page) = pages.next().await.expect("one");
    assert_eq!((index, found), (7, url));
    assert!(matches!(page, Err(FetchError::Crashed(_))));
    assert!(pages.next().await.is_none());
    Ok(())
}

/// Of a server that never accepts.
#[tokio::test]
async fn no_more_run_than_the_limit_and_dropped_they_are_aborted() -> Result<(), Failure>
{
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let url: Url = format!("http://{}/", silent.local_addr()?).parse()?;
    let client = Client::builder().no_proxy().build()?;
    let before = tasks();
    let mut pages = Pages::new(client, vec![url; 20], 3);
    let none = timeout(Duration::from_millis(50), pages.next()).await;
    assert!(none.is_err());
    assert_eq!(pages.running.len(), 3);
    drop(pages);
    let gone = async {
        while tasks() > before {
            sleep(Duration::from_millis(1)).await;
        }
    };
    soon(gone).await;
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "a limit of 0 would fetch nothing")]
async fn a_limit_of_0_is_refused() {
    Pages::new(Client::new(), Vec::new(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_endless_page_is_an_error_and_the_others_come() -> Result<(), Failure> {
    let (root, _server) = start_server().await?;
    let endless = || async {
        let forever = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 65_536]));
        axum::body::Body::from_stream(forever)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let bad: Url = format!("http://{}/", listener.local_addr()?).parse()?;
    let app = Router::new().fallback(endless);
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let _server = AbortOnDropHandle::new(server);
    let client = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60));
    let mut urls = urls(&root)?;
    urls.insert(1, bad);
    let mut pages = Pages::new(client.build()?, urls, 2);
    while let Some((index, _, page)) = pages.next().await {
        match page {
            Ok(_) => assert_ne!(index, 1),
            Err(error) => {
                assert!(matches!(error, FetchError::TooLarge(MAX_PAGE)), "{error:?}");
                assert_eq!(index, 1);
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_pages_each_comes_once() -> Result<(), Failure> {
    let (root, _server) = start_server().await?;
    let client = Client::builder().no_proxy().build()?;
    for number in [0, 1, 31, 129, 1_000] {
        let urls = (0..number).map(|number| root.join(&format!("{number}/0")));
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        let mut pages = Pages::new(client.clone(), urls, 20);
        let mut titles = vec![None; number];
        while let Some((index, _, page)) = pages.next().await {
            assert!(titles[index].is_none(), "each comes once");
            titles[index] = page?.title;
        }
        let expected = (0..number).map(|number| Some(number.to_string()));
        assert!(titles.into_iter().eq(expected), "{number}");
    }
    Ok(())
}

#[test]
fn titles() {
    for (text, title) in [
        ("<title> A\n</title><title>B</title>", Some("A")),
        ("<title></title>", Some("")),
        ("<title>A", Some("A")),
        ("", None),
        ("<TITLE>A</TITLE>", Some("A")),
        ("<title lang=en>A</title >", Some("A")),
        ("<title>A &amp; B\n  C</title>", Some("A & B C")),
        ("<title><b>A</b></title>", Some("<b>A</b>")),
        ("<!-- <title>no</title> --><title>A</title>", Some("A")),
        (
            "<script>'<title>no</title>'</script><title>A</title>",
            Some("A"),
        ),
    ] {
        assert_eq!(Page::new(text).title.as_deref(), title);
    }
    // As `len` of a `str` in Python.
    assert_eq!(Page::new("\u{e4}\u{1f980}").length, 2);
}
