//! Users by their numbers, behind middleware that logs, counts and asks for a token.

use std::collections::BTreeMap;
use std::mem;
use std::num::ParseIntError;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::router::{App, Method, Next, Request, Response, Router};

/// Middleware: prints each response.
async fn log(request: Request, next: Next) -> Response {
    let line = format!("{} {}", request.method, request.path);
    let response = next.run(request).await;
    println!("log: {line} {}", response.status);
    response
}

/// Middleware: who asks must have a token.
async fn authenticate(mut request: Request, next: Next) -> Result<Response, Error> {
    let header = request.headers.get("authorization");
    request.user = match header.and_then(|value| value.strip_prefix("Bearer ")) {
        Some("secret-of-ann") => Some("Ann".to_owned()),
        _ => return Err(Error::Unauthorized),
    };
    Ok(next.run(request).await)
}

/// Middleware: counts the requests that are being answered.
async fn count(request: Request, next: Next, running: Arc<AtomicUsize>) -> Response {
    running.fetch_add(1, SeqCst);
    let _running = Running(running);
    next.run(request).await
}

/// Counts down however a request ends: answered, dropped or by a panic.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Why a handler cannot answer as it was asked to.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("who are you?")]
    Unauthorized,
    #[error("{0} is no number")]
    BadId(String, #[source] ParseIntError),
    #[error("there is no user {0}")]
    NoUser(u32),
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::Unauthorized => 401,
            Error::BadId(..) => 400,
            Error::NoUser(_) => 404,
        };
        Self::new(status, error.to_string())
    }
}

/// What the handlers share.
#[derive(Default)]
struct Users {
    names: Mutex<BTreeMap<u32, String>>,
}

impl Users {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, String>> {
        // Each change is one call of the map, so a panic elsewhere spoils nothing.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn show(self: Arc<Self>, request: Request) -> Result<String, Error> {
        let id = id(&request)?;
        sleep(Duration::from_millis(100)).await;
        self.lock().get(&id).cloned().ok_or(Error::NoUser(id))
    }

    async fn add(self: Arc<Self>, request: Request) -> Response {
        sleep(Duration::from_millis(100)).await;
        let mut names = self.lock();
        let id = names.keys().last().map_or(1, |last| last + 1);
        names.insert(id, request.body);
        let path = format!("/users/{id}");
        let mut response = Response::new(201, path.clone());
        response.headers.push(("location", path));
        response
    }

    async fn replace(self: Arc<Self>, request: Request) -> Result<String, Error> {
        let id = id(&request)?;
        sleep(Duration::from_millis(100)).await;
        match self.lock().get_mut(&id) {
            Some(name) => Ok(format!("was {}", mem::replace(name, request.body))),
            None => Err(Error::NoUser(id)),
        }
    }
}

fn id(request: &Request) -> Result<u32, Error> {
    let id = request.param("id");
    id.parse()
        .map_err(|error| Error::BadId(id.to_owned(), error))
}

async fn me(request: Request) -> String {
    format!("you are {}", request.user.unwrap_or_default())
}

async fn report(_request: Request) -> String {
    sleep(Duration::from_millis(300)).await;
    "all is well".to_owned()
}

fn app(users: &Arc<Users>, running: &Arc<AtomicUsize>) -> App {
    let [show, add, replace] = [users, users, users].map(Arc::clone);
    let running = Arc::clone(running);
    Router::new()
        .route(Method::Get, "/users/{id}", move |request| {
            Arc::clone(&show).show(request)
        })
        .route(Method::Post, "/users", move |request| {
            Arc::clone(&add).add(request)
        })
        .route(Method::Put, "/users/{id}", move |request| {
            Arc::clone(&replace).replace(request)
        })
        .route(Method::Get, "/users/me", me)
        .route(Method::Get, "/report.txt", report)
        .wrap(log)
        .wrap(authenticate)
        .wrap(move |request, next| count(request, next, Arc::clone(&running)))
        .build()
}

/// Sends a request of Ann's, and prints the body of the response.
async fn send(app: &App, method: Method, path: &str, body: &str) {
    let mut request = Request::new(method, path);
    let token = "Bearer secret-of-ann".to_owned();
    request.headers.insert("authorization".to_owned(), token);
    request.body = body.to_owned();
    println!("{}", app.handle(request).await.body);
}

pub async fn run() {
    let users = Arc::new(Users::default());
    let running = Arc::new(AtomicUsize::new(0));
    let app = app(&users, &running);

    println!("Routes and their parameters:");
    send(&app, Method::Post, "/users", "Ann").await;
    send(&app, Method::Get, "/users/1", "").await;
    send(&app, Method::Put, "/users/1", "Anna").await;
    send(&app, Method::Get, "/users/me", "").await;
    send(&app, Method::Get, "/users/2", "").await;
    send(&app, Method::Get, "/users/two", "").await;

    println!("No such path, no such method:");
    send(&app, Method::Get, "/users/1/name", "").await;
    send(&app, Method::Get, "/report-txt", "").await;
    send(&app, Method::Delete, "/users/1", "").await;

    println!("Without a token nobody learns which paths there are:");
    for path in ["/users/1", "/nothing"] {
        let response = app.handle(Request::new(Method::Get, path)).await;
        println!("{}", response.body);
    }

    println!("Three at once:");
    let requests = ["/report.txt", "/users/1", "/users/me"];
    let send_all = requests.map(|path| send(&app, Method::Get, path, ""));
    let look = async {
        sleep(Duration::from_millis(50)).await;
        println!("{} are running", running.load(SeqCst));
    };
    tokio::join!(join_all(send_all), look);

    println!("Who asks gives up after 0.15 s:");
    let limit = Duration::from_millis(150);
    let answered = timeout(limit, send(&app, Method::Get, "/report.txt", "")).await;
    println!("{}", answered.map_or("gave up", |()| "was answered"));
    println!("{} are running", running.load(SeqCst));
}

#[tokio::main]
pub async fn main() {
    run().await;
}
