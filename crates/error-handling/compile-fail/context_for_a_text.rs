//~ E0599 its trait bounds were not satisfied
//! Context for a result whose error is a plain text.
//!
//! example: error_context

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

async fn read() -> Result<String, String> {
    sleep(Duration::from_millis(100)).await;
    Err(String::from("no such file"))
}

#[tokio::main]
async fn main() -> Result<()> {
    let text = read().await.context("cannot read the settings")?;
    println!("{text}");
    Ok(())
}
