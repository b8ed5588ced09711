//! Call with a timeout: wait for an operation for two seconds at most.
//!
//! `timeout(limit, operation).await` returns `Err(Elapsed)` when the limit has passed.
//! The operation is dropped at its current await, before the next line runs. The
//! operation has its own error, so the `match` has three arms.
//!
//! See also: `timeouts` (as one error type, and around tasks), `deadlines`,
//! `timeout_of_blocking_work`.
//!
//! asyncio: asyncio.timeout, asyncio.wait_for, asyncio.TimeoutError

use std::time::Duration;

use tokio::time::{sleep, timeout};

async fn long_operation(seconds: u64) -> Result<String, String> {
    sleep(Duration::from_secs(seconds)).await;
    if seconds == 0 {
        return Err("there is nothing to do".into());
    }
    Ok(format!("Done after {seconds} s"))
}

/// Runs an operation that takes so many seconds, for two seconds at most.
pub async fn with_timeout(seconds: u64) {
    // async with asyncio.timeout(2):
    match timeout(Duration::from_secs(2), long_operation(seconds)).await {
        Ok(Ok(result)) => println!("{result}"),
        Ok(Err(error)) => println!("Error: {error}"),
        Err(_elapsed) => println!("Operation timed out!"),
    }
}

#[tokio::main]
async fn main() {
    for seconds in [1, 0, 5] {
        with_timeout(seconds).await;
    }
}
