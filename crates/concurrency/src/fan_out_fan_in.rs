//! Fan out to workers by key and fan in their results, over a queue for each worker.
//!
//! Each worker has a queue of its own, and all events of one account go to the same
//! worker: they stay in order and need no lock, while other accounts go on beside them.
//! Results come as they are ready. The end travels by itself, as each stage drops its
//! senders, and so does a reader's leaving. The trap is to hand out all events before the
//! first result is read: the bounded queues fill up, and everybody waits for ever, so the
//! handing out is a task. A worker whose queue is full holds up the events for the others
//! that come after: here one is idle from 0.2 s to 0.25 s. Without keys: `worker_pool`.
//!
//! asyncio: asyncio.Queue, asyncio.TaskGroup, asyncio.create_task, asyncio.Task.cancel

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

const WORKERS: usize = 2;
const CAPACITY: usize = 1;

/// An account, and what is paid in, or out if it is negative.
type Event = (usize, i32);

/// The account with its new balance, or why it is unchanged.
type Outcome = Result<(usize, i32), String>;

/// Keeps the balances of its accounts. Ends with its events, or when nobody reads on.
async fn worker(mut events: mpsc::Receiver<Event>, results: mpsc::Sender<Outcome>) {
    let mut balances = HashMap::new();
    while let Some((account, amount)) = events.recv().await {
        // The odd accounts are slow.
        sleep(Duration::from_millis(if account % 2 == 1 {
            250
        } else {
            100
        }))
        .await;
        let balance = balances.entry(account).or_insert(0);
        let outcome = if *balance + amount < 0 {
            Err(format!(
                "account {account} has only {balance}, not {}",
                -amount
            ))
        } else {
            *balance += amount;
            Ok((account, *balance))
        };
        if results.send(outcome).await.is_err() {
            return;
        }
    }
}

/// Hands each event to the worker of its account.
pub async fn fan_out(events: Vec<Event>, workers: Vec<mpsc::Sender<Event>>) {
    for event in events {
        if workers[event.0 % workers.len()].send(event).await.is_err() {
            return;
        }
    }
}

/// Starts the workers. Their queues, where their results come, and the tasks themselves.
pub fn start_workers() -> (
    Vec<mpsc::Sender<Event>>,
    mpsc::Receiver<Outcome>,
    JoinSet<()>,
) {
    let (result_sender, results) = mpsc::channel(CAPACITY);
    let mut tasks = JoinSet::new();
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let (sender, events) = mpsc::channel(CAPACITY);
        workers.push(sender);
        tasks.spawn(worker(events, result_sender.clone()));
    }
    (workers, results, tasks)
}

fn print_outcome(outcome: Outcome) {
    match outcome {
        Ok((account, balance)) => println!("account {account} has {balance}"),
        Err(error) => println!("{error}"),
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("All of them:");
    let events = vec![
        (1, 50),
        (2, 30),
        (1, -80),
        (4, 10),
        (1, 20),
        (2, -40),
        (4, 5),
    ];
    let (workers, mut results, mut tasks) = start_workers();
    tasks.spawn(fan_out(events.clone(), workers));
    while let Some(outcome) = results.recv().await {
        print_outcome(outcome);
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }

    println!("Left after the first result:");
    let (workers, mut results, mut tasks) = start_workers();
    tasks.spawn(fan_out(events, workers));
    if let Some(outcome) = results.recv().await {
        print_outcome(outcome);
    }
    tasks.shutdown().await;
    sleep(Duration::from_millis(300)).await;
    println!("0.3 s later");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
