//! A router: paths with parameters, methods, 404 and 405, middleware around handlers.
//!
//! An exercise in boxed futures; to serve HTTP use `axum`. Python keeps handlers in a
//! dict as they are. In Rust each async function has a future of its own type, so `route`
//! boxes them. Middleware is a function of the request and the next handler.
//!
//! Trap: a handler that borrows its request is refused: "one type is more general than
//! the other". Here a handler owns its request.
//!
//! Trap: code after `next.run` does not run if the caller gives up. Put it into a `Drop`;
//! in Python into a `finally`.
//!
//! In production: `axum` makes a handler's arguments out of the request by their types,
//! decodes paths, and answers HEAD and OPTIONS.
//!
//! See also: `api_server`.
//!
//! asyncio: asyncio.timeout, finally, raise, loop.time, functools.partial

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::ready;
use std::mem;
use std::num::ParseIntError;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::time::{sleep, timeout};

/// What is done with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// To read.
    Get,
    /// To add.
    Post,
    /// To replace.
    Put,
    /// To remove.
    Delete,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        })
    }
}

/// A request, owned by the one handler that answers it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Chooses among the handlers of a path.
    pub method: Method,
    /// Without the query, and as it was sent: `%20` stays `%20`.
    pub path: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    /// The text that was sent.
    pub body: String,
    /// Who asks, if a middleware has found out.
    pub user: Option<String>,
    params: HashMap<String, String>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: HashMap::new(),
            body: String::new(),
            user: None,
            params: HashMap::new(),
        }
    }

    /// What stands in the path for `{name}`; empty if the pattern has no such name.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// As in HTTP: 200 is well.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(&'static str, String)>,
    /// The text that is sent.
    pub body: String,
}

impl Response {
    /// A response without headers.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

impl From<String> for Response {
    fn from(body: String) -> Self {
        Self::new(200, body)
    }
}

/// So that a handler may return a `Result` and use `?`.
impl<T: Into<Self>, E: Into<Self>> From<Result<T, E>> for Response {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(E::into, T::into)
    }
}

type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;
type Middleware =
    Box<dyn Fn(Request, Next) -> BoxFuture<'static, Response> + Send + Sync>;

/// The rest of the way of a request: middleware that was added later, and the handler.
#[derive(Clone)]
pub struct Next(Handler);

impl Next {
    /// Runs the rest. Dropped, it drops the handler at the await where it is.
    pub async fn run(self, request: Request) -> Response {
        (self.0)(request).await
    }
}

/// One part of a pattern.
#[derive(PartialEq)]
enum Segment {
    Text(String),
    Param(String),
}

/// The parts of a pattern.
fn parse(pattern: &str) -> Vec<Segment> {
    let parts = pattern.strip_prefix('/');
    let parts = parts.unwrap_or_else(|| panic!("{pattern} does not begin with a slash"));
    let mut segments = Vec::new();
    for part in parts.split('/') {
        let inner = part
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let name = inner.unwrap_or(part);
        assert!(
            !name.contains(['{', '}']),
            "{pattern}: {part} is half a parameter"
        );
        let segment = match inner {
            Some(name) => Segment::Param(name.to_owned()),
            None => Segment::Text(name.to_owned()),
        };
        let is_named = inner.is_none_or(|name| !name.is_empty());
        assert!(is_named, "{pattern}: a parameter has no name");
        let is_new = inner.is_none() || !segments.contains(&segment);
        assert!(is_new, "{pattern}: {name} stands there twice");
        segments.push(segment);
    }
    segments
}

/// What a pattern matches, whatever its parameters are called. The least counts first:
/// text before a parameter.
fn shape(pattern: &[Segment]) -> Vec<(bool, &str)> {
    let parts = pattern.iter().map(|segment| match segment {
        Segment::Text(text) => (false, text.as_str()),
        Segment::Param(_) => (true, ""),
    });
    parts.collect()
}

struct Route {
    pattern: Vec<Segment>,
    handlers: BTreeMap<Method, Handler>,
}

impl Route {
    /// The parameters, if the path matches.
    fn matches(&self, path: &str) -> Option<HashMap<String, String>> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let mut params = HashMap::new();
        for segment in &self.pattern {
            let part = parts.next()?;
            match segment {
                Segment::Text(text) if text == part => {}
                Segment::Param(name) if !part.is_empty() => {
                    params.insert(name.clone(), part.to_owned());
                }
                _ => return None,
            }
        }
        parts.next().is_none().then_some(params)
    }
}

/// Collects routes and middleware for an [`App`].
#[derive(Default)]
pub struct Router {
    routes: Vec<Route>,
    middleware: Vec<Middleware>,
}

impl Router {
    /// Answers everything with 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler: an `async fn` or a closure that owns what it uses.
    ///
    /// In the pattern `{name}` stands for one part of a path between slashes, which is
    /// not empty. Where two patterns match a path, the one counts that has text where the
    /// other first has a parameter, whichever was added first: `/users/me` rather than
    /// `/users/{id}`.
    ///
    /// # Panics
    ///
    /// If the pattern does not begin with a slash, names a parameter twice or not at all,
    /// has this method already, or differs from another in nothing but names.
    pub fn route<F, Fut>(mut self, method: Method, pattern: &str, handler: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<Response>> + Send + 'static,
    {
        let segments = parse(pattern);
        // Sorted, so that the first that matches is the one that counts.
        let by_shape = |route: &Route| shape(&route.pattern).cmp(&shape(&segments));
        let place = match self.routes.binary_search_by(by_shape) {
            Ok(place) => place,
            Err(place) => {
                let (pattern, handlers) = (parse(pattern), BTreeMap::new());
                self.routes.insert(place, Route { pattern, handlers });
                place
            }
        };
        let route = &mut self.routes[place];
        assert!(
            route.pattern == segments,
            "{pattern}: another has other names"
        );
        let handler: Handler =
            Arc::new(move |request| handler(request).map(Into::into).boxed());
        let before = route.handlers.insert(method, handler);
        assert!(before.is_none(), "{method} {pattern} is there already");
        self
    }

    /// Puts a middleware around the routes and around what answers 404 and 405. The first
    /// that is added sees a request first, and its response last.
    pub fn wrap<F, Fut>(mut self, middleware: F) -> Self
    where
        F: Fn(Request, Next) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<Response>> + Send + 'static,
    {
        let middleware =
            move |request, next| middleware(request, next).map(Into::into).boxed();
        self.middleware.push(Box::new(middleware));
        self
    }

    /// Makes an app of what was added.
    pub fn build(self) -> App {
        let routes = self.routes;
        let mut handler: Handler = Arc::new(move |request| dispatch(&routes, request));
        for middleware in self.middleware.into_iter().rev() {
            let next = Next(handler);
            handler = Arc::new(move |request| middleware(request, next.clone()));
        }
        App(handler)
    }
}

/// Answers requests. Clones share the handlers; any number of requests run at once.
#[derive(Clone)]
pub struct App(Handler);

impl App {
    /// Answers a request: with 404 if no pattern matches its path, with 405 and the
    /// methods in `allow` if the pattern that counts has not its method.
    ///
    /// Dropped, it drops middleware and handler at the await where they are. Whether that
    /// is safe is up to them; nothing is held here.
    ///
    /// # Panics
    ///
    /// When a handler or a middleware does. Other requests do not notice.
    pub async fn handle(&self, request: Request) -> Response {
        (self.0)(request).await
    }
}

fn dispatch(routes: &[Route], mut request: Request) -> BoxFuture<'static, Response> {
    let matching = |route| Some((route, Route::matches(route, &request.path)?));
    let Some((route, params)) = routes.iter().find_map(matching) else {
        let body = format!("there is no {}", request.path);
        return ready(Response::new(404, body)).boxed();
    };
    let Some(handler) = route.handlers.get(&request.method) else {
        let methods: Vec<_> = route.handlers.keys().map(Method::to_string).collect();
        let allow = methods.join(", ");
        let mut response = Response::new(405, format!("use {allow}"));
        response.headers.push(("allow", allow));
        return ready(response).boxed();
    };
    request.params = params;
    handler(request)
}

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
pub async fn count(request: Request, next: Next, running: Arc<AtomicUsize>) -> Response {
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
