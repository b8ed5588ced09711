//! Close forgotten resources: a manager closes those that nobody holds, and reports them.
//!
//! The manager and the users share each resource in an `Arc`. A resource that only the
//! manager holds, and that is not closed, was forgotten. In Python the manager has a
//! `weakref` to it. A close that fails, panics or hangs stops no other close.
//!
//! Bounds: each close takes at most `limit`. Unbounded: the number of resources.
//!
//! Trap: a share in a cache, or in a task that never ends, counts as use. So call
//! `close_all` at the end.
//!
//! In production: use this as a safety net. A guard whose `Drop` closes in a task, as in
//! `goodbye_on_close`, closes at once; here a resource stays open until the next sweep.
//!
//! See also: `goodbye_on_close`, `scoped_resource`, `exit_stack`.
//!
//! asyncio: weakref.ref, asyncio.gather(return_exceptions=True), asyncio.Task.cancel
//! order: 1 is open

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

/// A resource whose close has to await.
pub trait Resource: Send + Sync + 'static {
    /// The error of a close.
    type Error: Send;

    /// Returns its name for a report.
    fn name(&self) -> &str;

    /// Returns whether it is closed.
    fn is_closed(&self) -> bool;

    /// Closes it. A second call waits for the first one, and does nothing if that
    /// succeeded.
    fn close(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why a resource could not be closed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotClosed<E> {
    #[error("{0}")]
    Failed(E),
    #[error("it panicked")]
    Panicked,
    /// It took longer than the manager allows, and was dropped at its await.
    #[error("it took too long")]
    TimedOut,
}

/// The name of a resource that its users had not closed, and whether it is closed now.
pub type Report<E> = (String, Result<(), NotClosed<E>>);

/// Holds resources until they are closed.
pub struct Manager<R> {
    resources: Mutex<Vec<Arc<R>>>,
    limit: Duration,
}

impl<R: Resource> Manager<R> {
    /// Returns a manager that gives each close at most `limit`.
    pub fn new(limit: Duration) -> Self {
        let resources = Mutex::default();
        Self { resources, limit }
    }

    /// Adds a resource and returns a share for its users. If all clones of the share are
    /// dropped and the resource is not closed, it was forgotten.
    pub fn add(&self, resource: R) -> Arc<R> {
        let resource = Arc::new(resource);
        self.resources().push(Arc::clone(&resource));
        resource
    }

    /// Returns how many resources are open.
    pub fn open(&self) -> usize {
        self.resources().len()
    }

    /// Closes all forgotten resources concurrently, and reports each.
    ///
    /// A resource that cannot be closed is reported and removed. Dropping the future
    /// leaves the resources that are not closed for the next call.
    pub async fn close_forgotten(&self) -> Vec<Report<R::Error>> {
        // One share is here.
        self.close_if(|resource| Arc::strong_count(resource) == 1)
            .await
    }

    /// Closes all resources, also those in use.
    pub async fn close_all(&self) -> Vec<Report<R::Error>> {
        self.close_if(|_| true).await
    }

    async fn close_if(&self, chosen: impl Fn(&Arc<R>) -> bool) -> Vec<Report<R::Error>> {
        let chosen: Vec<Arc<R>> = {
            let resources = self.resources();
            let chosen = resources.iter().filter(|resource| chosen(resource));
            chosen.cloned().collect()
        };
        let reports = join_all(chosen.iter().map(async |resource| {
            let closing = AssertUnwindSafe(async { resource.close().await });
            let outcome = match timeout(self.limit, closing.catch_unwind()).await {
                Ok(Ok(outcome)) => outcome.map_err(NotClosed::Failed),
                Ok(Err(_panic)) => Err(NotClosed::Panicked),
                Err(_) => Err(NotClosed::TimedOut),
            };
            (resource.name().to_string(), outcome)
        }))
        .await;
        self.resources()
            .retain(|resource| !chosen.iter().any(|done| Arc::ptr_eq(done, resource)));
        reports
    }

    /// Returns the resources that are not closed.
    fn resources(&self) -> MutexGuard<'_, Vec<Arc<R>>> {
        let resources = self.resources.lock();
        let mut resources = resources.unwrap_or_else(PoisonError::into_inner);
        resources.retain(|resource| !resource.is_closed());
        resources
    }
}

/// Closes the forgotten resources after each pause, until the future is dropped.
pub async fn sweep<R: Resource>(
    manager: Arc<Manager<R>>,
    pause: Duration,
    report: impl Fn(Vec<Report<R::Error>>),
) {
    loop {
        sleep(pause).await;
        report(manager.close_forgotten().await);
    }
}

fn print_reports<E: fmt::Display>(why: &str, reports: Vec<Report<E>>) {
    for (name, outcome) in reports {
        match outcome {
            Ok(()) => println!("{name} was {why}, now it is closed"),
            Err(error) => println!("{name} was {why}, closing failed: {error}"),
        }
    }
}

/// Stands for a connection.
pub struct Connection {
    name: String,
    server_is_gone: bool,
    server_hangs: bool,
    closed: OnceCell<()>,
}

impl Connection {
    pub(crate) fn open(number: u32) -> Self {
        Self {
            name: format!("Resource-{number}"),
            server_is_gone: number == 3,
            server_hangs: number == 5,
            closed: OnceCell::new(),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct ServerIsGone;

impl fmt::Display for ServerIsGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its server is gone")
    }
}

impl Error for ServerIsGone {}

impl Resource for Connection {
    type Error = ServerIsGone;

    fn name(&self) -> &str {
        &self.name
    }

    fn is_closed(&self) -> bool {
        self.closed.initialized()
    }

    async fn close(&self) -> Result<(), ServerIsGone> {
        let close = async || {
            println!("Closing {}", self.name);
            sleep(Duration::from_millis(100)).await;
            if self.server_is_gone {
                return Err(ServerIsGone);
            }
            if self.server_hangs {
                pending::<()>().await;
            }
            Ok(())
        };
        // Of several calls at the same time one runs, the others wait for it.
        self.closed.get_or_try_init(close).await.copied()
    }
}

/// Uses a resource, and forgets to close it before an early return.
async fn use_resource(
    manager: &Manager<Connection>,
    number: u32,
) -> Result<(), ServerIsGone> {
    let resource = manager.add(Connection::open(number));
    sleep(Duration::from_millis(100)).await;
    if number % 2 == 1 {
        println!("{} has nothing to do", resource.name());
        return Ok(());
    }
    resource.close().await
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let manager = Arc::new(Manager::new(Duration::from_millis(300)));
    let pause = Duration::from_secs(1);
    let report = |reports| print_reports("forgotten", reports);
    let sweeping = tokio::spawn(sweep(Arc::clone(&manager), pause, report));
    let sweeping = AbortOnDropHandle::new(sweeping);

    println!("Six resources, three are not closed by their users:");
    for number in 0..6 {
        use_resource(&manager, number).await?;
    }
    println!("{} are open", manager.open());

    println!("The next sweep, after 1 s, closes each within 0.3 s:");
    let in_use = manager.add(Connection::open(6));
    sleep(Duration::from_millis(600)).await;
    println!("{} is open", manager.open());

    println!("One is in use, which no sweep closes:");
    sleep(pause).await;
    println!("{} is open", manager.open());

    println!("The end:");
    drop(sweeping);
    print_reports("still in use", manager.close_all().await);
    println!("{} are open", manager.open());
    // It is closed, but its memory stays as long as somebody holds it.
    in_use.close().await?;
    println!("Closed again");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
