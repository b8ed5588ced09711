//! A server for whoever writes, on this machine only.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LAST_MODIFIED};
use axum::http::header::{HeaderValue, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, RANGE};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use xtask::workspace::Workspace;

/// How often the files are looked at.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells how often the book was made anew; no page has such a name.
const MADE: &str = "/-made";

/// Instead of a page that is not there, for mdBook removes all before it writes anew.
const NO_PAGE: &str = "<!doctype html>\n<title>No such page</title>\n<body>\n\
                       <p>There is no such page now.</p>\n</body>\n";

/// How often the book was made anew.
type Made = Arc<AtomicU64>;

/// Serves the folder until the process ends, and calls `make` whenever a file that the
/// book is made of has changed. After that, pages that are open reload by themselves.
///
/// # Errors
///
/// When no port can be had, or the browser cannot be opened.
pub fn serve(out: &Path, open: bool, make: impl Fn() -> Result<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot build a runtime")?;
    let listener = TcpListener::bind("127.0.0.1:0");
    let listener = runtime.block_on(listener).context("no port can be had")?;
    let address = format!("http://{}/", listener.local_addr()?);
    let made = Made::default();
    let app = app(out, Arc::clone(&made));
    runtime.spawn(async move { axum::serve(listener, app).await });
    println!("{address} (Ctrl-C ends it)");
    if open {
        opener::open(&address).context("cannot open a browser")?;
    }
    let root = Workspace::open()?.root;
    let mut before = newest(&root);
    loop {
        thread::sleep(PAUSE);
        let now = newest(&root);
        if now != before {
            before = now;
            match make() {
                Ok(()) => {
                    made.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => eprintln!("error: {error:#}"),
            }
        }
    }
}

/// The files, and with each page the script that reloads it.
fn app(out: &Path, made: Made) -> Router {
    let count = async |State(made): State<Made>| {
        let count = made.load(Ordering::Relaxed).to_string();
        ([(CACHE_CONTROL, "no-store")], count)
    };
    Router::new()
        .route(MADE, get(count))
        .fallback_service(ServeDir::new(out))
        .layer(from_fn_with_state(Arc::clone(&made), add_script))
        .with_state(made)
}

async fn add_script(
    State(made): State<Made>,
    mut request: Request,
    next: Next,
) -> Response {
    // The whole file each time: within a second a file is written anew with the same
    // time, and the page from the browser's memory would reload for ever.
    for header in [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, RANGE] {
        request.headers_mut().remove(header);
    }
    let is_get = request.method() == Method::GET;
    // Before the file is read: if it is made anew in between, it reloads once too often.
    let count = made.load(Ordering::Relaxed);
    let response = next.run(request).await;
    if is_get && response.status() == StatusCode::NOT_FOUND {
        let page = with_script(NO_PAGE, count);
        return (StatusCode::NOT_FOUND, Html(page)).into_response();
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(LAST_MODIFIED);
    let no_store = HeaderValue::from_static("no-store");
    parts.headers.insert(CACHE_CONTROL, no_store);
    let kind = parts.headers.get(CONTENT_TYPE);
    let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_get || !is_page {
        return Response::from_parts(parts, body);
    }
    let Ok(page) = to_bytes(body, usize::MAX).await else {
        // It was removed while it was read: the browser asks again.
        let page = with_script(NO_PAGE, count);
        return (StatusCode::NOT_FOUND, Html(page)).into_response();
    };
    parts.headers.remove(CONTENT_LENGTH);
    let page = with_script(&String::from_utf8_lossy(&page), count);
    Response::from_parts(parts, Body::from(page))
}

/// The page, which asks twice a second whether the book was made anew since, and reloads
/// then. When the server has ended, it goes on asking.
fn with_script(page: &str, count: u64) -> String {
    let script = format!(
        "<script>\n\
         setInterval(async () => {{\n\
         \x20   const answer = await fetch(\"{MADE}\").catch(() => null);\n\
         \x20   if (answer?.ok && await answer.text() !== \"{count}\") {{\n\
         \x20       location.reload();\n\
         \x20   }}\n\
         }}, 500);\n\
         </script>\n"
    );
    match page.rsplit_once("</body>") {
        Some((before, after)) => format!("{before}{script}</body>{after}"),
        None => format!("{page}{script}"),
    }
}

/// How many files the book is made of, and when the last of them was changed.
fn newest(root: &Path) -> (usize, Option<SystemTime>) {
    let mut found = (0, None);
    let mut folders: Vec<PathBuf> = ["crates", "docs", "tests/golden"]
        .map(|dir| root.join(dir))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let changed = entry.metadata().and_then(|metadata| metadata.modified());
            found.0 += 1;
            found.1 = found.1.max(changed.ok());
        }
    }
    found
}
