//! The changes that readers make first, tried on the public items: into a struct that is
//! shared and printed, into a spawned task, an error type of one's own, generic, and one
//! item more. Nothing runs here: the check is that it compiles.
#![expect(dead_code, reason = "it only has to compile")]

use std::error::Error;
use std::fmt::{Debug, Display};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::backtraces::{At, Closed, spawn_at};
use crate::bulkhead::{Bulkhead, Full};
use crate::cancellation_tree::{Stop, StopOnDrop, Stopped};
use crate::circuit_breaker::{CircuitBreaker, Rejected};
use crate::collect_all_errors::all_or_errors;
use crate::deadlines::{Deadline, DeadlineExceeded};
use crate::first_error_wins::try_all;
use crate::gather_errors::{gather_all, try_gather};
use crate::hedged_request::{BothFailed, hedged};
use crate::http_timeouts::{self, Limits};
use crate::panic_in_a_task::{GaveUp, join, supervise};
use crate::partial_success::{Outcomes, TooFew, try_each};
use crate::retry::{RetryPolicy, Retryable, retry};
use crate::retry_budget::RetryBudget;
use crate::shield_and_clean_up::{Ended, Shield};
use crate::task_group_errors::{ErrorGroup, run_all};
use crate::timeout_of_blocking_work::{run_blocking, run_blocking_for};
use crate::timeouts::join_or_stop;
use crate::timing::{print_as, timed};

const SECOND: Duration = Duration::from_secs(1);

static BREAKER: LazyLock<CircuitBreaker<AppError>> =
    LazyLock::new(|| CircuitBreaker::new(5, SECOND, |_| true));

#[derive(Debug)]
struct App {
    client: reqwest::Client,
    bulkhead: Bulkhead,
    breaker: CircuitBreaker<AppError>,
    budget: RetryBudget,
    calls: CircuitBreaker<anyhow::Error>,
    deadline: Deadline,
    policy: RetryPolicy,
    shield: Shield,
    stop: Stop<Arc<str>>,
    on_drop: StopOnDrop<&'static str>,
    last: Option<Outcomes<String, u32, anyhow::Error>>,
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("a task has ended")]
    Task(#[from] JoinError),
    #[error(transparent)]
    Full(#[from] Full),
    #[error(transparent)]
    Stopped(#[from] Stopped<Arc<str>>),
    #[error(transparent)]
    Rejected(#[from] Rejected),
    #[error(transparent)]
    Deadline(#[from] DeadlineExceeded),
    #[error(transparent)]
    Hedged(#[from] BothFailed<anyhow::Error>),
    #[error(transparent)]
    Supervised(#[from] GaveUp),
    #[error(transparent)]
    TooFew(#[from] TooFew<String, u32, anyhow::Error>),
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error("some failed")]
    Group(#[from] ErrorGroup<Box<dyn Error + Send + Sync>>),
    #[error(transparent)]
    Http(#[from] http_timeouts::FetchError),
}

fn is_temporary(error: &AppError) -> Retryable {
    match error {
        AppError::Http(_) => Retryable::Yes,
        AppError::Rejected(Rejected::Open { retry_after }) => {
            Retryable::After(*retry_after)
        }
        _ => Retryable::No,
    }
}

async fn length(url: String) -> anyhow::Result<u32> {
    Ok(url.len().try_into()?)
}

impl App {
    /// One within the other: retry, breaker, bulkhead, deadline, and the request.
    async fn fetch(&self, url: &str) -> Result<String, AppError> {
        let request = || async {
            let call = || async { Ok(http_timeouts::fetch(&self.client, url).await?) };
            let limited = || async {
                let call = self.bulkhead.run(|| BREAKER.call(call));
                self.deadline.run(call).await???
            };
            self.breaker.call(limited).await?
        };
        let retried = retry(&self.policy, is_temporary, request);
        timed(self.stop.run(retried), print_as(url)).await?
    }

    async fn length(self: Arc<Self>, url: &str) -> anyhow::Result<u32> {
        let call = || self.calls.call(|| length(url.to_owned()));
        let value = hedged(SECOND, || async { call().await? }).await?;
        let page = self.fetch(url).await.at(format_args!("no page {url}"))?;
        match self.shield.run(async move { page.len() }).await? {
            Ended::Done(length) => anyhow::ensure!(length > 0, "an empty page"),
            Ended::Stopped | Ended::Refused => anyhow::bail!("the program stops"),
        }
        Ok(value)
    }
}

fn spawn_methods(app: Arc<App>, urls: Vec<String>) {
    let also = Arc::clone(&app);
    tokio::spawn(async move { also.length(&urls.concat()).await });
    tokio::spawn(async move { app.fetch("url").await });
}

fn spawn_lists(urls: Vec<String>, stop: CancellationToken) {
    let lengths = move || urls.clone().into_iter().map(length);
    tokio::spawn(async move {
        try_all(lengths()).await?;
        try_gather(lengths()).await?;
        gather_all(lengths()).await;
        let outcomes = try_each(vec!["url".to_owned()], length).await;
        let values = outcomes.at_least(1)?.succeeded;
        anyhow::Ok(values)
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(async { Err("refused".into()) });
    tokio::spawn(async move {
        run_all(tasks, &stop).await?;
        try_each(["url".to_owned()], length).await.at_least(1)?;
        let hedged = hedged(SECOND, || length("url".to_owned())).await?;
        Ok::<_, AppError>(hedged)
    });
}

fn spawn_tasks(start: impl Fn() -> JoinHandle<u32> + Send + Sync + 'static) {
    let start = Arc::new(start);
    tokio::spawn(async move {
        let again = Arc::clone(&start);
        supervise(3, SECOND, move || {
            let start = Arc::clone(&again);
            async move { start().await.unwrap_or(0) }
        })
        .await?;
        join(start()).await;
        join_or_stop(SECOND, start()).await?;
        run_blocking(|stop| stop.is_cancelled()).await?;
        run_blocking_for(SECOND, move |_| start().id()).await?;
        Ok::<_, AppError>(())
    });
    tokio::spawn(async {
        let first = [1_u32].first().copied().at("nothing is there")?;
        spawn_at(length("url".to_owned())).await?.at(first)
    });
}

/// Errors of two types in one list, and one kind of them taken out.
fn one_more_error(number: std::num::ParseIntError) -> Result<(), impl Debug> {
    let errors: [anyhow::Error; 2] = [number.into(), DeadlineExceeded.into()];
    let errors = ErrorGroup(Vec::from(errors));
    errors.except(|error| error.is::<DeadlineExceeded>(), drop)
}

fn all_valid<T, E: Display>(fields: Vec<Result<T, E>>) -> anyhow::Result<Vec<T>> {
    let valid = all_or_errors(fields);
    valid.map_err(|errors| anyhow::anyhow!("{} mistakes", errors.len()))
}

/// A call of any service, with all that protects it.
struct Guarded<E> {
    bulkhead: Bulkhead,
    breaker: CircuitBreaker<E>,
    policy: RetryPolicy,
}

impl<E: From<Full> + From<Rejected>> Guarded<E> {
    async fn call<T, Fut>(&self, call: impl Fn() -> Fut) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        let guarded = || async {
            let call = self.bulkhead.run(|| self.breaker.call(&call));
            call.await??
        };
        retry(&self.policy, |_| Retryable::Yes, guarded).await
    }
}

async fn first_of_two<T, E, Fut>(call: impl FnMut() -> Fut) -> Result<T, BothFailed<E>>
where
    Fut: Future<Output = Result<T, E>>,
{
    hedged(SECOND, call).await
}

async fn most<T, E, Fut>(calls: Vec<Fut>) -> Result<Vec<T>, Vec<E>>
where
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    all_or_errors(gather_all(calls).await)
}

async fn until<R: Clone, F: Future>(stop: &Stop<R>, work: F) -> Option<F::Output> {
    stop.child().run(work).await.ok()
}

fn proxied([connect, read, total]: [u64; 3]) -> reqwest::ClientBuilder {
    let [connect, read, total] = [connect, read, total].map(Duration::from_secs);
    let limits = Limits {
        connect,
        read,
        total,
    };
    limits.client_builder().no_proxy()
}
