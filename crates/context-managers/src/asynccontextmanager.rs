//! Write an asynccontextmanager: a function that opens a file, lends it, and closes it.
//!
//! The function `with_file` below takes an async closure, `body`, in place of the block
//! of an `async with`. What Python does before the `yield` stands before the call of
//! `body`, and what Python does in `finally` stands after the call. A `?` or `return` in
//! the closure leaves only the closure, so an error does not skip the close. `with_file`
//! returns the result of the closure.
//!
//! A panic skips the close, and so does a timeout around the call. The example
//! `scoped_resource` closes even after a panic, and reports an error of the close.
//!
//! See also: `scoped_resource`, `async_with`, `drop_guard`.
//!
//! asyncio: contextlib.asynccontextmanager, async with, finally

use std::time::Duration;

use tokio::time::sleep;

/// Opens a file, lends it to the body, and closes it.
pub async fn with_file<T>(name: &str, body: impl AsyncFnOnce(&str) -> T) -> T {
    println!("Opening {name}");
    sleep(Duration::from_secs(1)).await;
    let result = body(&format!("handle of {name}")).await;
    println!("Closing {name}");
    sleep(Duration::from_secs(1)).await;
    result
}

#[tokio::main]
async fn main() {
    let line = with_file("data.txt", async |file| {
        println!("Working with {file}");
        Err("Error: the file is empty")
    });
    println!("{}", line.await.unwrap_or_else(|error| error));
}
