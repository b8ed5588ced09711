//! What asyncio has since Python 3.13, and the newer parts of older names.
//!
//! CPython 3.11 and 3.12 do not have these names, so only a newer one runs the twin.
//!
//! asyncio: asyncio.as_completed (async iteration), asyncio.Server.abort_clients
//! asyncio: asyncio.StreamReader.readuntil, asyncio.eager_task_factory
//! differs: a result comes without its task, and there are no eager tasks

#![cfg(unix)]

use std::any::type_name_of_val;
use std::{env, fs, process};

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::codec::{AnyDelimiterCodec, FramedRead};

use crate::support::{millis, settle, try_together};

async fn nothing() -> String {
    "no counterpart".to_owned()
}

async fn as_completed_yields() -> String {
    let mut tasks = JoinSet::new();
    tasks.spawn(async { 7 });
    let ended = tasks.join_next().await.unwrap().unwrap();
    format!("yields {}", type_name_of_val(&ended))
}

async fn records() -> String {
    let codec = AnyDelimiterCodec::new(b"|-".to_vec(), Vec::new());
    let records = FramedRead::new(&b"one||two--three||"[..], codec);
    let records = records.map(|it| String::from_utf8_lossy(&it.unwrap()).into_owned());
    records.collect::<Vec<_>>().await.join(", ")
}

async fn end_of_iteration() -> String {
    let (sender, receiver) = oneshot::channel();
    sender.send(Err::<(), _>("the end")).unwrap();
    format!("raises {}", receiver.await.unwrap().unwrap_err())
}

/// Ends the handler of a client that does not read.
async fn abort_clients() -> String {
    const MUCH: usize = 20_000_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut handlers = JoinSet::new();
    handlers.spawn(async move { stream.write_all(&vec![b'x'; MUCH]).await });
    settle().await;
    handlers.abort_all();
    while handlers.join_next().await.is_some() {}
    let mut data = Vec::new();
    client.read_to_end(&mut data).await.unwrap();
    format!("a part arrives, and the end: {}", data.len() < MUCH)
}

async fn socket_file() -> String {
    let path = env::temp_dir().join(format!("contract-left-{}", process::id()));
    drop(UnixListener::bind(&path).unwrap());
    let left = fs::remove_file(path).is_ok();
    format!("the file is there: {left}")
}

#[tokio::main]
async fn main() {
    try_together! { millis(1_000),
        "as_completed.tasks.same-objects" => as_completed_yields(),
        "stream.readuntil.several-long" => records(),
        "future.exception.stop-iteration" => end_of_iteration(),
        "server.abort_clients.drops-buffers" => abort_clients(),
        "unix.server.cleanup-option" => socket_file(),
        "task.uncancel.takes-back" => nothing(),
        "task.get_context" => nothing(),
        "eager.factory.for-the-loop" => nothing(),
        "eager.all_tasks.has-it" => nothing(),
        "task_group.eager" => nothing(),
    }
}

//@ clock: real
//@ python: 3.13
