//! Forms that are stored, and forms that are refused.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::post;
use futures::{StreamExt, stream};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval_at};
use tokio_util::task::AbortOnDropHandle;

use crate::multipart_form::{FormError, Limits, receive};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Stores the files, and answers with what has come.
async fn create(
    request: Request,
    folder: &Path,
    limits: Limits,
) -> Result<(StatusCode, String), FormError> {
    let form = receive(request, folder, limits).await?;
    let fields = form.fields.iter();
    let mut answer: Vec<String> = fields
        .map(|(name, value)| format!("{name} {value:?}"))
        .collect();
    for file in form.files {
        let (name, bytes) = (&file.client_name, file.bytes);
        answer.push(format!("{} {name:?} of {bytes} bytes", file.field));
        let target = format!("{:016x}", fastrand::u64(..));
        file.store(folder.join(target)).await?;
    }
    Ok((StatusCode::CREATED, answer.join(", ")))
}

/// Returns routes for `POST /`.
fn routes(folder: &Path, limits: Limits) -> Router {
    let folder = folder.to_owned();
    let create = async move |request: Request| create(request, &folder, limits).await;
    Router::new().route("/", post(create))
}

async fn send(request: RequestBuilder) -> reqwest::Result<()> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    println!("{status}: {}", response.text().await?);
    Ok(())
}

/// Returns a folder in memory, if there is such a file system, as a disk may be slow.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however long the part before took.
    let half = Duration::from_millis(500);
    let mut next_part = interval_at(Instant::now() + half, half);
    let (folder, source) = (in_memory()?, in_memory()?);
    let limits = Limits {
        form: 10_000,
        field: 100,
        parts: 3,
        stall: Duration::from_millis(200),
        time: Duration::from_secs(5),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let server = axum::serve(listener, routes(folder.path(), limits)).into_future();
    let _server = AbortOnDropHandle::new(tokio::spawn(server));
    // The server is on this machine, which no proxy would reach.
    let client = Client::builder().no_proxy().build()?;
    let post = |form: Form| send(client.post(&url).multipart(form));

    next_part.tick().await;
    println!("A field and two files:");
    let (tea, cake) = (
        source.path().join("tea.txt"),
        source.path().join("cake.txt"),
    );
    fs::write(&tea, "Boil water.\n")?;
    fs::write(&cake, "Take flour, butter and eggs.\n")?;
    let form = Form::new().text("title", "Recipes");
    let form = form
        .file("recipe", &tea)
        .await?
        .file("recipe", &cake)
        .await?;
    post(form).await?;
    println!("A file name that leads out of the folder:");
    let part = Part::text("root").file_name("../../etc/passwd");
    post(Form::new().part("recipe", part)).await?;

    next_part.tick().await;
    println!("Too large, in three ways:");
    let part = Part::text("x".repeat(20_000)).file_name("large.txt");
    post(Form::new().part("recipe", part)).await?;
    post(Form::new().text("title", "x".repeat(101))).await?;
    let names = ["a", "b", "c", "d"].into_iter();
    post(names.fold(Form::new(), |form, name| form.text(name, ""))).await?;

    next_part.tick().await;
    println!("Not a form, and half a form:");
    send(client.post(&url).body("title=Recipes")).await?;
    let head = "content-disposition: form-data; name=\"recipe\"; filename=\"a\"";
    let half_a_form = format!("--limit\r\n{head}\r\n\r\nBoil");
    let content_type = "multipart/form-data; boundary=limit";
    let request = client.post(&url).header("content-type", content_type);
    send(request.body(half_a_form)).await?;

    next_part.tick().await;
    println!("A client that stalls:");
    let begin = stream::iter([Ok::<_, Infallible>("Boil")]);
    let stalled = reqwest::Body::wrap_stream(begin.chain(stream::pending()));
    let part = Part::stream(stalled).file_name("stalled.txt");
    post(Form::new().part("recipe", part)).await?;

    next_part.tick().await;
    println!(
        "files in the folder: {}",
        fs::read_dir(folder.path())?.count()
    );
    Ok(())
}
