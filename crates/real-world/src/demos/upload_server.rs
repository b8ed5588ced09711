//! Uploads that are stored, and uploads that are refused.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::{Body, Client};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval_at};
use tokio_util::task::AbortOnDropHandle;

use crate::upload_server::{Limits, UploadStore};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Returns a body that begins with `text` and then neither continues nor ends.
fn stalled(text: &'static str) -> Body {
    let begin = stream::iter([Ok::<_, Infallible>(text)]);
    Body::wrap_stream(begin.chain(stream::pending()))
}

/// Returns a body of 2,000 bytes whose length is not sent.
fn chunks() -> Body {
    let chunks = (0..20).map(|_| Ok::<_, Infallible>("x".repeat(100)));
    Body::wrap_stream(stream::iter(chunks))
}

async fn put(client: &Client, url: &str, body: Body) -> reqwest::Result<()> {
    let response = client.put(url).body(body).send().await?;
    let status = response.status().as_u16();
    println!("{status}: {}", response.text().await?);
    Ok(())
}

fn print_names(folder: &Path) -> io::Result<()> {
    let entries = fs::read_dir(folder)?;
    let names =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    println!("in the folder: {}", names.join(", "));
    Ok(())
}

/// Returns a folder in memory, if there is such a file system, as a disk may be slow.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however long the part before took.
    let half = Duration::from_millis(500);
    let mut part = interval_at(Instant::now() + half, half);
    let folder = in_memory()?;
    // A server that was killed has left it.
    fs::write(folder.path().join(".uploading-abcdef.part"), "half")?;
    let limits = Limits {
        max_bytes: 1_000,
        max_uploads: 2,
        stall: Duration::from_millis(200),
        max_time: Duration::from_secs(5),
    };
    let store = UploadStore::open(folder.path().to_owned(), limits).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = axum::serve(listener, store.router()).into_future();
    let _server = AbortOnDropHandle::new(tokio::spawn(server));
    // The server is on this machine, which no proxy would reach.
    let client = &Client::builder().no_proxy().build()?;
    let put = async |name: &str, body: Body| {
        let url = format!("{url}/{name}");
        put(client, &url, body).await
    };

    part.tick().await;
    println!("A file, and a new version of it:");
    put("a.txt", "hello".into()).await?;
    put("a.txt", "hello again".into()).await?;

    println!("Too large, its length known and unknown:");
    put("b.txt", "x".repeat(1_001).into()).await?;
    put("b.txt", chunks()).await?;

    part.tick().await;
    println!("Invalid file names:");
    for name in [".hidden", "-rf", "a%0Ab", "a%2Fb", "..%2Fa", "a:b", "a%00"] {
        put(name, "hello".into()).await?;
    }
    put(&"x".repeat(201), "hello".into()).await?;

    part.tick().await;
    part.tick().await;
    println!("Two clients that stall, and a third one:");
    let third = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        put("e.txt", "hello".into()).await
    };
    let two = [put("c.txt", stalled("hello")), put("d.txt", stalled(""))];
    let (two, third) = tokio::join!(futures::future::try_join_all(two), third);
    two?;
    third?;

    part.tick().await;
    print_names(folder.path())?;
    Ok(())
}
