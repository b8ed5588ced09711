//! Structured concurrency: a scope whose tasks spawn tasks, and none outlives it.
//!
//! As a `TaskGroup` it returns when all its tasks have ended, those that tasks have
//! spawned too. Unlike it, and unlike `task_group`, it gives back the first error itself,
//! and any task can end it early with a value; the rest is stopped, and has ended, before
//! it returns. Dropped, as by a time limit, it aborts its tasks but does not wait. The
//! trap is a task that borrows: "`folders` does not live long enough". A scope could be
//! dropped while a task still runs, so a task owns what it uses, in an `Arc`. With the
//! crate `moro` tasks may borrow, as all run in one task; with `async-scoped` too, by
//! blocking a thread or with `unsafe`. What `tokio::spawn` starts belongs to no scope:
//! `drop_or_detach`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.TaskGroup.create_task, asyncio.TaskGroup.cancel

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::select;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Spawns tasks into a scope, from its body and from its tasks, and ends it. Clones
/// belong to the same scope; tasks get one moved in.
pub struct Scope<T, E>(mpsc::UnboundedSender<Message<T, E>>);

enum Message<T, E> {
    Spawn(BoxFuture<'static, Result<(), E>>),
    End(T),
}

tokio::task_local! {
    /// Tells a scope in a task, or in a body, of which scope that is a part.
    static PART: Arc<Part>;
}

/// Held by all that runs in a scope, and so by what runs in scopes within it: an aborted
/// task aborts the tasks of its scopes, but does not wait for them. The outer scope does.
struct Part {
    _running: TaskTrackerToken,
    _outer: Option<Arc<Part>>,
}

/// Runs the body, which may spawn tasks into the scope, and waits for it and for them.
///
/// The first error, or the first value that is given to [`Scope::end`], stops the body
/// and the tasks: they are dropped at the await where they are, and are gone when this
/// returns, with the tasks of scopes within them. What was started by `tokio::spawn` does
/// not belong to the scope.
///
/// Dropped before it is ready, it aborts all tasks, but does not wait for them; a scope
/// around it does.
///
/// # Errors
///
/// The first error of the tasks and the body. Later ones are lost.
///
/// # Panics
///
/// When the body or a task does, with the same payload, after the rest has ended.
pub async fn scope<T, E: Send + 'static>(
    body: impl AsyncFnOnce(Scope<T, E>) -> Result<T, E>,
) -> Result<T, E> {
    let tracker = TaskTracker::new();
    let part = Arc::new(Part {
        _running: tracker.token(),
        _outer: PART.try_with(Arc::clone).ok(),
    });
    let (sender, messages) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let body = PART.scope(Arc::clone(&part), body(Scope(sender)));
    let outcome = first_outcome(&mut tasks, messages, part, body).await;

    // What still runs is stopped; no messages are read any more.
    tasks.abort_all();
    let mut panic = None;
    while let Some(ended) = tasks.join_next().await {
        panic = panic.or(ended.err().and_then(|error| error.try_into_panic().ok()));
    }
    tracker.close();
    tracker.wait().await;
    match (outcome, panic) {
        (Outcome::Panicked(panic), _) | (_, Some(panic)) => resume_unwind(panic),
        (Outcome::Returned(result), None) => result,
    }
}

enum Outcome<T, E> {
    Returned(Result<T, E>),
    Panicked(Box<dyn Any + Send>),
}

/// Starts tasks until the scope has a result, then drops the body and the messages.
async fn first_outcome<T, E: Send + 'static>(
    tasks: &mut JoinSet<Result<(), E>>,
    mut messages: mpsc::UnboundedReceiver<Message<T, E>>,
    part: Arc<Part>,
    body: impl Future<Output = Result<T, E>>,
) -> Outcome<T, E> {
    let mut body = pin!(AssertUnwindSafe(body).catch_unwind());
    let mut value = None;
    loop {
        // Whatever a task has sent is there before the task is joined.
        if tasks.is_empty() && messages.is_empty() && value.is_some() {
            break;
        }
        select! {
            biased;
            Some(message) = messages.recv() => match message {
                Message::Spawn(future) => {
                    tasks.spawn(PART.scope(Arc::clone(&part), future));
                }
                Message::End(value) => return Outcome::Returned(Ok(value)),
            },
            Some(ended) = tasks.join_next() => {
                match ended.map_err(JoinError::try_into_panic) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        return Outcome::Returned(ended_or(messages, error));
                    }
                    Err(Ok(panic)) => return Outcome::Panicked(panic),
                    Err(Err(_shut_down)) => {}
                }
            }
            ended = &mut body, if value.is_none() => match ended {
                Ok(Ok(returned)) => value = Some(returned),
                Ok(Err(error)) => {
                    return Outcome::Returned(ended_or(messages, error));
                }
                Err(panic) => return Outcome::Panicked(panic),
            },
        }
    }
    Outcome::Returned(Ok(value.expect("the loop ends only with one")))
}

/// The value with which the scope was ended before the error, or else the error.
fn ended_or<T, E>(
    mut messages: mpsc::UnboundedReceiver<Message<T, E>>,
    error: E,
) -> Result<T, E> {
    while let Ok(message) = messages.try_recv() {
        if let Message::End(value) = message {
            return Ok(value);
        }
    }
    Err(error)
}

impl<T, E> Scope<T, E> {
    /// Starts a task of the scope, as soon as the scope's own task has its turn. A scope
    /// that has ended drops it. What a task finds goes into a channel, or to `end`.
    pub fn spawn(&self, task: impl Future<Output = Result<(), E>> + Send + 'static) {
        // It fails when the scope has ended.
        let _ = self.0.send(Message::Spawn(task.boxed()));
    }

    /// Ends the scope with a value: stops its body and its tasks, the caller too, at its
    /// next await. The first value counts, unless the scope has met an error before it.
    pub fn end(&self, value: T) {
        let _ = self.0.send(Message::End(value));
    }
}

impl<T, E> Clone for Scope<T, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A folder, which takes some time to list.
struct Folder {
    path: String,
    millis: u64,
    file: Result<&'static str, Unreadable>,
    folders: Vec<Arc<Folder>>,
}

#[derive(Clone, Debug)]
struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read", self.0)
    }
}

impl Error for Unreadable {}

/// What is searched for, and how many listings were stopped before their end.
struct Search {
    file: &'static str,
    stopped: AtomicU32,
}

impl Search {
    fn new(file: &'static str) -> Arc<Self> {
        let stopped = AtomicU32::new(0);
        Arc::new(Self { file, stopped })
    }
}

/// Counts, when it is dropped, a listing that has not come to its end.
struct Listing<'a> {
    search: &'a Search,
    done: bool,
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.search.stopped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// The path of the file, or `None` if it is nowhere.
type Found = Option<String>;

/// Lists a folder, and starts a task for each folder in it. In a box, as an `async fn`
/// cannot spawn itself: see `recursion`.
fn look_into(
    folder: Arc<Folder>,
    search: Arc<Search>,
    scope: Scope<Found, Unreadable>,
) -> BoxFuture<'static, Result<(), Unreadable>> {
    let look = async move {
        let mut listing = Listing {
            search: &search,
            done: false,
        };
        sleep(Duration::from_millis(folder.millis)).await;
        listing.done = true;
        let file = folder.file.clone()?;
        println!("{} listed", folder.path);
        if file == search.file {
            scope.end(Some(format!("{}/{file}", folder.path)));
        }
        for inner in &folder.folders {
            let (inner, search) = (Arc::clone(inner), Arc::clone(&search));
            scope.spawn(look_into(inner, search, scope.clone()));
        }
        Ok(())
    };
    look.boxed()
}

async fn find(folder: Arc<Folder>, search: Arc<Search>) -> Result<Found, Unreadable> {
    scope(async |scope| {
        look_into(folder, search, scope).await?;
        Ok(None)
    })
    .await
}

/// The same in several folders, the next of which is begun 50 ms later.
async fn find_in_all(
    folders: [Arc<Folder>; 2],
    search: Arc<Search>,
) -> Result<Found, Unreadable> {
    scope(async |scope| {
        for folder in folders {
            let (all, search) = (scope.clone(), Arc::clone(&search));
            scope.spawn(async move {
                if let Some(path) = find(folder, search).await? {
                    all.end(Some(path));
                }
                Ok(())
            });
            sleep(Duration::from_millis(50)).await;
        }
        Ok(None)
    })
    .await
}

/// A disk, in which one file can be read or not.
fn disk(name: &str, todo: Result<&'static str, Unreadable>) -> Arc<Folder> {
    let folder = |path, millis, file, folders| {
        Arc::new(Folder {
            path: format!("{name}{path}"),
            millis,
            file,
            folders,
        })
    };
    let ann = folder("/home/ann", 100, Ok("notes"), vec![]);
    let bob = folder("/home/bob", 300, todo, vec![]);
    let log = folder("/var/log", 200, Ok("errors"), vec![]);
    let home = folder("/home", 200, Ok("readme"), vec![ann, bob]);
    let var = folder("/var", 400, Ok("pid"), vec![log]);
    folder("", 100, Ok("fstab"), vec![home, var])
}

fn report(found: Result<Found, Unreadable>, search: &Search) {
    let found = found.map(|path| path.unwrap_or_else(|| "nowhere".into()));
    let found = found.unwrap_or_else(|error| error.to_string());
    let stopped = search.stopped.load(Ordering::SeqCst);
    println!("{}: {found}; listings stopped: {stopped}", search.file);
}

pub async fn run() {
    println!("All tasks have ended, also those that tasks have spawned:");
    let search = Search::new("letters");
    report(
        find(disk("c", Ok("todo")), Arc::clone(&search)).await,
        &search,
    );

    println!("Ended early by a task:");
    let search = Search::new("notes");
    report(
        find(disk("c", Ok("todo")), Arc::clone(&search)).await,
        &search,
    );

    println!("Ended by an error:");
    let search = Search::new("errors");
    let locked = Err(Unreadable(String::from("c/home/bob")));
    report(find(disk("c", locked), Arc::clone(&search)).await, &search);

    println!("Two scopes within one, of which the first ends early:");
    let search = Search::new("notes");
    let disks = [disk("c", Ok("todo")), disk("d", Ok("todo"))];
    report(find_in_all(disks, Arc::clone(&search)).await, &search);

    println!("Dropped after 0.25 s:");
    let search = Search::new("notes");
    let limit = Duration::from_millis(250);
    let found = timeout(limit, find(disk("c", Ok("todo")), Arc::clone(&search)));
    if found.await.is_err() {
        println!("time is up");
    }
    // The drop does not wait until the tasks have ended.
    sleep(limit).await;
    println!(
        "listings stopped: {}",
        search.stopped.load(Ordering::SeqCst)
    );
}

#[tokio::main]
pub async fn main() {
    run().await;
}
