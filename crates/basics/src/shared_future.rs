//! Await one result in several places: `shared` gives each waiter a clone of the future.
//!
//! In asyncio several coroutines may await the same task. In Rust an await consumes the
//! task's handle, so a second await is a "use of moved value". `shared`, of `FutureExt`
//! in the crate `futures`, makes a future that can be cloned: the work is done once, and
//! each clone of the future returns a clone of the result.
//!
//! Trap: If the result cannot be cloned, the compiler refuses `shared`: "the trait
//! `Clone` is not implemented for `std::io::Error`". Put the error into an `Arc`.
//!
//! Trap: If a waiter of a `Shared` is dropped, another waiter may never be woken
//! (rust-lang/futures-rs#2706). If waiters can be cancelled, use a `watch` channel, which
//! keeps the latest value.
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
