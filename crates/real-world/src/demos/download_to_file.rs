//! Downloads that are whole, break, stall, drip and are too large.

use std::error::Error;
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::{StreamExt, stream};
use reqwest::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::download_to_file::{DownloadError, Limits, download};

pub type Failure = Box<dyn Error + Send + Sync>;

/// Sends pieces of 1,000 bytes, 0.1 s after the client has seen the one before.
async fn answer(
    UrlPath(kind): UrlPath<String>,
    State(seen): State<Arc<Semaphore>>,
) -> Body {
    let pieces: u32 = if kind == "drips" { 10_000 } else { 4 };
    let body = stream::iter(0..pieces).then(move |number| {
        let (kind, seen) = (kind.clone(), Arc::clone(&seen));
        async move {
            if number > 0 {
                if let Ok(permit) = seen.acquire().await {
                    permit.forget();
                }
                sleep(Duration::from_millis(100)).await;
            }
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
    seen: &Semaphore,
) -> Result<(), Failure> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut file = tokio::fs::File::create(target).await?;
    while let Some(chunk) = response.chunk().await.transpose() {
        file.write_all(&chunk?).await?;
        file.flush().await?;
        seen.add_permits(1);
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
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let folder = in_memory()?;
    let folder = folder.path();
    let seen = Arc::new(Semaphore::new(0));
    let app = Router::new().route("/{kind}", get(answer));
    let app = app.with_state(Arc::clone(&seen));
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
        stall: Duration::from_secs(30),
        max_time: Duration::from_secs(30),
    };
    let report = async |kind: &str, limits: Limits, name: &str| {
        let (request, target) = (client.get(format!("{url}/{kind}")), folder.join(name));
        seen.forget_permits(usize::MAX);
        let show = |bytes, _| {
            seen.add_permits(1);
            // The drip would print as many lines as its limit lets through.
            if kind != "drips" {
                println!("{bytes} bytes");
            }
        };
        match download(request, &target, &limits, show).await {
            Ok(bytes) => println!("done, {bytes} bytes"),
            Err(DownloadError::Http(_)) => println!("the connection broke"),
            Err(error) => println!("{error}"),
        }
    };

    at(500).await;
    println!("Under its final name, and the connection breaks:");
    let target = folder.join("half");
    let breaks = format!("{url}/breaks");
    let broken = download_to_final_name(&client, breaks, &target, &seen).await;
    println!("failed: {}", broken.is_err());
    show(folder)?;
    std::fs::remove_file(target)?;

    at(1_000).await;
    println!("Beside it, and the connection breaks:");
    report("breaks", limits, "file").await;
    show(folder)?;

    at(1_500).await;
    println!("Whole:");
    report("whole", limits, "file").await;
    show(folder)?;

    at(2_500).await;
    println!("It stalls:");
    let impatient = Limits {
        stall: Duration::from_secs(1),
        ..limits
    };
    report("stalls", impatient, "file").await;

    at(4_000).await;
    println!("It goes on and on:");
    let enough = Limits {
        max_bytes: 100_000_000,
        ..limits
    };
    let short = Limits {
        max_time: Duration::from_secs(1),
        ..enough
    };
    report("drips", short, "file").await;

    at(5_500).await;
    println!("Larger than allowed:");
    let less = Limits {
        max_bytes: 3_999,
        ..limits
    };
    report("whole", less, "file").await;

    at(6_500).await;
    println!("There is no such folder:");
    report("whole", limits, "nowhere/file").await;

    println!("Dropped after 1 s:");
    let drops = Duration::from_secs(1);
    let dropped = tokio::time::timeout(drops, report("drips", enough, "file")).await;
    println!("dropped: {}", dropped.is_err());
    // A thread removes it.
    while std::fs::read_dir(folder)?.count() > 1 {
        sleep(Duration::from_millis(10)).await;
    }
    show(folder)?;
    Ok(())
}
