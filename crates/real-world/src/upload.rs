//! Upload a large file: streamed with little memory, progress, a limit for stalls.
//!
//! `tokio_util::io::ReaderStream` reads the file in chunks, and reqwest's
//! `Body::wrap_stream` sends them; aiohttp takes an async generator for this. A chunk
//! is read only when the connection can send it. `upload` sends the length first, so
//! the server can refuse a large file immediately. Pass `stall`, the longest time
//! without progress: reqwest's `timeout` would limit the whole upload and so cut off
//! large files.
//!
//! Bounds: A few chunks are in memory. The upload fails after `stall` without progress,
//! or if the server's answer has more than [`MAX_ANSWER`] bytes. Unbounded: The whole
//! time, if the server takes a chunk now and then.
//!
//! Trap: If you retry an upload with the same request, the file is not sent again,
//! because its stream has been read. `RequestBuilder::try_clone` returns `None` for
//! such a request, and aiohttp even sends an empty file. Open the file and build the
//! request for each attempt.
//!
//! See also: `multipart_form` (a form with files), `upload_server`.
//!
//! asyncio: async for, yield, asyncio.timeout, asyncio.Timeout.reschedule
//! differs: reqwest does not send a stream twice, aiohttp sends an empty body

use std::io;
use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt;
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_LENGTH;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::select;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::io::ReaderStream;

/// In bytes.
const CHUNK: usize = 256 * 1024;
/// The most bytes of the server's answer.
pub const MAX_ANSWER: usize = 64 * 1024;

/// Why a file was not uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// For this long, the server took no chunk and sent no answer.
    #[error("no progress for {0:?}")]
    Stalled(Duration),
    /// The server answered with an error.
    #[error("status {status}: {message}")]
    Refused { status: u16, message: String },
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] io::Error),
    #[error("an answer of more than {0} bytes")]
    LongAnswer(usize),
    /// The connection broke, or reading the file failed while it was sent.
    #[error("the request failed")]
    Http(#[from] reqwest::Error),
}

/// Sends the file as the body of the request, and returns the server's answer.
///
/// `progress` is called with the size of each chunk when the connection takes it. Without
/// progress for `stall`, the upload fails. Dropping the future closes the connection.
/// `Content-Length` is the size of the file, unless it is a pipe. If the file shrinks
/// during the upload, that is an error. If it grows, the rest is not sent.
///
/// # Errors
///
/// [`UploadError`]. A refused upload may also end as `Http`, if the server closes the
/// connection before its answer is read.
pub async fn upload(
    request: RequestBuilder,
    path: &Path,
    stall: Duration,
    mut progress: impl FnMut(u64) + Send + 'static,
) -> Result<String, UploadError> {
    let file = File::open(path).await?;
    let metadata = file.metadata().await?;
    let size = metadata.is_file().then_some(metadata.len());
    let (moves, mut moved) = watch::channel(());
    let chunks = ReaderStream::with_capacity(file.take(size.unwrap_or(u64::MAX)), CHUNK);
    let chunks = chunks.inspect_ok(move |chunk| {
        progress(chunk.len() as u64);
        moves.send_replace(());
    });
    let mut request = request.body(reqwest::Body::wrap_stream(chunks));
    if let Some(size) = size {
        request = request.header(CONTENT_LENGTH, size);
    }
    let answer = async {
        let mut response = request.send().await?;
        let status = response.status();
        let mut message = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if message.len() + chunk.len() > MAX_ANSWER {
                return Err(UploadError::LongAnswer(MAX_ANSWER));
            }
            message.extend_from_slice(&chunk);
        }
        let message = String::from_utf8_lossy(&message).into_owned();
        if status.is_success() {
            Ok(message)
        } else {
            Err(UploadError::Refused {
                status: status.as_u16(),
                message,
            })
        }
    };
    let stalled = async {
        loop {
            match timeout(stall, moved.changed()).await {
                Ok(Ok(())) => {}
                Err(_) => return,
                // The body has been sent.
                Ok(Err(_)) => return sleep(stall).await,
            }
        }
    };
    select! {
        biased;
        answer = answer => answer,
        () = stalled => Err(UploadError::Stalled(stall)),
    }
}

/// Uploads a file with PUT: `cargo run -- photo.jpg https://example.com/files/photo.jpg`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, url] = args.as_slice() else {
        return Err("usage: FILE URL".into());
    };
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .build()?;
    let stall = Duration::from_secs(30);
    let request = client.put(url);
    let answer = upload(request, Path::new(path), stall, |_| ()).await?;
    println!("{answer}");
    Ok(())
}

//@ clock: real
//@ late: 50 (a debug build takes its time for a megabyte)
//@ try: /dev/null http://127.0.0.1:1/ -> refused
