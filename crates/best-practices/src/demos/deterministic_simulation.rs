//! Three payments and a cut of the network, with a naive server, a better one, a patient
//! client.

use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, interval_at};

use crate::deterministic_simulation::{Setup, search, simulate};

fn print_last(outcomes: &[(u64, Result<u32, String>)]) {
    match outcomes.last() {
        Some((seed, Ok(total))) => println!("up to seed {seed}: {total} payments"),
        Some((seed, Err(error))) => println!("up to seed {seed}: {error}"),
        None => println!("no seeds"),
    }
}

pub async fn run() -> Result<(), JoinError> {
    // Each part is shown at its time, however long the simulations took.
    let pause = Duration::from_millis(400);
    let mut part = interval_at(Instant::now() + pause, pause);
    let naive = Setup {
        seed: 0,
        deduplicates: false,
        reply_timeout: Duration::from_millis(300),
        verbose: false,
    };

    let outcomes = spawn_blocking(move || search(naive, 20)).await?;
    part.tick().await;
    println!("A server that counts each message:");
    print_last(&outcomes);

    part.tick().await;
    let seed = outcomes.len() as u64;
    println!("Seed {seed} again:");
    let verbose = Setup {
        seed,
        verbose: true,
        ..naive
    };
    let again = spawn_blocking(move || simulate(verbose)).await?;
    print_last(&[(seed, again)]);

    let deduplicates = Setup {
        deduplicates: true,
        ..naive
    };
    let outcomes = spawn_blocking(move || search(deduplicates, seed)).await?;
    part.tick().await;
    println!("A server that ignores repeated payments:");
    print_last(&outcomes);

    let reply_timeout = Duration::from_secs(60);
    let no_timeout = Setup {
        seed,
        reply_timeout,
        ..deduplicates
    };
    let outcome = spawn_blocking(move || simulate(no_timeout)).await?;
    part.tick().await;
    println!("A client that waits for a minute:");
    print_last(&[(seed, outcome)]);
    Ok(())
}
