//! A server for whoever writes, on this machine only.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use axum::Router;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use xtask::workspace::Workspace;

/// How often the files are looked at.
const PAUSE: Duration = Duration::from_millis(500);

/// Serves the folder until the process ends, and calls `make` whenever a file that the
/// book is made of has changed. A page that is open does not reload by itself.
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
    let app = Router::new().fallback_service(ServeDir::new(out));
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
            if let Err(error) = make() {
                eprintln!("error: {error:#}");
            }
        }
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
