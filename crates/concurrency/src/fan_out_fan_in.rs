//! Fan out to workers by key and fan in their results, over a queue for each worker.
//!
//! All events of one account go to the same worker. They stay in order and need no lock,
//! while other workers handle other accounts. Results come as they are ready. Each stage
//! ends by dropping its senders, which ends the next stage. If the reader drops its
//! receiver, the stages before it end too.
//!
//! Bounds: 2 workers; 1 event in the queue of each, and 1 result.
//!
//! Trap: if you send all events before you read the first result, the bounded queues fill
//! up and all tasks wait for ever. Send the events in a task of their own.
//!
//! Trap: a worker whose queue is full holds up later events for the others. Here one
//! worker is idle from 0.2 s to 0.25 s.
//!
//! See also: `worker_pool` (without keys), `pipeline`, `actor`.
//!
//! asyncio: asyncio.Queue, asyncio.TaskGroup, asyncio.create_task, asyncio.Task.cancel

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

const WORKERS: usize = 2;
const CAPACITY: usize = 1;

/// An account, and the amount paid in; a negative amount is paid out.
type Event = (usize, i32);

/// The account with its new balance, or why the balance is unchanged.
type Outcome = Result<(usize, i32), String>;

/// Keeps the balances of its accounts, until all senders of its events are dropped, or
/// the receiver of its results is.
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

/// Sends each event to the worker of its account.
pub async fn fan_out(events: Vec<Event>, workers: Vec<mpsc::Sender<Event>>) {
    for event in events {
        if workers[event.0 % workers.len()].send(event).await.is_err() {
            return;
        }
    }
}

/// Starts the workers. Returns their queues, the receiver of their results, and their
/// tasks.
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
    println!("All results:");
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
