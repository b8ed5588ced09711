//! Receive a multipart form in axum: fields and files, files streamed to disk, limits.
//!
//! A handler calls the function [`receive`] below; in aiohttp this is
//! `request.multipart()`. Each file is written to the disk while it arrives. A
//! [`FormFile`] removes its file when it is dropped, unless the handler has called
//! `store`.
//!
//! To send a form, reqwest's `Form::file` takes a file from the disk and sets the
//! header Content-Length. With `Part::stream` that header is missing, and some servers
//! refuse the form: use `Part::stream_with_length`.
//!
//! Bounds: In [`Limits`] you set how large a form and its fields may be, how many parts
//! it may have, and how long it may take. [`MAX_NAME`] is the longest name. Above a
//! limit, `receive` fails. A form takes about [`UNPARSED`] bytes of memory. Unbounded:
//! The number of forms and connections. Serve the routes with `http_server`.
//!
//! Trap: If you read a form with axum's `Multipart` alone, a client can fill your memory.
//! `Multipart` keeps the headers of a part, and all bytes before the first boundary (the
//! line between two parts), up to the limit for the whole form. Call `receive`, which
//! limits these bytes to the constant `UNPARSED`.
//!
//! Trap: If you put the client's file name into a path, a name such as
//! `../../etc/passwd` makes you write outside your folder. Choose the name on the disk
//! yourself.
//!
//! See also: `upload_server` (one file, no form), `axum_service`.
//!
//! asyncio: asyncio.timeout, asyncio.to_thread

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use tempfile::{NamedTempFile, TempPath};
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{error::Elapsed, timeout};

/// The bytes that are read for headers, and before the first boundary.
pub const UNPARSED: usize = 64 * 1024;

/// The longest name of a field or a file, in bytes. Names stay in memory.
pub const MAX_NAME: usize = 1_000;

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
    /// What the client calls the file: a text for people. It may be empty, and aiohttp
    /// sends it percent-encoded.
    pub client_name: String,
    pub bytes: u64,
    path: TempPath,
}

impl FormFile {
    /// Keeps the file under this name, in the same file system. Replaces no other file.
    pub async fn store(self, target: PathBuf) -> io::Result<()> {
        let stored = spawn_blocking(move || self.path.persist_noclobber(target));
        Ok(stored.await??)
    }
}

type Result<T, E = FormError> = std::result::Result<T, E>;

/// Why there is no form. The client is told no more than this text.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error("not a form")]
    NotAForm(#[from] MultipartRejection),
    #[error("the form is broken")]
    Broken(#[source] MultipartError),
    /// A part without a name, or a file that only has a `filename*`.
    #[error("a part has no name")]
    NoName,
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
            Self::NotAForm(_) | Self::Broken(_) | Self::NoName => StatusCode::BAD_REQUEST,
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
pub async fn receive(request: Request, folder: &Path, limits: Limits) -> Result<Form> {
    let unparsed = Arc::default();
    let reading = Reading { limits, unparsed };
    timeout(limits.time, reading.form(request, folder)).await?
}

struct Reading {
    limits: Limits,
    unparsed: Arc<AtomicUsize>,
}

impl Reading {
    async fn form(&self, request: Request, folder: &Path) -> Result<Form> {
        let mut request = request.map(|body| self.limit(body));
        DefaultBodyLimit::max(self.limits.form).apply(&mut request);
        let mut parts = Multipart::from_request(request, &()).await?;
        let mut form = Form::default();
        while let Some(part) = self.next(parts.next_field()).await? {
            if form.fields.len() + form.files.len() == self.limits.parts {
                return Err(FormError::TooLarge("the number of parts is"));
            }
            let disposition = part.headers().get(header::CONTENT_DISPOSITION);
            let disposition = disposition.map_or(&b""[..], |it| it.as_bytes());
            let disposition = String::from_utf8_lossy(disposition).into_owned();
            let named = |name| parameter(&disposition, name);
            let field = named("name").ok_or(FormError::NoName)?;
            let client_name = named("filename");
            let longest = client_name.as_ref().map_or(0, String::len).max(field.len());
            if longest > MAX_NAME {
                return Err(FormError::TooLarge("a name is"));
            }
            let Some(client_name) = client_name else {
                // It would look like a text.
                if named("filename*").is_some() {
                    return Err(FormError::NoName);
                }
                let mut value = Vec::new();
                self.copy(part, &mut value, self.limits.field).await?;
                let value = String::from_utf8_lossy(&value).into_owned();
                form.fields.push((field, value));
                continue;
            };
            let folder = folder.to_owned();
            // Only the server's user may read the file.
            let created = spawn_blocking(|| NamedTempFile::new_in(folder)).await;
            let (file, path) = created.map_err(io::Error::from)??.into_parts();
            let file = tokio::fs::File::from_std(file);
            // Each write of a `tokio::fs::File` is a trip to another thread.
            let mut file = BufWriter::with_capacity(1 << 16, file);
            let bytes = self.copy(part, &mut file, self.limits.form).await?;
            file.flush().await?;
            // Otherwise a power cut may leave the name without the bytes.
            file.get_ref().sync_all().await?;
            form.files.push(FormFile {
                field,
                client_name,
                bytes,
                path,
            });
        }
        Ok(form)
    }

    /// Waits for the next piece of the form, which may be a part or a chunk of it.
    async fn next<T>(
        &self,
        piece: impl Future<Output = Result<T, MultipartError>>,
    ) -> Result<T> {
        let next = timeout(self.limits.stall, piece).await?;
        self.unparsed.store(0, Relaxed);
        next.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => FormError::TooLarge("the form is"),
            _ => FormError::Broken(error),
        })
    }

    async fn copy(
        &self,
        mut part: Field<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        most: usize,
    ) -> Result<u64> {
        let mut bytes = 0;
        while let Some(chunk) = self.next(part.chunk()).await? {
            bytes += chunk.len();
            if bytes > most {
                return Err(FormError::TooLarge("a field is"));
            }
            to.write_all(&chunk).await?;
        }
        Ok(bytes as u64)
    }

    /// Returns a body that fails after too many bytes without a result of `next`.
    fn limit(&self, body: Body) -> Body {
        let rest = (Rest(body.into_data_stream()), Arc::clone(&self.unparsed));
        Body::from_stream(stream::unfold(rest, async |(mut rest, unparsed)| {
            // The parser reads until it has to wait: let it wait before each chunk.
            yield_now().await;
            let mut chunk = rest.0.next().await?;
            let size = chunk.as_ref().map_or(0, Bytes::len);
            if unparsed.fetch_add(size, Relaxed) > UNPARSED {
                chunk = Err(axum::Error::new("too many bytes between two parts"));
            }
            Some((chunk, (rest, unparsed)))
        }))
    }
}

/// Returns a parameter of a header such as `form-data; name="a; filename=b"`. Within the
/// quotes, the parser of axum takes `; filename=` for another one.
fn parameter(mut header: &str, name: &str) -> Option<String> {
    while let Some((_, rest)) = header.split_once(';') {
        let (key, rest) = rest.split_once('=')?;
        let rest = rest.trim_start();
        let (value, next) = if let Some(quoted) = rest.strip_prefix('"') {
            // Browsers write a quote as `%22`, and a backslash as it is.
            let ends =
                |rest: &str| matches!(rest.trim_start().chars().next(), None | Some(';'));
            let mut quotes = quoted.match_indices('"').map(|(at, _)| at);
            let end = quotes.find(|&at| ends(&quoted[at + 1..]))?;
            (&quoted[..end], &quoted[end + 1..])
        } else {
            let (value, next) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
            (value.trim_end(), next)
        };
        if key.trim().eq_ignore_ascii_case(name) {
            // Old clients write `\"`.
            return Some(value.replace("\\\"", "\""));
        }
        header = next;
    }
    None
}

/// What the client still sends. When this is dropped, a task reads on for a second:
/// otherwise a client that is still sending may miss the answer.
struct Rest(BodyDataStream);

impl Drop for Rest {
    fn drop(&mut self) {
        let mut body = std::mem::replace(&mut self.0, Body::empty().into_data_stream());
        let drain = async move { while let Some(Ok(_)) = body.next().await {} };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async { timeout(Duration::from_secs(1), drain).await });
        }
    }
}

/// Receives forms until it is killed: `cargo run -- uploads 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("usage: FOLDER ADDRESS:PORT")?);
    let address = args.next().ok_or("usage: FOLDER ADDRESS:PORT")?;
    let limits = Limits {
        form: 100_000_000,
        field: 10_000,
        parts: 100,
        stall: Duration::from_secs(30),
        time: Duration::from_secs(3_600),
    };
    let create = async move |request: Request| {
        for file in receive(request, &folder, limits).await?.files {
            let name = format!("{:016x}", fastrand::u64(..));
            println!("{name} is {:?}", file.client_name);
            file.store(folder.join(name)).await?;
        }
        Ok::<_, FormError>(StatusCode::CREATED)
    };
    let routes = axum::Router::new().route("/", axum::routing::post(create));
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, routes).await?)
}

//@ clock: real
//@ try: uploads nowhere -> invalid socket address
