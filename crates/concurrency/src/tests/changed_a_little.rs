//! The changes that readers make first, tried on the public items: into a struct that is
//! shared and printed, into a spawned task, an error type of one's own, generic, and one
//! item more. Nothing runs here: the check is that it compiles.
#![expect(dead_code, reason = "it only has to compile")]

use std::error::Error;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{AcquireError, Notify, Semaphore, mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::actor::{self, Actor, Address, Ended};
use crate::condition_queue::{ConditionQueue, wait_for};
use crate::debounce_and_throttle::{Debounce, Throttle};
use crate::event::Event;
use crate::event_emitter::{EventEmitter, Subscription, WeakEmitter};
use crate::first_completed::first_completed;
use crate::first_success::first_success;
use crate::gather::gather;
use crate::lock_per_key::LockPerKey;
use crate::many_producers_many_consumers::SharedReceiver;
use crate::map_in_tasks::map_in_tasks;
use crate::map_with_limit::map_with_limit;
use crate::once_cell::Settings;
use crate::priority_queue::PriorityQueue;
use crate::resizable_limit::ResizableLimit;
use crate::single_flight::{NoResult, SingleFlight};
use crate::task_group::{TaskErrors, TaskGroup, task_group};
use crate::wait_for_first::first_exception;
use crate::wait_with_timeout::wait;
use crate::worker_pool::{Panicked, Results, worker_pool};

type BoxError = Box<dyn Error + Send + Sync>;
type Page = Result<String, Arc<AppError>>;

/// A job with a callback is neither `Clone` nor `Debug`.
struct Job(Box<dyn FnOnce() + Send + Sync>);

#[derive(Debug)]
struct App {
    words: Address<Request>,
    counter: JoinHandle<Words>,
    queue: ConditionQueue<String>,
    ready: Event,
    jobs: SharedReceiver<String>,
    urgent: PriorityQueue<u32, String>,
    pages: SingleFlight<String, Page>,
    results: Results<u32, String>,
    settings: Settings,
    balance: Mutex<u32>,
    paid_in: Notify,
    emitter: EventEmitter<Job, AppError>,
    weak: WeakEmitter<Job, AppError>,
    subscriptions: Vec<Subscription>,
    clients: LockPerKey<IpAddr>,
    typed: Debounce<String>,
    shown: Throttle<String>,
    limit: ResizableLimit,
}

/// A key need not be `Default`.
fn lock_per_client() -> LockPerKey<IpAddr> {
    LockPerKey::default()
}

struct Callbacks {
    jobs: ConditionQueue<Job>,
    urgent: PriorityQueue<u32, Job>,
    group: TaskGroup<AppError>,
}

static BUS: LazyLock<EventEmitter<String, AppError>> =
    LazyLock::new(EventEmitter::default);
static FLIGHTS: LazyLock<SingleFlight<String, Page>> = LazyLock::new(SingleFlight::new);
static QUEUE: LazyLock<ConditionQueue<Job>> = LazyLock::new(|| ConditionQueue::new(1));

fn shared<T: Send + Sync + 'static>(value: T) -> Arc<T> {
    Arc::new(value)
}

fn share(app: App, callbacks: Callbacks) {
    shared(app);
    shared(callbacks);
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("a task has ended")]
    Task(#[from] JoinError),
    #[error("no reply")]
    Actor(#[from] Ended),
    #[error("no page")]
    Page(#[from] NoResult),
    #[error("a job failed")]
    Job(#[from] Panicked),
    #[error("jobs failed")]
    Jobs(#[from] TaskErrors<BoxError>),
    #[error("the program stops")]
    Closed(#[from] SendError<Job>),
    #[error("the program stops")]
    Stopped(#[from] AcquireError),
    #[error("none of them: {0:?}")]
    None(Vec<AppError>),
}

#[derive(Debug, Default)]
struct Words(u32);

#[derive(Debug)]
enum Request {
    Add(u32),
    Count(oneshot::Sender<u32>),
    // One more.
    Clear,
}

impl Actor for Words {
    type Message = Request;

    async fn handle(&mut self, request: Request) -> ControlFlow<()> {
        match request {
            Request::Add(number) => self.0 += number,
            Request::Count(reply) => _ = reply.send(self.0),
            Request::Clear => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}

async fn fetch(url: String) -> Result<String, AppError> {
    Ok(url)
}

async fn read(url: String) -> anyhow::Result<String> {
    Ok(url)
}

impl App {
    async fn page(self: Arc<Self>, url: String) -> Result<String, AppError> {
        let call = fetch(url.clone());
        let page = self.pages.run(url, async { call.await.map_err(Arc::new) });
        page.await?.map_err(|_| AppError::Page(NoResult))
    }

    async fn ask(&self) -> anyhow::Result<u32> {
        self.ready.wait().await;
        self.words.tell(Request::Add(1)).await?;
        self.queue.put("one".to_owned()).await?;
        self.urgent.put(1, "one".to_owned()).await?;
        Ok(self.words.ask(Request::Count).await?)
    }

    async fn pay(&self, amount: u32) -> u32 {
        let pay = |balance: &mut u32| {
            *balance = balance.checked_sub(amount)?;
            Some(*balance)
        };
        wait_for(&self.balance, &self.paid_in, pay).await
    }

    async fn put(&self, callbacks: &Callbacks, job: Job) -> Result<(), AppError> {
        callbacks.urgent.put(1, Job(Box::new(|| ()))).await?;
        callbacks.jobs.put(job).await?;
        while let Some(item) = self.jobs.recv().await {
            drop((item, self.queue.get().await, self.urgent.get().await));
        }
        Ok(())
    }
}

fn spawn_methods(app: &Arc<App>, callbacks: Arc<Callbacks>, job: Job) {
    tokio::spawn(Arc::clone(app).page("url".to_owned()));
    let (asking, putting) = (Arc::clone(app), Arc::clone(app));
    tokio::spawn(async move { anyhow::Ok((asking.ask().await?, asking.pay(1).await)) });
    tokio::spawn(async move { putting.put(&callbacks, job).await });
}

fn spawn_functions(urls: Vec<String>) {
    let permits = Arc::new(Semaphore::new(2));
    tokio::spawn(async move {
        gather(urls.iter().cloned().map(fetch)).await?;
        first_completed(urls.iter().cloned().map(fetch))
            .await
            .transpose()?;
        let first = first_success(urls.iter().cloned().map(fetch)).await;
        first.map_err(AppError::None)?;
        map_with_limit(&urls, 2, |url| fetch(url.clone())).await?;
        map_in_tasks(urls, &permits, fetch).await
    });
}

fn spawn_with_anyhow(urls: Vec<String>) {
    let permits = Arc::new(Semaphore::new(2));
    tokio::spawn(async move {
        gather(urls.iter().cloned().map(read)).await?;
        map_with_limit(&urls, 2, |url| read(url.clone())).await?;
        map_in_tasks(urls.clone(), &permits, read).await?;
        let total = task_group(async |group| {
            let pages = urls.into_iter().map(|url| group.spawn(read(url)));
            Ok(pages.collect::<Vec<_>>().len())
        });
        anyhow::Ok(total.await?)
    });
}

fn spawn_a_group_and_a_pool(urls: Vec<String>) {
    tokio::spawn(async move {
        task_group(|group| async move {
            let inner = group.clone();
            group.spawn(async move {
                inner.spawn(async { Ok(()) });
                Ok(())
            });
            Ok::<_, BoxError>(())
        })
        .await?;
        let (jobs, mut results) = worker_pool(2, 1, fetch);
        tokio::spawn(async move {
            for url in urls {
                jobs.send((url.clone(), url)).await?;
            }
            anyhow::Ok(())
        });
        while let Some((_, page)) = results.next().await {
            page??;
        }
        results.stop().await;
        Ok::<_, AppError>(())
    });
}

fn spawn_listeners(name: &'static str) {
    tokio::spawn(async move {
        let (mut subscriptions, weak) = (Vec::new(), BUS.downgrade());
        for number in 0..2 {
            let weak = weak.clone();
            subscriptions.push(BUS.on(name, move |text| {
                let weak = weak.clone();
                async move {
                    if let Some(bus) = weak.upgrade() {
                        let _ = bus.emit("other", format!("{text} {number}")).await;
                    }
                    Ok(())
                }
            }));
        }
        BUS.emit(name, "text".to_owned()).await
    });
}

fn spawn_waits(mut tasks: JoinSet<Result<String, AppError>>) {
    tokio::spawn(async move {
        wait(&mut tasks, Duration::from_secs(1)).await;
        crate::wait_for_first::first_completed(&mut tasks).await;
        first_exception(&mut tasks, &mut Vec::new()).await
    });
}

/// Futures of two functions in one list.
fn one_more_function(url: &str) {
    let [first, second] = [url, url].map(str::to_owned);
    let calls: [futures::future::BoxFuture<'static, _>; 2] =
        [Box::pin(fetch(first)), Box::pin(async { Ok(second) })];
    tokio::spawn(gather(calls));
}

async fn all<T, E, Fut>(calls: Vec<Fut>) -> Result<Vec<T>, E>
where
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    gather(calls).await
}

async fn any<T, E, Fut>(calls: Vec<Fut>) -> Result<T, Vec<E>>
where
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    first_success(calls).await
}

async fn each<T, R, E, Fut>(items: Vec<T>, f: impl Fn(T) -> Fut) -> Result<Vec<R>, E>
where
    Fut: Future<Output = Result<R, E>>,
{
    map_with_limit(items, 8, f).await
}

async fn load<K, V, Fut>(flights: &SingleFlight<K, V>, key: K, call: Fut) -> Option<V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
    Fut: Future<Output = V> + Send + 'static,
{
    flights.run(key, call).await.ok()
}

async fn tell<A: Actor>(actor: A, message: A::Message) -> bool {
    let (address, _) = actor::start(actor, 1);
    address.clone().tell(message).await.is_ok()
}

async fn pass<P: Ord, T>(
    from: &ConditionQueue<T>,
    to: &PriorityQueue<P, T>,
    priority: P,
) {
    if let Some(item) = from.get().await {
        let _ = to.put(priority, item).await;
    }
}

async fn together<T, E, Fut>(calls: Vec<Fut>) -> Result<(), TaskErrors<E>>
where
    T: Send + 'static,
    E: Debug + Display + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    task_group(async |group| {
        for call in calls {
            group.spawn(call);
        }
        Ok(())
    })
    .await
}

async fn pooled<J, R, Fut>(jobs: Vec<J>, work: impl Fn(J) -> Fut + Send + Sync + 'static)
where
    J: Send + 'static,
    R: Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    let (sender, mut results) = worker_pool(2, 1, work);
    for (number, job) in jobs.into_iter().enumerate() {
        let _ = sender.send((number, job)).await;
    }
    drop(sender);
    while results.next().await.is_some() {}
}

struct Topic<T, E> {
    emitter: EventEmitter<T, E>,
    receiver: SharedReceiver<T>,
}

impl<T: Clone + Send + 'static, E: From<JoinError> + Send + 'static> Topic<T, E> {
    fn new(receiver: mpsc::Receiver<T>) -> Self {
        let (emitter, receiver) =
            (EventEmitter::default(), SharedReceiver::new(receiver));
        Self { emitter, receiver }
    }

    async fn forward(&self) {
        while let Some(item) = self.receiver.clone().recv().await {
            let _ = self.emitter.emit("item", item).await;
        }
    }
}
