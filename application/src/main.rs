//! A service that keeps notes:
//! `curl --json '{"text": "a note"}' 127.0.0.1:8080/notes`.
//! Exit codes: 0 after a shutdown, 1 after a failure, 2 for a wrong setting.

use std::{io, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use app::{observe::Metrics, routes, routes::AppState, server, server::Limits};
use app::{settings::Settings, shutdown, store::Database, store::Store, worker};
use tokio::{net::TcpListener, runtime::Runtime, select, task::JoinSet};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let settings = Settings::read();
    let (filter, database) = match checked(&settings) {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    let log = tracing_subscriber::fmt().with_writer(io::stderr);
    log.with_env_filter(filter).init();

    match start(settings, database) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns what clap cannot check: it would show the password of a database.
fn checked(settings: &Settings) -> Result<(EnvFilter, Database)> {
    let filter = EnvFilter::try_new(&settings.log)
        .with_context(|| format!("invalid value '{}' for '--log'", settings.log))?;
    let database = settings.database.parse();
    Ok((filter, database.context("invalid value for '--database'")?))
}

fn start(settings: Settings, database: Database) -> Result<()> {
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let ended = runtime.block_on(run(settings, database));
    // Dropping the runtime, as `#[tokio::main]` does, would wait without a limit for a
    // blocking call.
    runtime.shutdown_background();
    ended
}

async fn run(settings: Settings, database: Database) -> Result<()> {
    let address = settings.address;
    let name = database.to_string();
    // Before all else, so that a signal during the start is not missed.
    let mut signal = shutdown::signals()?;
    tracing::info!("opening {name}");
    let opened = select! {
        opened = Store::open(database, settings.queue.get().into()) => opened,
        () = signal() => bail!("stopped during the start"),
    };
    let (store, stored) = opened.with_context(|| format!("cannot open {name}"))?;
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let stop = shutdown::Stop::default();
    let accepting = stop.accepting.clone();
    let working = worker::work(store.clone(), accepting.clone(), worker::count_words);
    let state = AppState {
        store,
        metrics: Metrics::default(),
        stopping: stop.stopping.clone(),
    };
    let routes = routes::routes(state);
    // Only now: whoever waits for this line finds a service that answers.
    tracing::info!("listening on {}", listener.local_addr()?);

    // The server ends after its last request, the worker after its job. With them goes
    // the last handle of the store, and so the store ends after its last call.
    let mut services = JoinSet::new();
    services.spawn(stored);
    services.spawn(working);
    services.spawn(server::serve(
        listener,
        routes,
        accepting,
        Limits::default(),
    ));
    let seconds = |seconds: u16| Duration::from_secs(seconds.into());
    let (notice, drain) = (seconds(settings.notice), seconds(settings.drain.get()));
    shutdown::finish(services, signal, stop, notice, drain).await
}
