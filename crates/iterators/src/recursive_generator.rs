//! Delegate to an inner generator (`yield from`), and walk a tree by recursion.
//!
//! As in Python, async generators have no `yield from`: loop over the inner stream, and
//! yield each item. A generator that calls itself returns a `BoxStream`.
//!
//! Bounds: There is one boxed stream for each level. Each item passes through all levels
//! above it.
//!
//! Trap: If you forget `.boxed()`, the compiler reports "recursion in an async block
//! requires boxing".
//!
//! Trap: If the tree is deep, the recursion overflows the stack and ends the process,
//! where Python raises `RecursionError`. Keep the nodes to visit in a `Vec`, as
//! `walk_with_stack` does.
//!
//! See also: `generator`, `select_all_push`, `recursion`.
//!
//! asyncio: async for, yield

use std::time::Duration;

use async_stream::stream;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::time::sleep;

/// A comment, and the replies to it.
pub struct Comment {
    pub text: &'static str,
    pub replies: Vec<Comment>,
}

/// Waits until a comment is loaded, and returns its line.
async fn load(comment: &Comment, level: usize) -> String {
    sleep(Duration::from_millis(100)).await;
    format!("{}{}", "> ".repeat(level), comment.text)
}

/// Yields a comment, and then each reply with all that is below it.
pub fn walk(comment: Comment, level: usize) -> BoxStream<'static, String> {
    stream! {
        yield load(&comment, level).await;
        for reply in comment.replies {
            let mut below = walk(reply, level + 1);
            while let Some(line) = below.next().await {
                yield line;
            }
        }
    }
    .boxed()
}

/// Yields the same lines at any depth. Read the stream to its end: dropping a deep tree
/// that is not read yet recurses.
pub fn walk_with_stack(comment: Comment) -> impl Stream<Item = String> {
    stream! {
        let mut stack = vec![(comment, 0)];
        while let Some((mut comment, level)) = stack.pop() {
            yield load(&comment, level).await;
            let replies = comment.replies.drain(..).rev();
            stack.extend(replies.map(|reply| (reply, level + 1)));
        }
    }
}

fn comment(text: &'static str, replies: Vec<Comment>) -> Comment {
    Comment { text, replies }
}

fn discussion() -> Comment {
    let answer = comment("Because it is lazy.", vec![comment("Thanks!", vec![])]);
    let other = comment("Read the book.", vec![]);
    comment("Why does nothing happen?", vec![answer, other])
}

#[tokio::main]
async fn main() {
    println!("A generator that calls itself:");
    let mut lines = walk(discussion(), 0);
    while let Some(line) = lines.next().await {
        println!("{line}");
    }

    println!("One with a stack:");
    let mut lines = std::pin::pin!(walk_with_stack(discussion()));
    while let Some(line) = lines.next().await {
        println!("{line}");
    }
}
