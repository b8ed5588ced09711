//! A server for authors, on this machine only.

use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use notify::{RecursiveMode, Watcher as _, recommended_watcher};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower_http::services::ServeDir;
use tower_livereload::LiveReloadLayer;

/// How long files may go on changing after the first before the book is made anew.
const PAUSE: Duration = Duration::from_millis(300);

/// Serves the folder until the process ends, and calls `make` whenever a file that the
/// book is made of has changed. After that, open pages reload.
pub fn serve(
    root: &Path,
    out: &Path,
    open: bool,
    mut make: impl FnMut() -> Result<()>,
) -> Result<()> {
    let (sender, changes) = channel();
    let mut watcher = recommended_watcher(sender)?;
    for folder in ["crates", "docs"] {
        let folder = root.join(folder);
        watcher.watch(&folder, RecursiveMode::Recursive)?;
    }
    let runtime = Runtime::new().context("cannot build a runtime")?;
    let listener = TcpListener::bind("127.0.0.1:0");
    let listener = runtime.block_on(listener).context("no port is free")?;
    let address = format!("http://{}/", listener.local_addr()?);
    let layer = LiveReloadLayer::new();
    let reloader = layer.reloader();
    let files = ServeDir::new(out);
    let app = Router::new().fallback_service(files).layer(layer);
    runtime.spawn(async move { axum::serve(listener, app).await });
    println!("{address} (Ctrl-C ends it)");
    if open {
        opener::open(&address).context("cannot open a browser")?;
    }
    while let Ok(change) = changes.recv() {
        // Making the book reads these files, which is no change.
        if change?.kind.is_access() {
            continue;
        }
        thread::sleep(PAUSE);
        changes.try_iter().for_each(drop);
        match make() {
            Ok(()) => reloader.reload(),
            Err(error) => eprintln!("error: {error:#}"),
        }
    }
    Ok(())
}
