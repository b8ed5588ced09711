//! Run a heavy computation, such as finding primes, on a thread next to other tasks.
//!
//! A computation never awaits. So a task that computes blocks its thread, and may stop
//! all timers and sockets (`blocking_vs_async`). `tokio::task::spawn_blocking` runs the
//! computation on a separate thread for blocking code. Rust has no GIL: threads compute
//! in parallel, so you need no ProcessPoolExecutor.
//!
//! Neither `abort` nor a timeout stops a computation. The example `cpu_bound` can stop
//! one, and uses as many threads as there are processors; `spawn_blocking` starts up to
//! 512 threads.
//!
//! See also: `cpu_bound`, `blocking_in_threads`.
//!
//! asyncio: loop.run_in_executor(ProcessPoolExecutor)

use std::time::Duration;

use tokio::time::sleep;

/// Returns the primes below `end`.
pub fn calculate_primes(end: u32) -> Vec<u32> {
    let is_prime = |n: &u32| (2..=n.isqrt()).all(|divisor| n % divisor > 0);
    (2..end).filter(is_prime).collect()
}

async fn heartbeat() {
    for beat in 1..=3 {
        println!("heartbeat {beat}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    println!("Computed by a task:");
    let computing = async { println!("{} primes", calculate_primes(5_000).len()) };
    tokio::join!(biased; computing, heartbeat());

    println!("Computed beside the task:");
    let primes = tokio::task::spawn_blocking(|| calculate_primes(5_000));
    heartbeat().await;
    println!("{} primes", primes.await?.len());
    Ok(())
}

//@ clock: real
