//! NATS key-value store: change a setting, and all processes see it without a restart.
//!
//! A bucket of NATS keeps the latest value of each key. `follow` copies the value of a
//! key to a `tokio::sync::watch` channel: a task reads the value there without waiting,
//! or waits for the next one. `change` reads, computes and writes, but only if nobody
//! else has written in between.
//!
//! Bounds: Each follower keeps one value. A value has at most 64 KiB with its headers,
//! and a bucket 64 MiB; above that, writing fails.
//!
//! Trap: If you loop over async-nats's own watcher and it fails, your loop ends, and
//! the program continues with old settings. Watch again, as `follow` does: a new
//! watcher first gets the current value.
//!
//! Trap: If you read with `entry` and then write with `put`, you overwrite what another
//! process wrote in between. Write with `update` instead, and pass it the revision that
//! you have read. If that is no longer the newest, `update` fails with "wrong last
//! revision": read again and retry, as `change` does.
//!
//! See also: `watch_a_value`, `lost_update`, `nats_request_reply`.
//!
//! asyncio: asyncio.Condition, asyncio.Event, async for

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream::kv::{Operation, Store, UpdateErrorKind};
use async_nats::jetstream::{Context, stream};
use bytes::Bytes;
use futures::TryStreamExt;
use tokio::select;
use tokio::sync::watch;
use tokio::time::sleep;

/// Any error that can move to another thread. `?` converts every other error into it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Opens the bucket, and creates it if there is none. A value has at most 64 KiB, with
/// its headers: those of `change` have about 70 bytes.
pub async fn open(context: &Context, bucket: &str) -> Result<Store, Failure> {
    // `create_key_value` says the same, but asks for more than servers before 2.10 tell.
    let config = stream::Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        max_message_size: 64 * 1024,
        max_bytes: 64 * 1024 * 1024,
        discard: stream::DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Default::default()
    };
    context.get_or_create_stream(config).await?;
    Ok(context.get_key_value(bucket).await?)
}

/// Returns a channel that holds the latest value of the key, or `None` if there is none.
///
/// A task keeps it up to date until all receivers are dropped. After an error it calls
/// `report`, waits for `pause`, and watches again. Until then, the channel keeps its
/// value.
///
/// After a restart of the server, the channel keeps its old value for 10 s, because the
/// client notices the restart only by two missing heartbeats.
///
/// # Errors
///
/// If the first value cannot be read.
pub async fn follow(
    store: Store,
    key: impl Into<String>,
    pause: Duration,
    report: impl Fn(Failure) + Send + Sync + 'static,
) -> Result<watch::Receiver<Option<Bytes>>, Failure> {
    let key = key.into();
    let (sender, receiver) = watch::channel(store.get(key.as_str()).await?);
    tokio::spawn(async move {
        let following = async {
            loop {
                match copy(&store, &key, &sender).await {
                    Ok(()) => report("the watcher has ended".into()),
                    Err(error) => report(error),
                }
                sleep(pause).await;
            }
        };
        select! {
            () = following => {}
            () = sender.closed() => {}
        }
    });
    Ok(receiver)
}

async fn copy(
    store: &Store,
    key: &str,
    sender: &watch::Sender<Option<Bytes>>,
) -> Result<(), Failure> {
    // Begins with the value of now, unlike `watch`.
    let mut entries = store.watch_with_history(key).await?;
    while let Some(entry) = entries.try_next().await? {
        let value = (entry.operation == Operation::Put).then_some(entry.value);
        sender.send_if_modified(|latest| {
            let changed = *latest != value;
            *latest = value;
            changed
        });
    }
    Ok(())
}

/// Replaces the value by what `compute` returns for it, and returns that. If another
/// process has written in between, reads and computes again.
///
/// # Errors
///
/// An error of the server. The value may have been written nevertheless.
pub async fn change(
    store: &Store,
    key: &str,
    mut compute: impl FnMut(Option<Bytes>) -> Bytes,
) -> Result<Bytes, Failure> {
    loop {
        let entry = store.entry(key).await?;
        let revision = entry.as_ref().map_or(0, |entry| entry.revision);
        let value = entry.filter(|entry| entry.operation == Operation::Put);
        let value = compute(value.map(|entry| entry.value));
        match store.update(key, value.clone(), revision).await {
            Ok(_) => return Ok(value),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sets a key, `cargo run -- limit 20`. With the key alone, shows each change of it.
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = std::env::var("NATS_URL").map_err(|_| "set NATS_URL=nats://HOST:PORT")?;
    let options = async_nats::ConnectOptions::new();
    // A server that is silent for two pings is taken for lost.
    let options = options.ping_interval(Duration::from_secs(10));
    let context = async_nats::jetstream::new(options.connect(url).await?);
    let store = open(&context, "settings").await?;
    let mut arguments = std::env::args().skip(1);
    let key = arguments.next().ok_or("which key?")?;
    if let Some(value) = arguments.next() {
        change(&store, &key, |_| value.clone().into()).await?;
        println!("{key} is {value}");
        return Ok(());
    }
    let report = |error| eprintln!("{error}");
    let mut latest = follow(store, key, Duration::from_secs(1), report).await?;
    loop {
        println!("{:?}", latest.borrow_and_update());
        latest.changed().await?;
    }
}

//@ clock: real
//@ try: limit 20 -> limit is 20
