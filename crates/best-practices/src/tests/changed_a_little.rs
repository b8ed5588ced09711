//! The changes that readers make first, tried on the public items: into a struct that is
//! shared and printed, into a spawned task, an error type of one's own, generic, and one
//! item more. Nothing runs here: the check is that it compiles.
#![expect(dead_code, reason = "it only has to compile")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::batching::Batches;
use crate::cancel_everywhere::{at_each_await, cancel_at};
use crate::cpu_bound::CpuPool;
use crate::dos_and_donts::{PriceError, price};
use crate::metrics::{CallMetrics, metrics_page};
use crate::shared_client_in_tests::{RUNTIME, client, with_sources};
use crate::structured_logging;
use crate::task_dump::{Tasks, step};
use crate::test_a_server::{TestServer, call};
use crate::unit_testing::{Calculator, FetchError, Source};
use crate::watchdog::Watchdog;

static WATCHDOG: LazyLock<Watchdog> =
    LazyLock::new(|| Watchdog::start(Duration::from_secs(1), |_, _| ()));

#[derive(Debug)]
struct App {
    batches: Batches<String>,
    calculator: Calculator<Arc<Pages>>,
    metrics: CallMetrics,
    pool: Arc<CpuPool>,
    server: TestServer,
    tasks: Tasks,
    watchdog: Watchdog,
    client: reqwest::Client,
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error(transparent)]
    Page(#[from] FetchError),
    #[error(transparent)]
    Price(#[from] PriceError),
    #[error("cannot write")]
    Write(#[from] std::io::Error),
}

/// A source with a state, which several calculators share.
#[derive(Debug)]
struct Pages(Vec<u32>);

impl Source for Arc<Pages> {
    async fn fetch(&self, page: &str) -> Result<u32, FetchError> {
        let number = page.parse().ok().and_then(|page: usize| self.0.get(page));
        number
            .copied()
            .ok_or_else(|| FetchError::NotFound(page.to_owned()))
    }
}

impl App {
    fn new(items: mpsc::Receiver<String>, server: TestServer) -> anyhow::Result<Self> {
        Ok(Self {
            batches: Batches::new(items, 100, Duration::from_secs(1)),
            calculator: Calculator::new(Arc::new(Pages(vec![1]))),
            metrics: CallMetrics::new(&mut Registry::default()),
            pool: Arc::new(CpuPool::new(2)?),
            server,
            tasks: Tasks::default(),
            watchdog: Watchdog::start(Duration::from_secs(1), |_, _| ()),
            client: client(),
        })
    }

    async fn add(&self, page: &str) -> Result<u64, AppError> {
        let calls = async {
            let sum = self.calculator.fetch_and_add(page, 1).await?;
            Ok(sum + u64::from(price(page).await?))
        };
        let calls = calls.instrument(structured_logging::request(1));
        let watched = self.watchdog.watch(page, calls);
        self.metrics
            .track("add", WATCHDOG.watch("add", watched))
            .await
    }

    async fn write_all(mut self) -> Result<(), AppError> {
        while let Some(batch) = self.batches.next().await {
            tokio::fs::write("batch", batch.join("\n")).await?;
            self.batches.written();
        }
        Ok(())
    }
}

fn spawn_methods(app: Arc<App>, also: App, page: String) {
    let pool = Arc::clone(&app.pool);
    let tasks = app.tasks.clone();
    let adding = async move { step("add", app.add(&page)).await };
    tokio::spawn(tasks.track("page", adding));
    tokio::spawn(async move { pool.run(|stop| stop.is_cancelled()).await });
    tokio::spawn(also.write_all());
}

fn serve(registry: Registry, routes: Router) -> anyhow::Result<()> {
    let app = routes.merge(metrics_page(registry));
    RUNTIME.block_on(async {
        let (status, text) = call(app.clone(), "/metrics")
            .await
            .map_err(anyhow::Error::from_boxed)?;
        anyhow::ensure!(status.is_success(), text);
        let server = TestServer::start(app).await?;
        let url = format!("http://{}/metrics", server.address);
        let answer = client().get(url).send().await;
        answer.map_err(|error| anyhow::anyhow!(with_sources(&error)))?;
        server.shut_down().await.map_err(anyhow::Error::from_boxed)
    })
}

/// The awaits of any call that is made again each time.
fn spawn_at_each_await<T, E, Fut>(call: impl Fn() -> Fut + Send + 'static)
where
    T: Send + 'static,
    E: Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    tokio::spawn(at_each_await(move |number| {
        let call = call();
        async move {
            cancel_at(number, call)
                .await
                .transpose()
                .map(|done| done.is_some())
        }
    }));
}

async fn batched<T, E, Fut>(
    mut batches: Batches<T>,
    write: impl Fn(Vec<T>) -> Fut,
) -> Result<(), E>
where
    T: Clone,
    Fut: Future<Output = Result<(), E>>,
{
    while let Some(batch) = batches.next().await {
        write(batch.to_vec()).await?;
        batches.written();
    }
    Ok(())
}

async fn sum<S: Source>(
    calculator: &Calculator<S>,
    pages: &[&str],
) -> anyhow::Result<u64> {
    let mut sum = 0;
    for page in pages {
        sum += calculator.fetch_and_add(page, 0).await?;
    }
    Ok(sum)
}
