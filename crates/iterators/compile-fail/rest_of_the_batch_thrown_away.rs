//~ E0277 `?` couldn't convert the error to `Failure`
//! `?` on the error of `try_chunks`, which holds the rest of the batch.
//!
//! example: stream_processor

use futures::{TryStreamExt, stream};

#[derive(Debug)]
struct Failure;

async fn save_all(records: Vec<Result<u32, Failure>>) -> Result<(), Failure> {
    let mut batches = stream::iter(records).try_chunks(10);
    // Cure: match on `Err(TryChunksError(rest, error))`, and save the rest.
    while let Some(batch) = batches.try_next().await? {
        println!("saved: {batch:?}");
    }
    Ok(())
}

#[tokio::main]
async fn main() {
    println!("{:?}", save_all(vec![Ok(1), Err(Failure)]).await);
}
