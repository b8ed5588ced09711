//~ error future cannot be sent between threads safely
//! A task enters a span and awaits something while it is in it.
//!
//! example: log_errors

use std::time::Duration;

use tokio::time::sleep;
use tracing::{error, info_span};

async fn handle(id: u32) {
    let _entered = info_span!("request", id).entered();
    sleep(Duration::from_millis(100)).await;
    error!("no answer");
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().init();
    if let Err(error) = tokio::spawn(handle(1)).await {
        println!("{error}");
    }
}
