//! Await one result in several places: `shared` clones it for every waiter.
//!
//! In asyncio several coroutines may await the same task. In Rust an await consumes the
//! task's handle. `shared` of `FutureExt` makes a future that can be cloned: the work is
//! done once, and each clone returns a clone of the result.
//!
//! Trap: A task can be awaited only once ("use of moved value"). `shared` clones the
//! result, so put an `io::Error` into an `Arc`: "the trait `Clone` is not implemented for
//! `std::io::Error`".
//!
//! Trap: If a waiter of a `Shared` is dropped, another waiter may never be woken
//! (rust-lang/futures-rs#2706). If waiters can be cancelled, use a `watch` channel.
//!
//! See also: `awaitables`, `oneshot_and_set_once`, `single_flight`.
//!
//! asyncio: await, asyncio.Future, asyncio.gather

use std::time::Duration;

use futures::future::FutureExt;
use tokio::join;
use tokio::time::sleep;

async fn fetch_data() -> &'static str {
    println!("Fetching once");
    sleep(Duration::from_secs(1)).await;
    "data"
}

#[tokio::main]
async fn main() {
    let data = fetch_data().shared();
    let (first, second) = join!(data.clone(), data);
    println!("{first}, {second}");
}
