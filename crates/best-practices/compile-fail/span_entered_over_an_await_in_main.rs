//~ clippy::await_holding_invalid_type holding a disallowed type across an await point
//! While this future waits, its span is in the log lines of other futures, too.
//! clippy.toml names the type.
//!
//! example: lints

#![deny(clippy::await_holding_invalid_type)]

use std::time::Duration;

use tokio::time::sleep;
use tracing::info_span;

#[tokio::main]
async fn main() {
    let _entered = info_span!("request").entered();
    sleep(Duration::from_millis(100)).await;
}
