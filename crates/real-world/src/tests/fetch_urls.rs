//! `fetch_all` returns a result for each URL, whatever the others do.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use futures::stream;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio_util::task::AbortOnDropHandle;

use super::support::soon;
use crate::fetch_urls::{MAX_PAGE, fetch_all, fetch_url};

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn endless() -> Body {
    let chunk = || Ok::<_, std::io::Error>(vec![b'x'; 65_536]);
    Body::from_stream(stream::repeat_with(chunk))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_result_for_each_url_in_their_order() -> Result<(), Failure> {
    super::allow_files();
    let app = Router::new()
        .route("/echo/{text}", get(async |Path(text): Path<String>| text))
        .route("/endless", get(endless));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let _server = AbortOnDropHandle::new(server);
    let client = Client::builder().no_proxy().build()?;
    for number in [0, 1, 31, 129] {
        let mut urls: Vec<String> = (0..number)
            .map(|number| format!("{root}/echo/{number}"))
            .collect();
        urls.insert(number / 2, format!("{root}/endless"));
        urls.push(format!("{root}/missing"));
        urls.push("http://127.0.0.1:1/".to_owned());
        let mut pages = soon(fetch_all(&client, &urls)).await;
        let mut error = |index| pages.remove(index).expect_err("no page").to_string();
        assert_eq!(error(number / 2), "the page is too large");
        assert!(error(number).contains("404 Not Found"));
        assert!(error(number).contains("http://127.0.0.1:1/"));
        assert_eq!(pages.len(), number);
        for (number, page) in pages.into_iter().enumerate() {
            assert_eq!(page?, number.to_string());
        }
    }
    Ok(())
}

/// No page is answered before all are asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_pages_are_fetched_at_the_same_time() -> Result<(), Failure> {
    const PAGES: usize = 31;
    let all_here = Arc::new(Barrier::new(PAGES));
    let meet = move || async move {
        all_here.wait().await;
        "here"
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let urls = vec![format!("http://{}/", listener.local_addr()?); PAGES];
    let app = Router::new().fallback(meet);
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let _server = AbortOnDropHandle::new(server);
    let client = Client::builder().no_proxy().build()?;
    let pages = soon(fetch_all(&client, &urls)).await;
    assert!(pages.iter().all(Result::is_ok));
    Ok(())
}

#[tokio::test]
async fn the_largest_page_has_max_page_bytes_and_a_304_is_a_page() -> Result<(), Failure>
{
    let bytes = async |Path(bytes): Path<usize>| "x".repeat(bytes);
    let app = Router::new()
        .route("/bytes/{bytes}", get(bytes))
        .route("/304", get(StatusCode::NOT_MODIFIED));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let _server = AbortOnDropHandle::new(server);
    let client = Client::builder().no_proxy().build()?;
    for (path, length) in [
        (format!("bytes/{MAX_PAGE}"), Some(MAX_PAGE)),
        (format!("bytes/{}", MAX_PAGE + 1), None),
        ("304".to_owned(), Some(0)),
    ] {
        let page = soon(fetch_url(&client, &format!("{root}/{path}"))).await;
        assert_eq!(page.ok().map(|page| page.len()), length, "{path}");
    }
    Ok(())
}
