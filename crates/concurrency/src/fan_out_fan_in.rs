//! Fan out to workers by key and fan in their results, over a queue for each worker.
//!
//! All events of one account go to the same worker. They stay in order and need no lock,
//! while other workers handle other accounts. Results come as they are ready. Each stage
//! ends by dropping its senders, which ends the next stage. If the reader drops its
//! receiver, the stages before it end too.
//!
//! Bounds: 2 workers; 1 event in the queue of each worker; 1 result in the shared queue.
//!
//! Trap: if you send all events before you read the first result, the bounded queues fill
//! up and all tasks wait for ever. Send the events in a task of their own.
//!
//! Trap: a worker whose queue is full holds up later events for the others. Here one
//! worker is idle from 0.2 s to 0.25 s.
//!
//! See also: `worker_pool` (without keys), `pipeline`, `actor`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.join, asyncio.TaskGroup, asyncio.Task.cancel

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// An account, and the amount paid in; a negative amount is paid out.
type Event = (usize, i32);

/// The account with its new balance, or why the balance is unchanged.
type Outcome = Result<(usize, i32), String>;

/// Keeps the balances of its accounts. Ends when all senders of its events are dropped,
/// or the receiver of its results.
async fn worker(mut events: mpsc::Receiver<Event>, results: mpsc::Sender<Outcome>) {
    let mut balances = HashMap::new();
    while let Some((account, amount)) = events.recv().await {
        // The odd accounts are slow.
        let millis = if account % 2 == 1 { 250 } else { 100 };
        sleep(Duration::from_millis(millis)).await;
        let balance = balances.entry(account).or_insert(0);
        let outcome = if *balance + amount < 0 {
            Err(format!("account {account} has only {balance}"))
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

/// Starts two workers. Returns their queues, the receiver of their results, and their
/// tasks.
pub fn start_workers() -> (
    Vec<mpsc::Sender<Event>>,
    mpsc::Receiver<Outcome>,
    JoinSet<()>,
) {
    let (result_sender, results) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    let mut workers = Vec::new();
    for _ in 0..2 {
        let (sender, events) = mpsc::channel(1);
        workers.push(sender);
        tasks.spawn(worker(events, result_sender.clone()));
    }
    (workers, results, tasks)
}

pub async fn run() {
    let mut events = vec![(1, 50), (2, 30), (1, -80), (4, 10)];
    events.extend([(1, 20), (2, -40), (4, 5)]);
    let (workers, mut results, mut tasks) = start_workers();
    tasks.spawn(fan_out(events, workers));
    while let Some(outcome) = results.recv().await {
        match outcome {
            Ok((account, balance)) => println!("account {account} has {balance}"),
            Err(error) => println!("{error}"),
        }
    }
    tasks.join_all().await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
