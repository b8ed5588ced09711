use futures::stream::{self, BoxStream, StreamExt};
use futures::{FutureExt, Stream};
use tokio_stream::StreamMap;

use super::support::{SIZES, unknown_size};
use crate::stream_map::{Command, chat};

#[test]
fn an_empty_map_has_ended() {
    let mut rooms: StreamMap<&str, BoxStream<'_, u32>> = StreamMap::new();
    assert_eq!(rooms.next().now_or_never(), Some(None));
}

#[tokio::test]
async fn insert_and_remove_return_the_old_stream() {
    let room = |first: u32| stream::iter(first..first + 2).boxed();
    let mut rooms = StreamMap::new();
    assert!(rooms.insert("north", room(1)).is_none());
    let old = rooms.insert("north", room(11)).expect("the first");
    assert_eq!(old.collect::<Vec<u32>>().await, [1, 2]);
    let old = rooms.remove("north").expect("the second");
    assert_eq!(old.collect::<Vec<u32>>().await, [11, 12]);
    assert!(rooms.remove("north").is_none());
}

fn commands(count: u32) -> impl Stream<Item = Command> {
    let commands = (0..count).map(|number| match number % 2 {
        0 => Command::Join("south"),
        _ => Command::Leave("south"),
    });
    stream::iter(unknown_size(commands))
}

#[tokio::test(start_paused = true)]
async fn any_number_of_commands() {
    for size in SIZES {
        tokio::spawn(chat(commands(size))).await.expect("no panic");
    }
}

#[tokio::test]
async fn a_stream_that_has_ended_leaves_the_map() {
    let mut rooms = StreamMap::new();
    rooms.insert("north", stream::iter([1]).boxed());
    rooms.insert("south", stream::iter([2]).chain(stream::pending()).boxed());
    let mut messages = Vec::new();
    while let Some(Some(message)) = rooms.next().now_or_never() {
        messages.push(message);
    }
    messages.sort_unstable();
    assert_eq!(messages, [("north", 1), ("south", 2)]);
    assert!(rooms.keys().eq(&["south"]));
    assert!(rooms.remove("north").is_none());
}
