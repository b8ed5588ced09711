//! Downloads that are whole, break, stall, drip and are too large.

use std::error::Error;
use std::future::pending;
use std::io;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path as UrlPath;
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::{StreamExt, stream};
use reqwest::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::download_to_file::{DownloadError, Limits, download};

pub type Failure = Box<dyn Error + Send + Sync>;

/// Sends pieces of 1,000 bytes, one each 0.1 s.
async fn answer(UrlPath(kind): UrlPath<String>) -> Body {
    let pieces: u32 = if kind == "drips" { 1_000 } else { 4 };
    let start = Instant::now();
    let body = stream::iter(0..pieces).then(move |number| {
        let kind = kind.clone();
        async move {
            sleep_until(start + number * Duration::from_millis(100)).await;
            match kind.as_str() {
                "breaks" if number == 2 => Err(io::Error::other("scheduled")),
                "stalls" if number == 2 => pending().await,
                _ => Ok(vec![b'x'; 1_000]),
            }
        }
    });
    Body::from_stream(body)
}

/// The trap.
async fn download_to_final_name(
    client: &Client,
    url: String,
    target: &Path,
) -> Result<(), Failure> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut file = tokio::fs::File::create(target).await?;
    while let Some(chunk) = response.chunk().await.transpose() {
        file.write_all(&chunk?).await?;
        file.flush().await?;
    }
    Ok(())
}

/// Prints the names of the files, and how long they are.
fn show(folder: &Path) -> io::Result<()> {
    let entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    let sizes = entries.iter().map(|entry| {
        let size = entry.metadata()?.len();
        Ok(format!("{} {size}", entry.file_name().display()))
    });
    let mut sizes = sizes.collect::<io::Result<Vec<_>>>()?;
    sizes.sort();
    println!("in the folder: {}", sizes.join(", "));
    Ok(())
}

/// Returns a folder in memory, if there is such a file system, as a disk may be slow.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however long the part before took.
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let folder = in_memory()?;
    let folder = folder.path();
    let app = Router::new().route("/{kind}", get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    // Small pieces are not to wait for each other.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let server = axum::serve(listener, app).into_future();
    let _server = AbortOnDropHandle::new(tokio::spawn(server));
    // The server is on this machine, which no proxy would reach.
    let client = Client::builder().no_proxy().build()?;
    let limits = Limits {
        max_bytes: 4_000,
        stall: Duration::from_millis(300),
        max_time: Duration::from_millis(1_000),
    };
    let report = async |kind: &str, limits: Limits, name: &str| {
        let (request, target) = (client.get(format!("{url}/{kind}")), folder.join(name));
        let show = |bytes, _| println!("{bytes} bytes");
        match download(request, &target, &limits, show).await {
            Ok(bytes) => println!("done, {bytes} bytes"),
            Err(DownloadError::Http(_)) => println!("the connection broke"),
            Err(error) => println!("{error}"),
        }
    };

    at(500).await;
    println!("Under its final name, and the connection breaks:");
    let target = folder.join("half");
    let broken = download_to_final_name(&client, format!("{url}/breaks"), &target).await;
    println!("failed: {}", broken.is_err());
    show(folder)?;
    std::fs::remove_file(target)?;

    at(1000).await;
    println!("Beside it, and the connection breaks:");
    report("breaks", limits, "file").await;
    show(folder)?;

    at(1500).await;
    println!("Whole:");
    report("whole", limits, "file").await;
    show(folder)?;

    at(2000).await;
    println!("It stalls:");
    report("stalls", limits, "file").await;

    at(3000).await;
    println!("It goes on and on:");
    let enough = Limits {
        max_bytes: 1_000_000,
        max_time: Duration::from_millis(450),
        ..limits
    };
    report("drips", enough, "file").await;

    at(3500).await;
    println!("Larger than allowed:");
    let less = Limits {
        max_bytes: 3_999,
        ..limits
    };
    report("whole", less, "file").await;

    at(4000).await;
    println!("There is no such folder:");
    report("whole", limits, "nowhere/file").await;

    println!("Dropped after 0.25 s:");
    let drops = Duration::from_millis(250);
    let dropped = tokio::time::timeout(drops, report("whole", limits, "file")).await;
    println!("dropped: {}", dropped.is_err());
    sleep(Duration::from_millis(50)).await;
    show(folder)?;
    Ok(())
}
