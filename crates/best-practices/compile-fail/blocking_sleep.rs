//~ clippy::disallowed_methods use of a disallowed method `std::thread::sleep`
//! A blocking call, which clippy.toml names, as ruff's ASYNC251 refuses `time.sleep`.
//!
//! example: lints

#![deny(clippy::disallowed_methods)]

use std::thread;
use std::time::Duration;

#[tokio::main]
async fn main() {
    thread::sleep(Duration::from_millis(100));
}
