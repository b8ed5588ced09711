//! Task dump: list the tasks of a running service, with what each waits for, on a signal.
//!
//! asyncio knows its tasks, and the line where each task waits. Tokio has no such list,
//! so this file keeps one. Wrap each spawned future in `Tasks::track`, and each wait that
//! may hang in the function `step`; give both a name. `Tasks::dump` returns the names of
//! the running tasks and steps, and how long each has been running, which asyncio does
//! not know.
//!
//! Bounds: The list has one entry for each tracked task, and one for each running step.
//!
//! Trap: If a task of your runtime waits for the signal, it may print nothing when you
//! need it. While one thread of the runtime is blocked, signals may not arrive
//! (`blocking_vs_async`). So `dump_on_signal` below has its own thread and runtime.
//!
//! In production: The crate `async-backtrace` lists functions with their lines
//! (`debugging`). `tokio::runtime::Handle::dump` lists all tasks, but needs
//! `--cfg tokio_unstable`, the feature `taskdump` and Linux.
//!
//! Platforms: Windows has no SIGUSR1, so `dump_on_signal` is missing there. Call `dump`
//! from a route of your server.
//!
//! See also: `debugging`, `watchdog` (a poll that blocks), `profiling`.
//!
//! asyncio: asyncio.all_tasks, asyncio.create_task(name=), asyncio.Task.get_name
//! differs: asyncio knows the line of each task, and not since when it waits there

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    /// The steps of the task or the step that is being polled.
    static CURRENT: Tasks;
}

/// The tracked tasks that have not ended. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    next_id: u64,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Arc<str>,
    since: Instant,
    steps: Tasks,
}

/// A task or a step that has not ended.
#[derive(Clone, Debug)]
pub struct Running {
    /// The name that its caller gave.
    pub name: Arc<str>,
    /// How long ago it was created.
    pub age: Duration,
    /// The steps that it is in: several if they run concurrently, as in `join!`.
    pub steps: Vec<Running>,
}

/// Removes an entry when it is dropped.
struct Listed {
    tasks: Tasks,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.tasks.lock().entries.remove(&self.id);
    }
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, List> {
        // Each change is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the future, which is listed by this name until it completes or is dropped.
    /// Wrap each future that you spawn.
    pub fn track<F: Future>(
        &self,
        name: &str,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let steps = Tasks::default();
        let entry = Entry {
            name: name.into(),
            since: Instant::now(),
            steps: steps.clone(),
        };
        let mut list = self.lock();
        let id = list.next_id;
        list.next_id += 1;
        list.entries.insert(id, entry);
        drop(list);
        let tasks = self.clone();
        let listed = Listed { tasks, id };
        CURRENT.scope(steps, async move {
            let _listed = listed;
            future.await
        })
    }

    /// Returns the tasks and their steps, the oldest first.
    pub fn dump(&self) -> Vec<Running> {
        let entries: Vec<Entry> = self.lock().entries.values().cloned().collect();
        let running = entries.into_iter().map(|entry| Running {
            name: entry.name,
            age: entry.since.elapsed(),
            steps: entry.steps.dump(),
        });
        running.collect()
    }
}

/// Awaits the future. As long as it runs, the dump lists it as a step of its task.
/// Outside a tracked task, only awaits it. Cancel-safe if the future is.
pub async fn step<F: Future>(name: &str, future: F) -> F::Output {
    match CURRENT.try_with(Tasks::clone) {
        Ok(current) => current.track(name, future).await,
        Err(_) => future.await,
    }
}

impl Running {
    fn write(&self, indent: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.age.as_secs_f64();
        writeln!(f, "{:indent$}{} ({seconds:.1} s)", "", self.name)?;
        self.steps
            .iter()
            .try_for_each(|step| step.write(indent + 2, f))
    }
}

/// A line for the task and for each step, with their ages.
impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(0, f)
    }
}

/// Starts a thread that calls `report` with a dump at each SIGUSR1, as `kill -USR1 PID`
/// sends it. The thread runs until the process ends, even if `report` panics, as
/// `eprintln!` does when stderr is closed.
///
/// # Errors
///
/// If the system has no more threads or file descriptors.
#[cfg(unix)]
pub fn dump_on_signal(
    tasks: Tasks,
    report: impl Fn(Vec<Running>) + Send + 'static,
) -> io::Result<()> {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::thread;

    use tokio::runtime::Builder;
    use tokio::signal::unix::{SignalKind, signal};

    let (listening, is_listening) = std::sync::mpsc::channel();
    let listen = move || -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            let mut signals = signal(SignalKind::user_defined1())?;
            // From here on the signal does not end the process.
            let _ = listening.send(());
            while signals.recv().await.is_some() {
                let call = || report(tasks.dump());
                let _ = catch_unwind(AssertUnwindSafe(call));
            }
            Ok(())
        })
    };
    let thread = thread::Builder::new()
        .name("task-dump".into())
        .spawn(listen)?;
    match is_listening.recv() {
        Ok(()) => Ok(()),
        // The thread has ended with an error.
        Err(_) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
    }
}

/// Connects to each HOST:PORT: `cargo run -- example.org:80 10.255.255.1:80`. Send
/// SIGUSR1 to see what it waits for.
#[tokio::main]
async fn main() -> io::Result<()> {
    let tasks = Tasks::default();
    #[cfg(unix)]
    dump_on_signal(tasks.clone(), |dump| {
        dump.iter().for_each(|task| eprint!("{task}"));
    })?;
    let mut connections = tokio::task::JoinSet::new();
    for address in std::env::args().skip(1) {
        connections.spawn(tasks.track(&address.clone(), async move {
            let limit = Duration::from_secs(30);
            let connecting = step("connect", tokio::net::TcpStream::connect(&address));
            match tokio::time::timeout(limit, connecting).await {
                Ok(Ok(_)) => println!("{address}: connected"),
                Ok(Err(error)) => println!("{address}: {error}"),
                Err(late) => println!("{address}: {late}"),
            }
        }));
    }
    connections.join_all().await;
    Ok(())
}

//@ clock: real
//@ try: 127.0.0.1:1 -> 127.0.0.1:1: Connection refused
