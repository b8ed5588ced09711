//! Merge streams that are added and removed while the merge runs.
//!
//! `StreamMap` merges streams under keys: `insert` adds one, and drops the one that was
//! there under the same key; `remove` drops one; and one that ends leaves by itself,
//! unannounced. It looks at every stream in turn, so keep it for tens of them.
//! `SelectAll::push` adds to a merge without keys, even from inside the loop over it. The
//! trap is the empty merge: its `next` is `None` at once, so a `while let` ends before
//! the first source has come. A `Some` pattern in `select!` switches the branch off until
//! there is one. In asyncio each source is a task, and a dictionary keeps them.
//!
//! asyncio: asyncio.create_task, asyncio.Task.cancel, asyncio.TaskGroup

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::stream::{self, BoxStream, SelectAll};
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

/// Follows the rooms that were joined, until there are no more commands.
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

/// A folder's entries. One that ends in a slash is a folder.
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

pub async fn run() {
    println!("Rooms by their name:");
    chat(commands()).await;

    println!("A source that brings others:");
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

#[tokio::main]
pub async fn main() {
    run().await;
}
