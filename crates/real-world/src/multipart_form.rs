//! Multipart form: receive files and fields in axum, stream files to disk, with limits.
//!
//! A handler calls [`receive`]. Each file goes to the disk as it comes, and is removed
//! when its [`FormFile`] is dropped, unless the handler calls `store`. In aiohttp this is
//! `request.multipart()`. reqwest's `Form::file` sends a file from the disk.
//!
//! Bounds: [`Limits`], and some [`UNPARSED`] bytes of memory for a form. unbounded: the
//! number of forms and connections. Serve the routes with `http_server`.
//!
//! Trap: axum's `Multipart` keeps the headers of a part, and whatever comes before the
//! first boundary, in memory, up to the limit of the whole form. `Parser` limits it.
//!
//! Trap: a client's file name may be `../../etc/passwd`. Never put it into a path.
//!
//! See also: `upload_server` (one file, no form), `axum_service`.
//!
//! asyncio: asyncio.timeout, asyncio.to_thread
//! clock: real
//! try: send nowhere http://127.0.0.1:1/ -> No such file

use std::io;
use std::mem::replace;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use async_stream::stream;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, error::Elapsed, timeout};

/// The bytes that are read for headers, and before the first boundary.
pub const UNPARSED: usize = 64 * 1024;

/// The limits of one form.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest form, in bytes. axum's own limit of 2 MB does not apply.
    pub form: usize,
    /// The largest field that is not a file, in bytes.
    pub field: usize,
    /// The most fields and files.
    pub parts: usize,
    /// The longest wait for the next piece.
    pub stall: Duration,
    /// The longest time for a whole form.
    pub time: Duration,
}

/// A form that has come whole.
#[derive(Debug, Default)]
pub struct Form {
    /// Names and values, in the client's order. Bytes that are not UTF-8 are replaced.
    pub fields: Vec<(String, String)>,
    pub files: Vec<FormFile>,
}

/// A file of a form. Dropping it removes the file.
#[derive(Debug)]
pub struct FormFile {
    /// The name of the form's field.
    pub field: String,
    /// What the client calls the file: a text for people. It may be empty.
    pub client_name: String,
    pub bytes: u64,
    path: TempPath,
}

impl FormFile {
    /// Keeps the file, under a random name in the folder, and returns its path.
    pub async fn store(self) -> io::Result<PathBuf> {
        let target = self.path.with_extension("");
        let stored = spawn_blocking(move || {
            self.path.persist_noclobber(&target)?;
            Ok(target)
        });
        stored.await?
    }
}

/// Why there is no form. The client is told no more than this text.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error("not a form")]
    NotAForm(#[from] MultipartRejection),
    #[error("the form is broken")]
    Broken(#[source] MultipartError),
    #[error("{0} too large")]
    TooLarge(&'static str),
    #[error("too slow")]
    TooSlow(#[from] Elapsed),
    #[error("the form cannot be stored")]
    Disk(#[from] io::Error),
}

impl IntoResponse for FormError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NotAForm(_) | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Disk(error) => {
                // For the operator alone, as it contains paths.
                eprintln!("form: {error}");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        // The rest of the form is on its way: no other request may follow it.
        (status, [(header::CONNECTION, "close")], self.to_string()).into_response()
    }
}

/// Receives a form, and writes its files to the folder. Dropping the future, and an
/// error, remove them.
pub async fn receive(
    request: Request,
    folder: &Path,
    limits: Limits,
) -> Result<Form, FormError> {
    let parser = Parser {
        limits,
        start: Instant::now(),
        unparsed: Arc::default(),
    };
    let mut request = request.map(|body| parser.body(body));
    DefaultBodyLimit::max(limits.form).apply(&mut request);
    let mut parts = Multipart::from_request(request, &()).await?;
    let mut form = Form::default();
    while let Some(mut part) = parser.next(parts.next_field()).await? {
        if form.fields.len() + form.files.len() == limits.parts {
            return Err(FormError::TooLarge("the number of parts is"));
        }
        let field = part.name().unwrap_or_default().to_owned();
        if part.file_name().is_some() {
            form.files.push(write(field, part, folder, &parser).await?);
            continue;
        }
        let mut value = Vec::new();
        while let Some(chunk) = parser.next(part.chunk()).await? {
            if value.len() + chunk.len() > limits.field {
                return Err(FormError::TooLarge("a field is"));
            }
            value.extend_from_slice(&chunk);
        }
        let value = String::from_utf8_lossy(&value).into_owned();
        form.fields.push((field, value));
    }
    Ok(form)
}

async fn write(
    field: String,
    mut part: Field<'_>,
    folder: &Path,
    parser: &Parser,
) -> Result<FormFile, FormError> {
    let folder = folder.to_owned();
    // Only the server's user may read the file.
    let created = spawn_blocking(move || {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("form-").suffix(".part").rand_bytes(16);
        builder.tempfile_in(folder)
    });
    let (file, path) = created.await.map_err(io::Error::from)??.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut bytes = 0;
    while let Some(chunk) = parser.next(part.chunk()).await? {
        file.write_all(&chunk).await?;
        bytes += chunk.len() as u64;
    }
    // Otherwise a power cut may leave the name without the bytes.
    file.sync_all().await?;
    let client_name = part.file_name().unwrap_or_default().to_owned();
    Ok(FormFile {
        field,
        client_name,
        bytes,
        path,
    })
}

/// Limits how long and how much axum reads until it finds the next piece of a form.
struct Parser {
    limits: Limits,
    start: Instant,
    unparsed: Arc<AtomicUsize>,
}

impl Parser {
    async fn next<T>(
        &self,
        reading: impl Future<Output = Result<T, MultipartError>>,
    ) -> Result<T, FormError> {
        let left = self.limits.time.saturating_sub(self.start.elapsed());
        let next = timeout(left.min(self.limits.stall), reading).await?;
        self.unparsed.store(0, Relaxed);
        next.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => FormError::TooLarge("the form is"),
            _ => FormError::Broken(error),
        })
    }

    /// Returns a body that fails after too many bytes without a result of `next`.
    fn body(&self, body: Body) -> Body {
        let (body, runtime) = (body.into_data_stream(), Handle::current());
        let unparsed = Arc::clone(&self.unparsed);
        Body::from_stream(stream! {
            let mut rest = Rest { body, runtime };
            while let Some(chunk) = rest.body.next().await {
                let size = chunk.as_ref().map_or(0, Bytes::len);
                if unparsed.fetch_add(size, Relaxed) > UNPARSED {
                    yield Err(axum::Error::new("too many bytes between two parts"));
                    return;
                }
                yield chunk;
                // The parser reads until it has to wait: let it wait after each chunk.
                yield_now().await;
            }
        })
    }
}

/// What the client still sends. When this is dropped, a task reads on for a second:
/// otherwise a client that is still sending may miss the answer.
struct Rest {
    body: BodyDataStream,
    runtime: Handle,
}

impl Drop for Rest {
    fn drop(&mut self) {
        let mut body = replace(&mut self.body, Body::empty().into_data_stream());
        let drain = async move { while let Some(Ok(_)) = body.next().await {} };
        let second = Duration::from_secs(1);
        self.runtime
            .spawn(async move { timeout(second, drain).await });
    }
}

/// Receives forms: `cargo run -- serve uploads 127.0.0.1:8080`, or sends a file in one:
/// `cargo run -- send photo.jpg http://127.0.0.1:8080/`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["send", path, url] = args[..] {
        let form = reqwest::multipart::Form::new().text("title", "A file");
        let form = form.file("file", path).await?;
        let request = reqwest::Client::new().post(url).multipart(form);
        let response = request.timeout(Duration::from_secs(3_600)).send().await?;
        println!("{}", response.status());
        return Ok(());
    }
    let ["serve", folder, address] = args[..] else {
        return Err("usage: serve FOLDER ADDRESS:PORT, or send FILE URL".into());
    };
    std::fs::create_dir_all(folder)?;
    let folder = PathBuf::from(folder);
    let limits = Limits {
        form: 100_000_000,
        field: 10_000,
        parts: 100,
        stall: Duration::from_secs(30),
        time: Duration::from_secs(3_600),
    };
    let create = async move |request: Request| -> Result<StatusCode, FormError> {
        for file in receive(request, &folder, limits).await?.files {
            let name = format!("{:?}", file.client_name);
            println!("{name}: {}", file.store().await?.display());
        }
        Ok(StatusCode::CREATED)
    };
    let routes = axum::Router::new().route("/", axum::routing::post(create));
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, routes).await?)
}
