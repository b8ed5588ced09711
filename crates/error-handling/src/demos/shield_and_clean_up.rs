//! Orders that are saved row by row, while their callers are cancelled.

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;

use crate::shield_and_clean_up::{Ended, Shield};

/// Takes 0.1 s a row.
async fn write(order: &'static str, rows: u32) -> Result<u32, String> {
    for row in 1..=rows {
        sleep(Duration::from_millis(100)).await;
        println!("{order}: row {row} of {rows}");
    }
    if order == "Bob" {
        return Err("the disk is full".to_string());
    }
    Ok(rows)
}

/// Reports its error, as the caller may have left.
async fn save(order: &'static str, rows: u32) -> Result<u32, String> {
    let outcome = write(order, rows).await;
    if let Err(error) = &outcome {
        println!("{order}: not saved, {error}");
    }
    outcome
}

/// Runs the caller as a task, cancels it after a while, and prints how it ended.
async fn cancel_after(
    millis: u64,
    caller: impl Future<Output: Send> + Send + 'static,
) -> Result<(), JoinError> {
    let caller = tokio::spawn(caller);
    sleep(Duration::from_millis(millis)).await;
    caller.abort();
    match caller.await {
        Err(error) if error.is_cancelled() => println!("the caller is cancelled"),
        outcome => drop(outcome?),
    }
    Ok(())
}

pub async fn run() -> Result<(), JoinError> {
    let shield = Shield::default();
    let rest = Duration::from_millis(250);
    let call = |order, rows| {
        let shield = shield.clone();
        async move { shield.run(save(order, rows)).await }
    };

    println!("No shield:");
    cancel_after(150, save("Ada", 3)).await?;
    sleep(rest).await;

    println!("A shield:");
    cancel_after(150, call("Ada", 3)).await?;
    sleep(rest).await;

    println!("A shield, and an error after the cancellation:");
    cancel_after(150, call("Bob", 2)).await?;
    sleep(rest).await;

    println!("A shield, and no cancellation:");
    for order in ["Ada", "Bob"] {
        match call(order, 1).await? {
            Ended::Done(Ok(rows)) => println!("the caller has saved {rows}"),
            Ended::Done(Err(error)) => println!("the caller has failed: {error}"),
            unsaved => println!("the caller has saved nothing: {unsaved:?}"),
        }
    }

    println!("At the end two are running, and get 0.2 s more:");
    cancel_after(50, call("Cyd", 2)).await?;
    let caller = tokio::spawn(call("Dan", 4));
    sleep(Duration::from_millis(50)).await;
    println!(
        "stopped: {}",
        shield.finish(Duration::from_millis(200)).await
    );
    for (order, outcome) in [("Dan", caller.await??), ("Eve", call("Eve", 1).await?)] {
        match outcome {
            Ended::Done(outcome) => println!("{order}: {outcome:?}"),
            Ended::Stopped => println!("{order}: stopped half done"),
            Ended::Refused => println!("{order}: not begun"),
        }
    }
    sleep(rest).await;
    Ok(())
}
