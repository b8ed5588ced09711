//~ E0277 `main` has invalid return type `i32`
//! An async main returns its exit code as a number.
//!
//! example: async_main_with_args

use std::time::Duration;

use tokio::time::sleep;

#[tokio::main]
async fn main() -> i32 {
    sleep(Duration::from_millis(100)).await;
    3
}
