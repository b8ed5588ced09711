use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures::future::join_all;
use futures::{StreamExt, poll, stream};
use reqwest::Client;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, advance, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::support::{poll_and_drop, soon};
use crate::download_to_file::{DownloadError, Limits, download};

const LONG: Duration = Duration::from_secs(120);
const LIMITS: Limits = Limits {
    max_bytes: 3_000_000,
    stall: LONG,
    max_time: LONG,
};

struct Site {
    url: String,
    folder: TempDir,
    client: Client,
    _task: AbortOnDropHandle<()>,
}

impl Site {
    async fn new(body: fn() -> Body) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(move || async move { body() });
        let serving = async { axum::serve(listener, app).await.expect("it serves") };
        Self {
            url,
            folder: tempfile::tempdir().expect("a folder"),
            client: Client::builder().no_proxy().build().expect("a client"),
            _task: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    async fn download(&self, limits: Limits) -> Result<u64, DownloadError> {
        let request = self.client.get(&self.url);
        download(request, &self.target(), &limits, |_, _| ()).await
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("it is there");
        let names = entries.map(|entry| entry.expect("it is there").file_name());
        names.map(|it| it.to_string_lossy().into_owned()).collect()
    }

    /// A write that a thread has begun may end later.
    async fn until_files(&self, expected: &[&str]) {
        let start = Instant::now();
        while self.files() != expected {
            assert!(start.elapsed() < LONG, "{:?}", self.files());
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn endless() -> Body {
    Body::from_stream(stream::repeat_with(|| {
        Ok::<_, Infallible>(vec![b'x'; 65_536])
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_of_all_sizes_are_whole_and_readable_as_others() {
    let site = Site::new(|| "".into()).await;
    assert_eq!(soon(site.download(LIMITS)).await.expect("it is there"), 0);
    let site = Site::new(|| vec![7; 3_000_000].into()).await;
    for limits in [LIMITS, LIMITS] {
        let bytes = soon(site.download(limits)).await.expect("it fits");
        assert_eq!(bytes, 3_000_000);
        assert_eq!(
            fs::read(site.target()).expect("it is there"),
            vec![7; 3_000_000]
        );
    }
    let plain = site.folder.path().join("plain");
    fs::write(&plain, "").expect("there is room");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions();
    assert_eq!(mode(&site.target()), mode(&plain));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_does_not_end_or_is_too_large_or_drips_leaves_nothing() {
    for body in [endless, || vec![7; 3_000_001].into()] {
        let site = Site::new(body).await;
        fs::write(site.target(), "old").expect("there is room");
        let ended = soon(site.download(LIMITS)).await;
        assert!(
            matches!(ended, Err(DownloadError::TooLarge(3_000_000))),
            "{ended:?}"
        );
        site.until_files(&["file"]).await;
        assert_eq!(fs::read(site.target()).expect("it is there"), b"old");
    }
    let drips = || {
        let drip = stream::repeat_with(|| Ok::<_, Infallible>("x")).then(async |piece| {
            sleep(Duration::from_millis(50)).await;
            piece
        });
        Body::from_stream(drip)
    };
    let site = Site::new(drips).await;
    let limits = Limits {
        max_time: Duration::from_secs(1),
        ..LIMITS
    };
    let ended = soon(site.download(limits)).await;
    assert!(matches!(ended, Err(DownloadError::TooSlow(_))), "{ended:?}");
    let site =
        Site::new(|| Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>()));
    let site = site.await;
    let limits = Limits {
        stall: Duration::from_millis(100),
        ..LIMITS
    };
    let ended = soon(site.download(limits)).await;
    assert!(matches!(ended, Err(DownloadError::TooSlow(_))), "{ended:?}");
    site.until_files(&[]).await;
}

#[tokio::test]
async fn half_a_file_is_an_error() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nhalf",
    ] {
        let mut site = Site::new(|| "".into()).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        site.url = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("it asks");
            let _size = stream.read(&mut [0; 1_000]).await;
            stream.write_all(answer.as_bytes()).await.expect("it reads");
        };
        let (ended, ()) =
            soon(async { tokio::join!(site.download(LIMITS), server) }).await;
        assert!(matches!(ended, Err(DownloadError::Http(_))), "{ended:?}");
        site.until_files(&[]).await;
    }
}

#[tokio::test]
async fn progress_has_the_bytes_so_far_and_the_length_if_it_is_named() {
    let whole: fn() -> Body = || vec![7; 1_000_000].into();
    let pieces: fn() -> Body = || {
        let pieces = (0..10).map(|_| Ok::<_, Infallible>(vec![7; 100_000]));
        Body::from_stream(stream::iter(pieces))
    };
    for (body, length) in [(whole, Some(1_000_000)), (pieces, None)] {
        let site = Site::new(body).await;
        let mut seen = Vec::new();
        let progress = |bytes, total| seen.push((bytes, total));
        let (request, target) = (site.client.get(&site.url), site.target());
        let ended = download(request, &target, &LIMITS, progress);
        assert_eq!(soon(ended).await.expect("it fits"), 1_000_000);
        assert!(seen.is_sorted() && seen.iter().all(|(_, total)| *total == length));
        assert_eq!(seen.last(), Some(&(1_000_000, length)));
    }
}

/// On one thread, whose memory is counted, from a server on another one.
#[test]
fn a_large_file_is_never_in_memory() {
    use std::io::{Read, Write};

    const PIECE: usize = 1 << 20;
    const PIECES: usize = 40;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let _size = stream.read(&mut [0; 1_000])?;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            PIECE * PIECES
        );
        stream.write_all(head.as_bytes())?;
        (0..PIECES).try_for_each(|_| stream.write_all(&[7; PIECE]))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("file");
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let limits = Limits {
        max_bytes: u64::MAX,
        ..LIMITS
    };
    let memory = allocation_counter::measure(|| {
        let ended = runtime.block_on(async {
            let client = Client::builder().no_proxy().build().expect("a client");
            download(client.get(&url), &target, &limits, |_, _| ()).await
        });
        assert_eq!(ended.expect("it fits"), (PIECE * PIECES) as u64);
    });
    assert!(memory.bytes_max < 10 << 20, "{} bytes", memory.bytes_max);
    server.join().expect("no panic").expect("it reads");
}

/// The end of the second trap.
#[tokio::test]
async fn without_a_length_half_a_file_looks_whole() {
    let mut site = Site::new(|| "".into()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    site.url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = async {
        let (mut stream, _) = listener.accept().await.expect("it asks");
        let _size = stream.read(&mut [0; 1_000]).await;
        let answer = b"HTTP/1.1 200 OK\r\n\r\nhalf";
        stream.write_all(answer).await.expect("it reads");
    };
    let (ended, ()) = soon(async { tokio::join!(site.download(LIMITS), server) }).await;
    assert_eq!(ended.expect("it looks whole"), 4);
}

#[tokio::test]
async fn dropped_at_each_await_it_leaves_nothing_or_all() {
    let site = Site::new(|| vec![7; 100_000].into()).await;
    let mut polls = 0;
    loop {
        polls += 1;
        let ended = poll_and_drop(site.download(LIMITS), polls).await;
        let start = Instant::now();
        // A thread that renames the file does so after the drop.
        while site.files().iter().any(|name| name != "file") {
            assert!(start.elapsed() < LONG, "{:?}", site.files());
            sleep(Duration::from_millis(1)).await;
        }
        if !site.files().is_empty() {
            assert_eq!(
                fs::read(site.target()).expect("it is there"),
                vec![7; 100_000]
            );
            fs::remove_file(site.target()).expect("it is there");
        }
        if ended.is_some() {
            break;
        }
    }
    assert!(polls > 3, "{polls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_to_one_place() {
    super::allow_files();
    let site = Site::new(|| vec![7; 100_000].into()).await;
    let all = soon(join_all((0..30).map(|_| site.download(LIMITS)))).await;
    assert!(all.iter().all(Result::is_ok));
    site.until_files(&["file"]).await;
}

/// Answers that are no errors and no files: the old file stays.
#[tokio::test]
async fn only_200_is_a_file() {
    for (answer, status) in [
        ("204 No Content\r\n\r\n", 204),
        (
            "206 OK\r\ncontent-range: bytes 0-3/9\r\ncontent-length: 4\r\n\r\nhalf",
            206,
        ),
        ("300 Choices\r\ncontent-length: 4\r\n\r\ntext", 300),
        ("302 Found\r\ncontent-length: 5\r\n\r\nmoved", 302),
        ("304 Not Modified\r\n\r\n", 304),
        ("307 Elsewhere\r\ncontent-length: 5\r\n\r\nmoved", 307),
        (
            "200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzip!",
            200,
        ),
    ] {
        let mut site = Site::new(|| "".into()).await;
        fs::write(site.target(), "the good old file").expect("there is room");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        site.url = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("it asks");
            let _size = stream.read(&mut [0; 1_000]).await;
            let answer = format!("HTTP/1.1 {answer}");
            stream.write_all(answer.as_bytes()).await.expect("it reads");
        };
        let (ended, ()) =
            soon(async { tokio::join!(site.download(LIMITS), server) }).await;
        match ended {
            Err(DownloadError::NoFile(refused)) => assert_eq!(refused.as_u16(), status),
            Err(DownloadError::Compressed) => assert_eq!(status, 200),
            ended => panic!("{status}: {ended:?}"),
        }
        let kept = fs::read_to_string(site.target()).expect("it is there");
        assert_eq!(kept, "the good old file");
        site.until_files(&["file"]).await;
    }
}

/// Lets the time run out before each poll, while the only thread for files is busy.
#[test]
fn after_too_slow_the_old_file_stays() {
    let mut builder = Builder::new_current_thread();
    builder
        .enable_all()
        .start_paused(true)
        .max_blocking_threads(1);
    builder.build().expect("a runtime").block_on(async {
        let site = Site::new(|| "new".into()).await;
        for polls in (1..60).cycle().take(3_000) {
            fs::write(site.target(), "old").expect("there is room");
            let mut ended = pin!(site.download(LIMITS));
            let mut is_ready = false;
            for _ in 1..polls {
                is_ready |= poll!(ended.as_mut()).is_ready();
                if is_ready {
                    break;
                }
                // Not before the thread has nothing to do.
                sleep(Duration::from_millis(1)).await;
            }
            if is_ready {
                continue;
            }
            let (release, busy) = mpsc::channel::<()>();
            spawn_blocking(move || busy.recv());
            let mut now = poll!(ended.as_mut());
            if now.is_pending() {
                advance(2 * LONG).await;
                now = poll!(ended.as_mut());
            }
            drop(release);
            match now {
                Poll::Ready(Err(DownloadError::TooSlow(_))) => {
                    spawn_blocking(|| ()).await.expect("it does not panic");
                    let kept = fs::read(site.target()).expect("it is there");
                    assert_eq!(kept, b"old", "after {polls} polls");
                }
                // It was renamed before the thread was busy.
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => panic!("{error}"),
                // It was about to be renamed.
                Poll::Pending => {
                    assert_eq!(ended.await.expect("it is whole"), 3);
                    let new = fs::read(site.target()).expect("it is there");
                    return assert_eq!(new, b"new");
                }
            }
        }
        panic!("it was never about to be renamed");
    });
}
