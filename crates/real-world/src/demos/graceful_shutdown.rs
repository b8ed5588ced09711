//! Orders that end in time and orders that do not, and this process signals itself.

use std::io;
use std::time::Duration;

use tokio::join;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, sleep, sleep_until};

use crate::graceful_shutdown::{Order, Signals, Unfinished, serve};

/// Sends the orders, 500 ms apart, as long as they are taken.
async fn send(orders: mpsc::Sender<Order>, first: u32, millis: &[u64]) {
    let pause = Duration::from_millis(500);
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
    Err(io::Error::other(
        "this demonstration sends itself signals of Unix",
    ))
}

/// Longer than anyone waits.
const STUCK: u64 = 100_000;

fn report_end(served: Result<(), Unfinished>) {
    match served {
        Ok(()) => println!("all has ended"),
        Err(unfinished) => println!("{unfinished}"),
    }
}

pub async fn run() -> io::Result<()> {
    let begin = Instant::now();
    let part = |millis| sleep_until(begin + Duration::from_millis(millis));
    let (limit, long) = (Duration::from_millis(900), Duration::from_secs(30));

    println!("Once listened for, a signal ends nothing by itself:");
    let signals = Signals::listen()?;
    send_signal(0, "SIGINT").await?;
    sleep(Duration::from_millis(100)).await;
    println!("still here");
    drop(signals);
    send_signal(0, "SIGINT").await?;
    sleep(Duration::from_millis(100)).await;
    println!("still running, although nothing handles the signal now");
    let mut signals = Signals::listen()?;

    part(500).await;
    println!("SIGTERM, and all work ends in time:");
    let (sender, orders) = mpsc::channel(1);
    let (served, (), signal) = join!(
        serve(orders, &mut signals, long),
        send(sender, 1, &[800, 100, 1_000, 500]),
        send_signal(1_750, "SIGTERM"),
    );
    signal?;
    report_end(served);

    part(3_500).await;
    println!("SIGINT, and two orders do not end in time:");
    let (sender, orders) = mpsc::channel(1);
    let (served, (), signal) = join!(
        serve(orders, &mut signals, limit),
        send(sender, 5, &[STUCK, STUCK]),
        send_signal(1_250, "SIGINT"),
    );
    signal?;
    report_end(served);

    part(6_500).await;
    println!("SIGINT twice:");
    let (sender, orders) = mpsc::channel(1);
    let (served, (), signals) = join!(
        serve(orders, &mut signals, long),
        send(sender, 7, &[STUCK]),
        async {
            send_signal(750, "SIGINT").await?;
            send_signal(100, "SIGINT").await
        },
    );
    signals?;
    report_end(served);
    Ok(())
}
