//~ unused_must_use unused `AbortOnDropHandle` that must be used
//! A handle that aborts is not kept, so the task is aborted immediately.
//!
//! example: drop_or_detach

#![deny(unused_must_use)]

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

#[tokio::main]
async fn main() {
    AbortOnDropHandle::new(tokio::spawn(async {
        println!("Counting");
    }));
    sleep(Duration::from_millis(100)).await;
}
