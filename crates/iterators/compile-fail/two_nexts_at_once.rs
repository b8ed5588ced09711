//~ E0499 cannot borrow `jobs` as mutable more than once at a time
//! Two readers of one stream, at the same time.
//!
//! example: shared_stream

use futures::{StreamExt, stream};

#[tokio::main]
async fn main() {
    let mut jobs = stream::iter([1, 2, 3]);
    let both = tokio::join!(jobs.next(), jobs.next());
    println!("{both:?}");
}
