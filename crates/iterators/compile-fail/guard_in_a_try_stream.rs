//~ error is not implemented for `std::sync::MutexGuard<'_, Vec<u32>>`
//! A guard of a `std::sync::Mutex` lives at a `?` of `try_stream!`, which is an await: it
//! yields the error.
//!
//! example: fallible_stream

use std::num::ParseIntError;
use std::sync::{Arc, Mutex, PoisonError};

use async_stream::try_stream;
use futures::{Stream, StreamExt};

fn numbers(
    all: Arc<Mutex<Vec<u32>>>,
) -> impl Stream<Item = Result<u32, ParseIntError>> + Send {
    try_stream! {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push("7".parse()?);
        let length = all.len() as u32;
        drop(all);
        yield length;
    }
}

#[tokio::main]
async fn main() {
    println!("{}", numbers(Arc::default()).count().await);
}
