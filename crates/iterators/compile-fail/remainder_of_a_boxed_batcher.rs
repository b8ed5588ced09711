//~ E0599 no method named `into_remainder` found
//! `into_remainder` on a `ChunksTimeout` that a struct keeps in a box.
//!
//! example: chunks_timeout

use std::pin::Pin;

use futures::Stream;
use tokio_stream::adapters::ChunksTimeout;

struct Batcher<S: Stream> {
    batches: Pin<Box<ChunksTimeout<S>>>,
}

impl<S: Stream> Batcher<S> {
    fn finish(mut self) -> Vec<S::Item> {
        // Cure: `self.batches.as_mut().into_remainder()`.
        self.batches.into_remainder()
    }
}

fn main() {}
