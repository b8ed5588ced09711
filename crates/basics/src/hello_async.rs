//! Hello, world: an async main, an await, and what takes the place of `asyncio.run`.
//!
//! `async fn` is `async def`, and `.await` stands behind what is awaited instead of in
//! front of it. Rust comes without an event loop; the Tokio library brings one, called
//! the runtime. `#[tokio::main]` turns an async `main` into a plain one, that is not
//! async: it starts a runtime, runs the body on it to the end, and stops it, as
//! `asyncio.run(main())` does. (`#[tokio::main(flavor = "current_thread")]` gives it one
//! thread, as asyncio has.) Without that line the compiler says: "`main` function is not
//! allowed to be `async`". Here `main` starts the runtime and `run` is the program, so
//! that it can also be run as a part of another.
//!
//! asyncio: async def, await, asyncio.run, asyncio.sleep, asyncio.get_event_loop

use std::time::Duration;

use tokio::time::sleep;

/// Says hello to the world, with a second between the two words.
pub async fn hello() {
    println!("Hello");
    sleep(Duration::from_secs(1)).await;
    println!("World");
}

/// Returns a greeting, once somebody had the time to think of one.
pub async fn greeting(name: &str) -> String {
    sleep(Duration::from_millis(500)).await;
    format!("Good morning, {name}")
}

pub async fn run() {
    println!("Start");
    hello().await;

    let words = greeting("Ada").await;
    println!("{words}");
    println!("End");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
