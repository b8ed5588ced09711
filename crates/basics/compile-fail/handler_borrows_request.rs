//~ E0308 one type is more general than the other
//! A handler that borrows its request, for a router that keeps handlers of any type.
//!
//! The future of such a handler has the lifetime of the request in its type, so there is
//! no one type `Fut` for all requests. Give the handler the request itself.
//!
//! example: boxed_futures

use std::collections::HashMap;

use futures::FutureExt;
use futures::future::BoxFuture;

struct Request {
    path: String,
}

type Handler = Box<dyn Fn(&Request) -> BoxFuture<'static, String> + Send + Sync>;

#[derive(Default)]
struct Router {
    routes: HashMap<&'static str, Handler>,
}

impl Router {
    fn route<F, Fut>(&mut self, path: &'static str, handler: F)
    where
        F: Fn(&Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = String> + Send + 'static,
    {
        let handler = Box::new(move |request: &Request| handler(request).boxed());
        self.routes.insert(path, handler);
    }
}

async fn show(request: &Request) -> String {
    format!("you asked for {}", request.path)
}

#[tokio::main]
async fn main() {
    let mut router = Router::default();
    router.route("/users", show);
    let path = "/users".to_owned();
    println!("{}", router.routes["/users"](&Request { path }).await);
}
