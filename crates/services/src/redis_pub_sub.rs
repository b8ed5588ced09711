//! Receive messages by Redis pub/sub: subscribe again after an outage, report gaps.
//!
//! Redis sends a message to the subscribers that are connected at that moment, and keeps
//! nothing. So messages are missing after an outage. The function `subscribe` of this
//! file subscribes again, and sends you an `Event::Gap` (a value of this file's enum):
//! read your data again then. redis-py's `listen` connects again by itself too, but it
//! reports no gap: you only get one more message of the type `subscribe`.
//!
//! Bounds: At most `capacity` events wait for your code. If you read too slowly,
//! further messages are dropped, and an `Event::Gap` tells you.
//!
//! Trap: If you loop over the message stream of a `redis::aio::PubSub`, the loop ends
//! without an error when the connection is lost. If the server's machine vanishes, the
//! loop waits forever and gets no error at all. Send a ping now and then, and connect
//! again if no answer comes, as here.
//!
//! Trap: If you do slow work between two messages, your memory fills up, because a
//! `PubSub` keeps unread messages without a limit. Read each message immediately, and
//! put it into a bounded channel for the slow part.
//!
//! See also: `redis_streams`, `broadcast`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put_nowait

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use redis::aio::{PubSub, PubSubSink};
use redis::{Client, RedisError, RedisResult, Value};
use tokio::select;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{sleep, timeout};

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message.
    Message(String),
    /// Messages may be missing here: the connection was lost, or the reader was slow.
    Gap,
}

/// The limits of a subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many events wait for the reader.
    pub capacity: usize,
    /// The time to connect and subscribe, and for the answer to a ping.
    pub answer: Duration,
    /// How long after an answer the next ping is sent.
    pub ping: Duration,
    /// The wait before it connects again.
    pub pause: Duration,
}

/// Subscribes to a channel in a task, until the receiver is dropped.
///
/// # Errors
///
/// If the first attempt fails. After an outage it tries again forever.
///
/// # Panics
///
/// If the capacity is 0 or more than `Semaphore::MAX_PERMITS`, and outside a Tokio
/// runtime.
pub async fn subscribe(
    client: Client,
    channel: &str,
    limits: Limits,
) -> RedisResult<Receiver<Event>> {
    let (sender, receiver) = mpsc::channel(limits.capacity);
    let channel = channel.to_owned();
    let mut pubsub = connect(&client, &channel, limits.answer).await?;
    tokio::spawn(async move {
        let forwarding = async {
            let mut gap = false;
            loop {
                forward(pubsub, &sender, gap, limits).await;
                gap = true;
                pubsub = loop {
                    sleep(limits.pause).await;
                    if let Ok(next) = connect(&client, &channel, limits.answer).await {
                        break next;
                    }
                };
            }
        };
        select! {
            () = forwarding => {}
            () = sender.closed() => {}
        }
    });
    Ok(receiver)
}

/// Connects and subscribes. The crate itself has no limit for this.
async fn connect(client: &Client, channel: &str, limit: Duration) -> RedisResult<PubSub> {
    let connecting = timeout(limit, async {
        let mut pubsub = client.get_async_pubsub().await?;
        pubsub.subscribe(channel).await?;
        Ok(pubsub)
    });
    let late = |late| Err(RedisError::from(io::Error::from(late)));
    connecting.await.unwrap_or_else(late)
}

/// Forwards messages until the connection is lost. It never waits for the reader.
async fn forward(pubsub: PubSub, sender: &Sender<Event>, mut gap: bool, limits: Limits) {
    let (sink, mut messages) = pubsub.split();
    let mut lost = pin!(ping(sink, limits));
    loop {
        select! {
            biased;
            // What comes before the reader knows of the gap belongs to the gap.
            room = sender.reserve(), if gap => {
                let Ok(room) = room else { return };
                room.send(Event::Gap);
                gap = false;
            }
            message = messages.next() => {
                let Some(message) = message else { return };
                let text = String::from_utf8_lossy(message.get_payload_bytes());
                let event = Event::Message(text.into_owned());
                gap = gap || sender.try_send(event).is_err();
            }
            () = &mut lost => return,
        }
    }
}

/// Sends pings until one is not answered in time.
async fn ping(mut sink: PubSubSink, limits: Limits) {
    loop {
        sleep(limits.ping).await;
        let answer = timeout(limits.answer, sink.ping::<Value>()).await;
        if !matches!(answer, Ok(Ok(_))) {
            return;
        }
    }
}

/// Publishes a message, or prints all of a channel: `cargo run -- news hello`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL")
        .map_err(|_| "set REDIS_URL, for example to redis://127.0.0.1:6379")?;
    let client = Client::open(url)?;
    let mut arguments = std::env::args().skip(1);
    let channel = arguments.next().ok_or("usage: CHANNEL [MESSAGE]")?;
    if let Some(message) = arguments.next() {
        let mut redis = client.get_multiplexed_async_connection().await?;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel).arg(message);
        let subscribers: u32 = publish.query_async(&mut redis).await?;
        println!("subscribers: {subscribers}");
        return Ok(());
    }
    let limits = Limits {
        capacity: 1000,
        answer: Duration::from_secs(2),
        ping: Duration::from_secs(10),
        pause: Duration::from_secs(1),
    };
    let mut events = subscribe(client, &channel, limits).await?;
    while let Some(event) = events.recv().await {
        match event {
            Event::Message(text) => println!("{text}"),
            Event::Gap => println!("(messages may be missing)"),
        }
    }
    Ok(())
}

//@ clock: real
//@ try: news hello -> subscribers: 0
