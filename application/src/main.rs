//! A service that appends notes to a file: `curl -d 'a note' 127.0.0.1:8080/notes`.
//! Exit codes: 0 after a shutdown, 1 after a failure, 2 for a wrong setting.

use std::{io, time::Duration};

use anyhow::{Context as _, Result};
use application::{routes, server, shutdown, worker};
use application::{settings::Settings, state::AppState};
use clap::Parser as _;
use tokio::{fs::File, net::TcpListener, sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::parse();
    let (address, path) = (settings.address, &settings.journal);
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    // Before all else, so that a signal during the start is not missed.
    let signal = shutdown::signals()?;
    let journal = File::options().append(true).create(true).open(path).await;
    let journal = journal.with_context(|| format!("cannot open {}", path.display()))?;
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    tracing::info!("listening on {}", listener.local_addr()?);

    // The server ends after its last request. With it goes the last sender of the queue,
    // and so the worker ends after the last note.
    let (stop, mut services) = (CancellationToken::new(), JoinSet::new());
    let (notes, waiting) = mpsc::channel(settings.queue.get().into());
    let routes = routes::routes(AppState { notes });
    services.spawn(worker::run(journal, waiting));
    services.spawn(server::serve(listener, routes, stop.clone()));
    let limit = Duration::from_secs(settings.drain.into());
    shutdown::finish(services, signal, stop, limit).await
}
