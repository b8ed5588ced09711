//! Hello, world: an async main, an await, and what takes the place of `asyncio.run`.
//!
//! `async fn` is `async def`, and `.await` comes after the call. Rust itself has no event
//! loop. The library Tokio brings one, called the runtime. `#[tokio::main]` turns an
//! async `main` into a plain one, which starts a runtime, runs the body to its end, and
//! stops the runtime. That is `asyncio.run(main())`. By default the runtime has several
//! threads; `flavor = "current_thread"` gives it one, as asyncio has.
//!
//! `#[tokio::main]` needs the features `macros` and `rt-multi-thread` of Tokio. Sleeping
//! needs `time`, sockets need `net`. The feature `full` has all of them.
//!
//! Trap: If you leave out `#[tokio::main]`, the compiler reports "`main` function is not
//! allowed to be `async`". Write it above `async fn main`.
//!
//! See also: `async_fn`, `create_task`, `lazy_futures`, `build_a_runtime`.
//!
//! asyncio: async def, await, asyncio.run, asyncio.sleep

use tokio::time::{Duration, sleep};

/// Says hello to the world, with a second between the two words.
pub async fn hello() {
    println!("Hello");
    sleep(Duration::from_secs(1)).await;
    println!("World");
}

#[tokio::main]
async fn main() {
    println!("Start");
    hello().await;
    println!("End");
}
