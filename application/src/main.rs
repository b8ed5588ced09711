//! A service that appends notes to a file: `curl -d 'a note' 127.0.0.1:8080/notes`.
//! Exit codes: 0 after a shutdown, 1 after a failure, 2 for a wrong setting.

use std::{io, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use application::{routes, server, server::Limits, shutdown, worker};
use application::{settings::Settings, state::AppState};
use clap::Parser as _;
use tokio::{net::TcpListener, runtime::Runtime, select, sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let settings = Settings::parse();
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let ended = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| {
            let ended = runtime.block_on(run(settings));
            // A call to a disk that hangs has a thread. Dropping the runtime, as
            // `#[tokio::main]` does, would wait for it without a limit.
            runtime.shutdown_background();
            ended
        });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings) -> Result<()> {
    let (address, path) = (settings.address, &settings.journal);
    // Before all else, so that a signal during the start is not missed.
    let mut signal = shutdown::signals()?;
    tracing::info!("opening {}", path.display());
    let journal = select! {
        journal = worker::open(path.clone()) => journal,
        () = signal() => bail!("stopped during the start"),
    };
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
    services.spawn(server::serve(
        listener,
        routes,
        stop.clone(),
        Limits::default(),
    ));
    let limit = Duration::from_secs(settings.drain.get().into());
    shutdown::finish(services, signal, stop, limit).await
}
