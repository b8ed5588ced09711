//~ error future cannot be sent between threads safely
//! A task lends a struct with a boxed future across an await. A `BoxFuture` is `Send`,
//! but not `Sync`: a task may own it, and not lend it.
//!
//! example: boxed_futures

use futures::future::{BoxFuture, FutureExt};
use tokio::task::yield_now;

struct Job {
    name: &'static str,
    work: BoxFuture<'static, u32>,
}

async fn announce(job: &Job) {
    yield_now().await;
    println!("{} begins", job.name);
}

#[tokio::main]
async fn main() {
    let work = async { 1 }.boxed();
    let job = Job { name: "one", work };
    let task = tokio::spawn(async {
        announce(&job).await;
        job.work.await
    });
    println!("{:?}", task.await);
}
