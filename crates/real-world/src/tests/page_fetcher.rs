use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::{Client, Url};
use tokio::time::{sleep, timeout};

use crate::page_fetcher::{Failure, FetchError, Page, Pages, fetch, start_server};

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
    let (root, _server) = start_server(Arc::default()).await?;
    let client = client()?;
    let fetches = stream::iter(urls(&root)?).map(|url| fetch(&client, url));
    let mut pages = pin!(fetches.buffer_unordered(3));
    assert!(pages.next().await.is_some_and(|page| page.is_ok()));
    sleep(Duration::from_millis(800)).await;
    for _ in 0..2 {
        let error = pages.next().await.expect("another").expect_err("late");
        let source = error.source().map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("operation timed out"));
    }

    let mut pages = Pages::new(client.clone(), urls(&root)?, 3);
    for _ in 0..3 {
        let fetched = pages.next().await.expect("another");
        assert!(fetched.page.is_ok());
        sleep(Duration::from_millis(400)).await;
    }
    Ok(())
}

#[tokio::test]
async fn who_stops_waiting_loses_no_page() -> Result<(), Failure> {
    let (root, _server) = start_server(Arc::default()).await?;
    let mut pages = Pages::new(client()?, urls(&root)?, 2);
    let mut places = Vec::new();
    loop {
        match timeout(Duration::from_millis(7), pages.next()).await {
            Ok(Some(fetched)) => places.push(fetched.place),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_fetch_that_panics_keeps_its_url() -> Result<(), Failure> {
    let url = Url::parse("http://a.example/1")?;
    let mut pages = Pages::new(client()?, Vec::new(), 2);
    let crash = async { panic!("scheduled") };
    pages.running.spawn((7, url.clone()), crash);
    let fetched = pages.next().await.expect("one");
    assert_eq!((fetched.place, fetched.url), (7, url));
    assert!(matches!(fetched.page, Err(FetchError::Crashed(_))));
    assert!(pages.next().await.is_none());
    Ok(())
}

#[tokio::test]
#[should_panic(expected = "a limit of 0 would fetch nothing")]
async fn a_limit_of_0_is_refused() {
    Pages::new(Client::new(), Vec::new(), 0);
}

#[test]
fn titles() {
    for (text, title) in [
        ("<title> A\n</title><title>B</title>", Some("A")),
        ("<title></title>", Some("")),
        ("<title>A", None),
        ("", None),
    ] {
        assert_eq!(Page::new(text).title.as_deref(), title);
    }
}
