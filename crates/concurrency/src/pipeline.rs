//! A pipeline: stages joined by bounded queues, with backpressure and an orderly end.
//!
//! Each stage is a task that reads one channel (Tokio's queue) and writes to the next. A
//! full channel makes its writer wait, so the slowest stage sets the pace of all. When a
//! stage returns, it drops its sender, which ends the loop of the next stage. If a stage
//! fails, the other stages are aborted and awaited, as in a `TaskGroup`, and items in the
//! queues are lost.
//!
//! Bounds: The queue between two stages holds 1 item; above that, `send` waits.
//!
//! Trap: If you return an error when `send` fails, the pipeline may report that error and
//! not the cause. A failed `send` shows that a later stage has ended, but not why. Return
//! without an error: the later stage reports the cause.
//!
//! See also: `fan_out_fan_in`, `producer_consumer`, `task_group`, `back_pressure`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put, asyncio.Queue.get, asyncio.TaskGroup

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

type Page = &'static str;
type Outcome = Result<(), String>;

async fn fetch(texts: &'static [Page], pages: mpsc::Sender<Page>) -> Outcome {
    for text in texts {
        sleep(Duration::from_millis(100)).await;
        println!("fetched {text}");
        // The later stage has ended, and reports why.
        if pages.send(text).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn parse(mut pages: mpsc::Receiver<Page>, numbers: mpsc::Sender<u32>) -> Outcome {
    while let Some(page) = pages.recv().await {
        sleep(Duration::from_millis(50)).await;
        let number = page.parse();
        let number = number.map_err(|_| format!("{page} is not a number"))?;
        if numbers.send(number).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn store(mut numbers: mpsc::Receiver<u32>) -> Outcome {
    while let Some(number) = numbers.recv().await {
        sleep(Duration::from_millis(400)).await;
        println!("stored {number}");
    }
    Ok(())
}

/// Runs all stages until they have ended. If one fails, stops the others, and returns its
/// error when they have ended. A panic becomes an error.
pub async fn pipeline(texts: &'static [Page]) -> Outcome {
    let (page_sender, pages) = mpsc::channel(1);
    let (number_sender, numbers) = mpsc::channel(1);
    let mut stages = JoinSet::new();
    stages.spawn(fetch(texts, page_sender));
    stages.spawn(parse(pages, number_sender));
    stages.spawn(store(numbers));
    while let Some(ended) = stages.join_next().await {
        let outcome = ended.unwrap_or_else(|panicked| Err(panicked.to_string()));
        if outcome.is_err() {
            stages.shutdown().await;
            return outcome;
        }
    }
    Ok(())
}

fn report(outcome: Outcome) {
    match outcome {
        Ok(()) => println!("all stored"),
        Err(error) => println!("failed: {error}"),
    }
}

#[tokio::main]
async fn main() {
    println!("The slowest stage sets the pace:");
    report(pipeline(&["1", "2", "3", "4"]).await);

    println!("A stage in the middle fails:");
    report(pipeline(&["1", "2", "x", "4", "5"]).await);

    sleep(Duration::from_millis(500)).await;
    println!("0.5 s later");
}
