//! Merge streams that come and go while the merge runs: `StreamMap`.
//!
//! A `StreamMap` of the crate `tokio-stream` holds streams under keys and yields pairs of
//! key and item. `insert` and `remove` return the stream that had the key before: drain
//! that stream, or drop it. A stream that has ended leaves the map by itself. In asyncio,
//! each source is a task, and a dictionary holds the tasks.
//!
//! Bounds: Unbounded: The number of streams. Each `next` may poll all of them, so keep
//! only tens.
//!
//! Trap: If the map is empty, it has ended: its `next` returns `None` immediately. A
//! `while let` then ends before the first stream has come. In `select!`, match
//! `Some(..)`: then an empty map leaves the wait to the other branches.
//!
//! See also: `merge_streams`, `select_all_push`, `fan_in`.
//!
//! asyncio: asyncio.TaskGroup.create_task, asyncio.Task.cancel, asyncio.TaskGroup

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::time::sleep;
use tokio_stream::StreamMap;

pub enum Command {
    Join(&'static str),
    Leave(&'static str),
}

/// What the user does, and when.
fn commands() -> impl Stream<Item = Command> {
    stream! {
        sleep(Duration::from_millis(50)).await;
        yield Command::Join("north");
        sleep(Duration::from_millis(550)).await;
        yield Command::Join("south");
        sleep(Duration::from_millis(150)).await;
        yield Command::Join("north");
        sleep(Duration::from_millis(500)).await;
        yield Command::Leave("north");
        sleep(Duration::from_millis(100)).await;
        yield Command::Leave("east");
        sleep(Duration::from_millis(400)).await;
    }
}

/// A room's messages: north has no end of them, south has four.
fn messages(room: &str) -> BoxStream<'static, u32> {
    let (count, millis) = match room {
        "north" => (u32::MAX, 200),
        _ => (4, 300),
    };
    stream! {
        for number in 1..=count {
            sleep(Duration::from_millis(millis)).await;
            yield number;
        }
    }
    .boxed()
}

/// Prints the messages of the rooms that were joined, until the commands end.
pub async fn chat(commands: impl Stream<Item = Command>) {
    let mut commands = pin!(commands);
    let mut rooms = StreamMap::new();
    loop {
        tokio::select! {
            command = commands.next() => match command {
                Some(Command::Join(room)) => {
                    match rooms.insert(room, messages(room)) {
                        Some(_) => println!("joining {room} again"),
                        None => println!("joining {room}"),
                    }
                }
                Some(Command::Leave(room)) => match rooms.remove(room) {
                    Some(_) => println!("leaving {room}"),
                    None => println!("not in {room}"),
                },
                None => break,
            },
            Some((room, number)) = rooms.next() => println!("{room}: message {number}"),
        }
    }
    println!("no more commands");
}

#[tokio::main]
async fn main() {
    chat(commands()).await;
}
