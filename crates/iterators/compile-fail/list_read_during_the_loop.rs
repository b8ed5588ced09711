//~ E0502 cannot borrow `found` as immutable because it is also borrowed as mutable
//! A list that is read while the loop that fills the list has only paused.
//!
//! example: deadline_for_the_loop

use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::timeout;

#[tokio::main]
async fn main() {
    let limit = Duration::from_millis(500);
    let mut found = Vec::new();
    let mut whole_loop = pin!(async {
        let mut pages = stream::iter([1, 2]);
        while let Some(page) = pages.next().await {
            found.push(page);
        }
    });
    // Cure: time out each `next`, and push outside of the block.
    while timeout(limit, &mut whole_loop).await.is_err() {
        println!("so far: {found:?}");
    }
}
