//! Graceful shutdown: on Ctrl-C or SIGTERM take no more work, and end what has begun.
//!
//! A signal is awaited beside the work, as with `loop.add_signal_handler`. Work gets time
//! to end; what has not ended by then is named, and dropped. The trap: once `Signals` are
//! made, no signal ends the program any more, not even when they are dropped, where
//! `remove_signal_handler` brings the default back. A program that awaits one signal
//! alone cannot be stopped by a second Ctrl-C while it waits for its work. So listen to
//! the end: the second ends the waiting at once. What blocks a thread holds up the end of
//! `main` all the same: see `blocking_in_threads`. The crate `tokio-graceful-shutdown`
//! does more: it stops trees of subsystems, each in its time.
//!
//! asyncio: loop.add_signal_handler, KeyboardInterrupt, asyncio.wait, asyncio.Task.cancel
//! clock: real

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::{Instant, interval_at, sleep, sleep_until};
use tokio::{join, select};
use tokio_util::sync::CancellationToken;
use tokio_util::task::JoinMap;

/// Listens for Ctrl-C, which is SIGINT, and on Unix for SIGTERM, which is what `kill`,
/// systemd and Docker send.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    /// From here on signals do not end the program, until the process is over.
    ///
    /// # Errors
    ///
    /// If the system refuses the handler.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next signal, also if it came while nobody waited. Cancel-safe.
    #[cfg(unix)]
    pub async fn next(&mut self) -> &'static str {
        select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// From here on Ctrl-C does not end the program, until the process is over.
    #[cfg(windows)]
    pub fn listen() -> io::Result<Self> {
        let interrupt = tokio::signal::windows::ctrl_c()?;
        Ok(Self { interrupt })
    }

    /// The next Ctrl-C, also if it came while nobody waited. Cancel-safe.
    #[cfg(windows)]
    pub async fn next(&mut self) -> &'static str {
        self.interrupt.recv().await;
        "Ctrl-C"
    }
}

/// Not all tasks have ended. Returned from `main`, it makes the exit code 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}, and these had not ended: {}", unfinished.join(", "))]
pub struct Unfinished {
    /// What ended the waiting.
    pub why: String,
    /// The names of the tasks, sorted. They are aborted, but not waited for.
    pub unfinished: Vec<String>,
}

/// Waits until all tasks have ended, but no longer than the limit, and not when a further
/// signal comes.
///
/// Dropped while it waits, it leaves the tasks running in the map.
///
/// # Errors
///
/// [`Unfinished`], with the names of the tasks that still ran.
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
    let mut unfinished: Vec<_> = tasks.keys().cloned().collect();
    unfinished.sort();
    tasks.abort_all();
    Err(Unfinished { why, unfinished })
}

/// A task that panics must not go unnoticed. The text is on standard error already.
fn report(name: &str, ended: Result<(), JoinError>) {
    if ended.is_err() {
        println!("{name} crashed");
    }
}

/// Something to do.
pub struct Order {
    pub number: u32,
    pub millis: u64,
}

/// Takes orders until a signal comes, and gives those that have begun time to end.
///
/// # Errors
///
/// [`Unfinished`], with the names of those that did not.
pub async fn serve(
    mut orders: mpsc::Receiver<Order>,
    signals: &mut Signals,
    limit: Duration,
) -> Result<(), Unfinished> {
    let stop = CancellationToken::new();
    let mut tasks = JoinMap::new();
    tasks.spawn("log".to_string(), keep_log(stop.clone()));
    loop {
        select! {
            biased;
            signal = signals.next() => {
                println!("{signal}: no more orders, {} tasks left", tasks.len());
                break;
            }
            Some(order) = orders.recv() => {
                start(&mut tasks, order);
            }
            // Those that ended must not pile up.
            Some((name, ended)) = tasks.join_next() => report(&name, ended),
        }
    }
    // Whoever sends an order from now on is told. What waits in the queue is lost: to
    // handle that too, call `close` and take orders until there are none.
    drop(orders);
    stop.cancel();
    drain(&mut tasks, limit, signals.next()).await
}

pub fn start(tasks: &mut JoinMap<String, ()>, order: Order) {
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

/// A task without an end: it is asked to stop, and may await then.
async fn keep_log(stop: CancellationToken) {
    stop.cancelled().await;
    sleep(Duration::from_millis(200)).await;
    println!("the log is written");
}

/// Sends the orders, 300 ms apart, as long as they are taken.
async fn send(orders: mpsc::Sender<Order>, first: u32, millis: &[u64]) {
    let pause = Duration::from_millis(300);
    let mut ticks = interval_at(Instant::now() + pause, pause);
    for (number, &millis) in (first..).zip(millis) {
        ticks.tick().await;
        if orders.send(Order { number, millis }).await.is_err() {
            println!("order {number} is refused");
        }
    }
    // The sender lives on, as the program's other half would.
    orders.closed().await;
}

/// Sends this process a signal, as `kill` does, and a terminal at Ctrl-C.
#[cfg(unix)]
async fn send_signal(after: u64, signal: &str) -> io::Result<()> {
    use rustix::process::{Signal, getpid, kill_process};

    sleep(Duration::from_millis(after)).await;
    let signal = match signal {
        "SIGINT" => Signal::INT,
        _ => Signal::TERM,
    };
    Ok(kill_process(getpid(), signal)?)
}

#[cfg(not(unix))]
async fn send_signal(_after: u64, _signal: &str) -> io::Result<()> {
    println!("press Ctrl-C");
    Ok(())
}

/// Longer than anyone waits.
const STUCK: u64 = 10_000;

fn report_end(served: Result<(), Unfinished>) {
    match served {
        Ok(()) => println!("all has ended"),
        Err(unfinished) => println!("{unfinished}"),
    }
}

pub async fn run() -> io::Result<()> {
    // Each part begins at its time, however long the one before it took.
    let begin = Instant::now();
    let part = |millis| sleep_until(begin + Duration::from_millis(millis));
    let limit = Duration::from_millis(400);

    println!("Once listened for, a signal ends nothing by itself:");
    let signals = Signals::listen()?;
    send_signal(0, "SIGINT").await?;
    sleep(Duration::from_millis(100)).await;
    println!("still here");
    drop(signals);
    send_signal(0, "SIGINT").await?;
    sleep(Duration::from_millis(100)).await;
    println!("still here, with nobody who listens");
    let mut signals = Signals::listen()?;

    part(400).await;
    println!("SIGTERM, and all work ends in time:");
    let (sender, orders) = mpsc::channel(1);
    let (served, (), signal) = join!(
        serve(orders, &mut signals, limit),
        send(sender, 1, &[500, 100, 500, 500]),
        send_signal(1100, "SIGTERM"),
    );
    signal?;
    report_end(served);

    part(2000).await;
    println!("SIGINT, and two orders do not end in time:");
    let (sender, orders) = mpsc::channel(1);
    let (served, (), signal) = join!(
        serve(orders, &mut signals, limit),
        send(sender, 5, &[STUCK, STUCK]),
        send_signal(700, "SIGINT"),
    );
    signal?;
    report_end(served);

    part(3300).await;
    println!("SIGINT twice:");
    let (sender, orders) = mpsc::channel(1);
    let (served, (), signals) = join!(
        serve(orders, &mut signals, limit),
        send(sender, 7, &[STUCK]),
        async {
            send_signal(400, "SIGINT").await?;
            send_signal(100, "SIGINT").await
        },
    );
    signals?;
    report_end(served);
    Ok(())
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}
