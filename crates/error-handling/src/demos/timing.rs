//! Pages that are fetched, one of them twice, and how long that takes.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::timing::{Ending, print_as, timed};

/// Is timed wherever it is called.
async fn fetch(page: &str, millis: u64) -> Result<String, String> {
    let fetching = async {
        sleep(Duration::from_millis(millis)).await;
        if page == "/broken" {
            return Err(format!("{page} is broken"));
        }
        Ok(format!("the page {page}"))
    };
    timed(fetching, print_as("fetch")).await
}

/// Makes up to two attempts, with a pause in between.
async fn fetch_twice(page: &str) -> Result<String, String> {
    if let Ok(text) = fetch(page, 160).await {
        return Ok(text);
    }
    sleep(Duration::from_millis(260)).await;
    fetch(page, 160).await
}

pub async fn run() {
    println!("Timed without the await, and with it:");
    let started = Instant::now();
    let future = fetch("/a", 260);
    print_as("the call")(Ending::Returned, started.elapsed());
    match future.await {
        Ok(text) => println!("got {text}"),
        Err(error) => println!("error: {error}"),
    }

    println!("A failure:");
    if let Err(error) = fetch("/broken", 260).await {
        println!("error: {error}");
    }

    println!("Stopped by a timeout, and by a cancellation:");
    let limit = Duration::from_millis(160);
    if timeout(limit, fetch("/slow", 500)).await.is_err() {
        println!("timed out");
    }
    let task = tokio::spawn(fetch("/slow", 500));
    sleep(Duration::from_millis(60)).await;
    task.abort();
    if let Err(error) = task.await
        && error.is_cancelled()
    {
        println!("cancelled");
    }

    println!("Two attempts, each timed, and both together:");
    // Around the call, where only this caller wants it.
    let tries = timed(fetch_twice("/broken"), print_as("fetch_twice"));
    if let Err(error) = tries.await {
        println!("error: {error}");
    }
}
