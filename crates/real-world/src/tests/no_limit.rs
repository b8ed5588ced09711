//! A number of `usize::MAX` is no limit. A semaphore or a channel of so many would panic.

use std::error::Error;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tempfile::tempdir;
use tokio::io::duplex;
use tokio::net::UdpSocket;
use tokio::task::JoinError;
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::support::soon;
use crate::api_server::Jobs;
use crate::blocking_in_threads::BlockingPool;
use crate::chat_room::Room;
use crate::reconnecting_client::{Client, Config, Event};
use crate::rpc_over_one_connection as rpc;
use crate::sqlite_pool::{Settings, SqlitePool};
use crate::udp_server;
use crate::upload_server::{self, UploadStore};
use crate::watch_files::FolderWatch;
use crate::web_scraper::{self, Crawl};

const NONE: usize = usize::MAX;
const LONG: Duration = Duration::from_secs(60);

type Used = Result<(), Box<dyn Error + Send + Sync>>;

async fn api_server() -> Used {
    let jobs = Jobs::new(NONE, NONE, |_| async { Ok(Value::Null) }.boxed());
    let started = jobs.submit(String::new());
    started.map_err(|error| format!("{error:?}"))?;
    assert!(jobs.drain(LONG).await.is_empty());
    Ok(())
}

async fn blocking_in_threads() -> Used {
    Ok(BlockingPool::new(NONE).run(|| ()).await?)
}

async fn chat_room() -> Used {
    let room = Room::<String>::new(NONE, Duration::ZERO);
    let mut seat = room.join("Ann")?;
    room.tell("hello".to_owned());
    // News need a queue that is more than half free.
    for text in ["Ann joined", "hello"] {
        assert_eq!(seat.messages.try_recv()?, text);
    }
    Ok(())
}

async fn reconnecting_client() -> Used {
    let config = Config {
        connect: LONG,
        request: LONG,
        ping: LONG,
        silence: LONG,
        initial_backoff: LONG,
        max_backoff: LONG,
        jitter: |pause| pause,
        frame: 1000,
        waiting: NONE,
    };
    let (near, _far) = duplex(100);
    let near = std::sync::Mutex::new(Some(near));
    let connect = move || {
        let near = near.lock().expect("no panic").take();
        async move { near.ok_or(io::ErrorKind::NotFound.into()) }
    };
    let (client, mut events) = Client::start(config, connect);
    let event = events.recv().await;
    assert!(matches!(event, Some(Event::Connected)), "{event:?}");
    // Its task has not panicked.
    let request = tokio::time::timeout(LONG / 600, client.request("hello".to_owned()));
    assert!(request.await.is_err(), "nobody replies");
    Ok(())
}

async fn rpc_over_one_connection() -> Used {
    let limits = rpc::Limits {
        payload: NONE,
        calls: NONE,
        call: LONG,
        idle: LONG,
    };
    let (near, far) = duplex(100);
    let server = rpc::answer(far, limits, |text| async { text });
    let server = tokio::spawn(server);
    let client = rpc::Client::new(near, limits);
    assert_eq!(client.call(Bytes::from("hello")).await?, "hello");
    drop(client);
    Ok(server.await??)
}

async fn sqlite_pool() -> Used {
    let folder = tempdir()?;
    let settings = Settings {
        readers: NONE,
        acquire_timeout: LONG,
        busy_timeout: LONG,
        pragmas: "",
    };
    let pool = SqlitePool::open(folder.path().join("a.db"), settings).await?;
    Ok(pool.close().await?)
}

async fn udp_server() -> Used {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let client = UdpSocket::bind("127.0.0.1:0").await?;
    client.connect(socket.local_addr()?).await?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(udp_server::serve(socket, NONE, stop.clone()));
    client.send(b"hello").await?;
    client.recv(&mut [0; 5]).await?;
    stop.cancel();
    Ok(server.await?)
}

async fn upload_server() -> Used {
    let folder = tempdir()?;
    let limits = upload_server::Limits {
        max_bytes: u64::MAX,
        max_uploads: NONE,
        stall: LONG,
        max_time: LONG,
    };
    let store = UploadStore::open(folder.path().into(), limits).await?;
    let request = Request::put("/name").body(Body::from("hello"))?;
    let response = store.router().oneshot(request).await?;
    assert_eq!(response.status(), StatusCode::CREATED);
    Ok(())
}

async fn watch_files() -> Used {
    let folder = tempdir()?;
    let mut watch = FolderWatch::new(folder.path(), NONE)?;
    std::fs::write(folder.path().join("new"), "")?;
    assert!(watch.changes(Duration::ZERO, LONG).await.is_some());
    Ok(())
}

async fn web_scraper() -> Used {
    let limits = web_scraper::Limits {
        max_visits: NONE,
        delay: Duration::ZERO,
        max_depth: u32::MAX,
        max_pages: NONE,
    };
    let first = vec!["http://a.example/".parse()?];
    let visit = |_| async { Ok::<_, JoinError>(((), Vec::new())) };
    let visited = Crawl::new(first, limits, visit).next().await;
    assert!(visited.is_some_and(|(_, outcome)| outcome.is_ok()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_usize_max_is_no_limit() {
    type Use = (&'static str, fn() -> BoxFuture<'static, Used>);
    let uses: [Use; 10] = [
        ("api_server", || api_server().boxed()),
        ("blocking_in_threads", || blocking_in_threads().boxed()),
        ("chat_room", || chat_room().boxed()),
        ("reconnecting_client", || reconnecting_client().boxed()),
        ("rpc_over_one_connection", || {
            rpc_over_one_connection().boxed()
        }),
        ("sqlite_pool", || sqlite_pool().boxed()),
        ("udp_server", || udp_server().boxed()),
        ("upload_server", || upload_server().boxed()),
        ("watch_files", || watch_files().boxed()),
        ("web_scraper", || web_scraper().boxed()),
    ];
    let mut failed = Vec::new();
    for (name, used) in uses {
        // A panic of one hides none of the others.
        match tokio::spawn(soon(used())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failed.push(format!("{name}: {error}")),
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
