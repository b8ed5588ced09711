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
//! try: /hello/Ann -> 200: hello, Ann
//! try: /nothing -> 404: there is no /nothing

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::ready;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

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

/// Answers one request: `cargo run -- /hello/Ann`.
#[tokio::main]
pub async fn main() {
    let path = std::env::args().nth(1).unwrap_or_else(|| "/".to_owned());
    let hello = async |request: Request| format!("hello, {}", request.param("name"));
    let app = Router::new()
        .route(Method::Get, "/hello/{name}", hello)
        .build();
    let response = app.handle(Request::new(Method::Get, &path)).await;
    println!("{}: {}", response.status, response.body);
}
