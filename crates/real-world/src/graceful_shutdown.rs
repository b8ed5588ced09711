//! Graceful shutdown: on Ctrl-C or SIGTERM accept no more work, and finish running work.
//!
//! A shutdown has three steps. First, wait for the signal. `Signals`, a struct of this
//! file, listens for signals: await its method `next` concurrently with the work, as
//! `take_orders` does. In asyncio, `loop.add_signal_handler` is for this. Second, tell
//! the tasks: cancel a `CancellationToken`, and close the channel of new work.
//!
//! Third, wait for the tasks. The function `drain` below gives running tasks a limited
//! time. Then `drain` aborts the remaining tasks and returns an error with their names. A
//! second signal ends this wait early, so `drain` takes a future that returns the next
//! signal.
//!
//! Bounds: At most [`MAX_ORDERS`] orders run; further ones wait in their channel.
//! `drain` has a time limit.
//!
//! Trap: If you create `Signals` and do not await it, Ctrl-C and SIGTERM have no effect,
//! and the program can only be killed. This stays so even after `Signals` is dropped.
//! Await `Signals::next` until the end of `main`. asyncio has `remove_signal_handler`.
//!
//! Trap: If a task blocks its thread, the program ends late, whatever limit you give to
//! `drain`: the end of `main` waits for that thread. If you cannot wait, call
//! `std::process::exit` after `drain`.
//!
//! In production: The crate `tokio-graceful-shutdown` stops a tree of subsystems, or
//! one branch of the tree.
//!
//! Platforms: Windows has no SIGTERM: `Signals` listens for Ctrl-C alone.
//!
//! See also: `shutdown_in_three_steps`, `background_services`, `tcp_echo_server`.
//!
//! asyncio: loop.add_signal_handler, KeyboardInterrupt, asyncio.wait, asyncio.Task.cancel

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::JoinMap;

/// Listens for Ctrl-C (SIGINT) and, on Unix, for SIGTERM, which `kill`, systemd and
/// Docker send.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    /// Starts to listen. From now on SIGINT and SIGTERM do not end the program.
    ///
    /// # Errors
    ///
    /// If the system refuses the handler.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns the next signal, also one that arrived before the call. Cancel-safe.
    #[cfg(unix)]
    pub async fn next(&mut self) -> &'static str {
        select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Starts to listen. From now on Ctrl-C does not end the program.
    #[cfg(windows)]
    pub fn listen() -> io::Result<Self> {
        let interrupt = tokio::signal::windows::ctrl_c()?;
        Ok(Self { interrupt })
    }

    /// Returns the next Ctrl-C, also one that arrived before the call. Cancel-safe.
    #[cfg(windows)]
    pub async fn next(&mut self) -> &'static str {
        self.interrupt.recv().await;
        "Ctrl-C"
    }
}

/// Some tasks had not ended. Returned from `main`, the error makes the exit code 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}, and these had not ended: {}", unfinished.join(", "))]
pub struct Unfinished {
    /// What ended the waiting.
    pub why: String,
    /// The names of the tasks, sorted. They are aborted, but not waited for.
    pub unfinished: Vec<String>,
}

/// Waits until all tasks have ended, the limit has passed, or `further` returns a signal.
///
/// Dropping the future leaves the tasks running in the map.
///
/// # Errors
///
/// [`Unfinished`], with the names of the tasks that had not ended.
pub async fn drain(
    tasks: &mut JoinMap<String, ()>,
    limit: Duration,
    further: impl Future<Output = &'static str>,
) -> Result<(), Unfinished> {
    let all = async {
        while let Some((name, ended)) = tasks.join_next().await {
            report(&name, ended);
        }
    };
    let why = select! {
        biased;
        () = all => return Ok(()),
        signal = further => format!("{signal} came again"),
        () = sleep(limit) => format!("{limit:?} are over"),
    };
    // A task may have ended since.
    while let Some((name, ended)) = tasks.try_join_next() {
        report(&name, ended);
    }
    let mut unfinished: Vec<_> = tasks.keys().cloned().collect();
    unfinished.sort();
    tasks.abort_all();
    Err(Unfinished { why, unfinished })
}

/// Prints that a task panicked. The panic's text is on standard error already.
fn report(name: &str, ended: Result<(), JoinError>) {
    if ended.is_err() {
        println!("{name} crashed");
    }
}

/// The most running orders. Further orders wait in their queue.
pub(crate) const MAX_ORDERS: usize = 100;

/// Work for a task.
pub(crate) struct Order {
    pub number: u32,
    pub millis: u64,
}

/// Takes orders until a signal comes, then gives running orders time to end.
///
/// # Errors
///
/// [`Unfinished`], with the names of the tasks that did not end in time.
pub(crate) async fn serve(
    mut orders: mpsc::Receiver<Order>,
    signals: &mut Signals,
    limit: Duration,
) -> Result<(), Unfinished> {
    let stop = CancellationToken::new();
    let mut tasks = JoinMap::new();
    tasks.spawn("log".to_string(), keep_log(stop.clone()));
    let signal = take_orders(&mut orders, &mut tasks, signals.next()).await;
    println!("{signal}: no more orders, {} tasks left", tasks.len());
    // From now on senders get an error. Orders in the queue are lost. To handle them as
    // well, call `close` and take orders until there are none.
    drop(orders);
    stop.cancel();
    drain(&mut tasks, limit, signals.next()).await
}

/// Starts a task for each order until the signal comes, and returns the signal. Expects
/// the log in the map.
pub(crate) async fn take_orders(
    orders: &mut mpsc::Receiver<Order>,
    tasks: &mut JoinMap<String, ()>,
    signal: impl Future<Output = &'static str>,
) -> &'static str {
    let mut signal = pin!(signal);
    loop {
        select! {
            biased;
            signal = &mut signal => return signal,
            // Before the orders, or finished tasks would pile up under load.
            Some((name, ended)) = tasks.join_next() => report(&name, ended),
            // `<=`, as one of the tasks is the log.
            Some(order) = orders.recv(), if tasks.len() <= MAX_ORDERS => {
                start(tasks, order);
            }
        }
    }
}

pub(crate) fn start(tasks: &mut JoinMap<String, ()>, order: Order) {
    let name = format!("order {}", order.number);
    // `spawn` would abort the task that has this name.
    if tasks.contains_key(&name) {
        println!("{name} has begun already");
    } else {
        tasks.spawn(name, handle(order));
    }
}

async fn handle(Order { number, millis }: Order) {
    println!("order {number} begins");
    sleep(Duration::from_millis(millis)).await;
    println!("order {number} is done");
}

/// Runs until it is asked to stop, and may still await after that.
async fn keep_log(stop: CancellationToken) {
    stop.cancelled().await;
    sleep(Duration::from_millis(500)).await;
    println!("the log is written");
}

/// Handles orders of the given milliseconds until Ctrl-C: `cargo run -- 500 9000`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let times = std::env::args().skip(1).map(|millis| millis.parse());
    let times: Vec<u64> = times.collect::<Result<_, _>>()?;
    if times.is_empty() {
        return Err("usage: MILLISECONDS...".into());
    }
    let mut signals = Signals::listen()?;
    let (sender, orders) = mpsc::channel(1);
    tokio::spawn(async move {
        for (number, millis) in (1..).zip(times) {
            // Fails after a signal, because no more orders are taken.
            let _ = sender.send(Order { number, millis }).await;
        }
    });
    Ok(serve(orders, &mut signals, Duration::from_secs(10)).await?)
}

//@ clock: real
//@ try: -> usage: MILLISECONDS
