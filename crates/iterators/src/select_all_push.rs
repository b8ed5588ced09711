//! Merge streams that are found while you read: push to a `SelectAll` inside the loop.
//!
//! Each folder is a stream of entries; each folder among the entries is a further stream.
//! `push` adds this stream to the merge, a `SelectAll`, even from the body of the loop.
//! All folders are read concurrently. The merge ends when the last of them has ended.
//!
//! Bounds: Unbounded: All known folders are open at the same time. To limit them, keep
//! the others in a `VecDeque`, and push the next one when the merge has few enough
//! (`folders.len()`).
//!
//! Trap: If you start the loop with an empty `SelectAll`, the loop ends immediately: a
//! merge without streams has ended. Push the first source before the loop.
//!
//! See also: `stream_map`, `merge_streams`, `recursion`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.TaskGroup.create_task, async for

use std::time::Duration;

use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use tokio::time::sleep;

/// Yields the entries of a folder. One that ends in a slash is a folder.
fn list(folder: String) -> BoxStream<'static, String> {
    let (entries, millis) = match folder.as_str() {
        "src/" => (["main.rs", "net/", "io/"].as_slice(), 100),
        "src/net/" => (["tcp.rs"].as_slice(), 350),
        _ => (["file.rs"].as_slice(), 150),
    };
    let entries = stream::iter(entries);
    entries
        .then(move |entry| {
            let path = format!("{folder}{entry}");
            async move {
                sleep(Duration::from_millis(millis)).await;
                path
            }
        })
        .boxed()
}

#[tokio::main]
async fn main() {
    let mut folders = SelectAll::new();
    folders.push(list("src/".to_owned()));
    while let Some(path) = folders.next().await {
        println!("{path}");
        if path.ends_with('/') {
            folders.push(list(path));
        }
    }
    println!("all have ended");
}
