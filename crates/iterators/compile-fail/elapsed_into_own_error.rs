//~ E0277 `?` couldn't convert the error to `SumError`
//! `??` after a `timeout`, in a function with an error type of its own.
//!
//! example: deadline_for_the_loop

use std::time::Duration;

use tokio::time::timeout;

#[derive(Debug)]
enum SumError {
    // Cure: a variant `Late`, and `impl From<tokio::time::error::Elapsed> for SumError`.
    Torn,
}

async fn check(page: u32) -> Result<u32, SumError> {
    match page {
        8 => Err(SumError::Torn),
        _ => Ok(page),
    }
}

async fn check_in_time(page: u32) -> Result<u32, SumError> {
    let page = timeout(Duration::from_millis(500), check(page)).await??;
    Ok(page)
}

#[tokio::main]
async fn main() {
    println!("{:?}", check_in_time(8).await);
}
