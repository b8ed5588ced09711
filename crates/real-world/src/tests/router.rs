use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use super::support::poll_and_drop;
use crate::router::{App, Method, Next, Request, Response, Router};

const TICK: Duration = Duration::from_millis(1);

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

async fn echo(request: Request) -> String {
    request.param("text").to_owned()
}

async fn get(app: &App, path: &str) -> (u16, String) {
    let response = app.handle(Request::new(Method::Get, path)).await;
    (response.status, response.body)
}

/// A handler that answers with a fixed text.
fn text(text: &'static str) -> impl Fn(Request) -> std::future::Ready<String> {
    move |_| std::future::ready(text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    let (running, begun) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let (counted, handled) = (Arc::clone(&running), Arc::clone(&begun));
    let app = Router::new()
        .wrap(|request, next: Next| async {
            sleep(TICK).await;
            let response = next.run(request).await;
            sleep(TICK).await;
            response
        })
        .wrap(move |request, next| count(request, next, Arc::clone(&counted)))
        .route(Method::Get, "/{text}", move |request| {
            AtomicUsize::fetch_add(&handled, 1, SeqCst);
            async {
                sleep(3 * TICK).await;
                echo(request).await
            }
        })
        .build();
    let mut answered = false;
    for polls in 0..10 {
        let stays = get(&app, "/stays");
        let leaves = poll_and_drop(get(&app, "/leaves"), polls);
        let (stayed, left) = tokio::join!(stays, leaves);
        assert_eq!(stayed, (200, "stays".to_owned()));
        assert_eq!(running.load(SeqCst), 0, "dropped after {polls} polls");
        answered |= left.is_some();
        assert!(left.is_none_or(|left| left == (200, "leaves".to_owned())));
    }
    assert!(answered, "10 polls are enough");
    assert!((11..20).contains(&begun.load(SeqCst)), "some left before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let running = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&running);
    let app = Router::new()
        .route(Method::Get, "/echo/{text}", |request| async {
            yield_now().await;
            assert_ne!(request.param("text"), "5000", "scheduled");
            echo(request).await
        })
        .wrap(move |request, next| count(request, next, Arc::clone(&counted)))
        .build();
    let mut set = JoinSet::new();
    for number in 0..10_000 {
        let app = app.clone();
        let task = set.spawn(async move {
            let text = number.to_string();
            let answer = get(&app, &format!("/echo/{text}")).await;
            assert_eq!(answer, (200, text), "its own");
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let (mut answered, mut aborted, mut panicked) = (0, 0, 0);
    while let Some(ended) = set.join_next().await {
        match ended {
            Ok(()) => answered += 1,
            Err(error) if error.is_panic() => panicked += 1,
            Err(_) => aborted += 1,
        }
    }
    assert_eq!((answered + aborted, panicked), (9_999, 1));
    assert!(aborted <= 1000);
    assert_eq!(running.load(SeqCst), 0, "none is forgotten");
}

#[tokio::test]
async fn paths() {
    let app = Router::new()
        .route(Method::Get, "/{text}", echo)
        .route(Method::Get, "/a/{text}/c", echo)
        .route(Method::Get, "/a/b/{text}", text("b first"))
        .route(Method::Get, "/", text("root"))
        .route(Method::Get, "/same", text("same"))
        .route(Method::Get, "/folder/", text("folder"))
        .build();
    let found = [
        ("/", "root"),
        ("/x", "x"),
        ("/same", "same"),
        ("/Same", "Same"),
        ("/a%2Fb", "a%2Fb"),
        ("/{text}", "{text}"),
        ("/a/b/c", "b first"),
        ("/a/x/c", "x"),
        ("/folder/", "folder"),
        ("/folder", "folder"),
    ];
    for (path, expected) in found {
        assert_eq!(get(&app, path).await, (200, expected.to_owned()), "{path}");
    }
    for path in [
        "", "x", "//", "/x/", "/a//c", "/a/x/d", "/a/b/c/d", "/same/",
    ] {
        assert_eq!(get(&app, path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn text_counts_before_a_parameter_in_either_order() {
    for text_first in [true, false] {
        let route = |router: Router, is_text| match is_text {
            true => router.route(Method::Get, "/users/me", text("me")),
            false => router.route(Method::Delete, "/users/{text}", echo),
        };
        let router = route(route(Router::new(), text_first), !text_first);
        let app = router.build();
        assert_eq!(get(&app, "/users/me").await, (200, "me".to_owned()));
        let delete = app.handle(Request::new(Method::Delete, "/users/me")).await;
        assert_eq!(delete.status, 405, "the path decides, then the method");
        assert_eq!(delete.headers, [("allow", "GET".to_owned())]);
    }
}

#[tokio::test]
async fn nothing_added() {
    let app = Router::new().build();
    assert_eq!(get(&app, "/").await, (404, "there is no /".to_owned()));
    let teapot = |_, _| async { Response::new(418, "teapot") };
    let app = Router::new().wrap(teapot).build();
    assert_eq!(get(&app, "/").await, (418, "teapot".to_owned()));
}

#[test]
fn patterns_that_make_no_sense_are_refused() {
    let same = "/users/{id}";
    for pattern in ["", "users", "/{}", "/{a", "/a}", "/x{a}", "/{a}/{a}", same] {
        let add = || Router::new().route(Method::Get, same, echo);
        let added = catch_unwind(|| add().route(Method::Get, pattern, echo).build());
        assert!(added.is_err(), "{pattern:?}");
    }
    let add = || Router::new().route(Method::Get, same, echo);
    let names = catch_unwind(|| add().route(Method::Put, "/users/{name}", echo));
    assert!(names.is_err(), "names differ");
    let both = catch_unwind(|| add().route(Method::Put, same, echo).build());
    assert!(both.is_ok());
}

#[tokio::test]
async fn a_panic_wedges_nothing() {
    let running = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&running);
    let app = Router::new()
        .route(Method::Get, "/{text}", |request| {
            assert_ne!(request.param("text"), "early", "scheduled");
            async move {
                yield_now().await;
                assert_ne!(request.param("text"), "late", "scheduled");
                echo(request).await
            }
        })
        .wrap(move |request, next| count(request, next, Arc::clone(&counted)))
        .build();
    for path in ["/early", "/late"] {
        let ended = AssertUnwindSafe(get(&app, path)).catch_unwind().await;
        assert!(ended.is_err(), "{path}");
        assert_eq!(running.load(SeqCst), 0, "{path}");
        assert_eq!(get(&app, "/next").await.0, 200);
    }
}

#[tokio::test]
async fn middleware_can_run_the_rest_twice() {
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    let app = Router::new()
        .route(Method::Get, "/", move |_| {
            let number = called.fetch_add(1, SeqCst);
            async move { Response::new(if number == 0 { 503 } else { 200 }, "") }
        })
        .wrap(|request: Request, next: Next| async move {
            match next.clone().run(request.clone()).await {
                response if response.status == 503 => next.run(request).await,
                response => response,
            }
        })
        .build();
    assert_eq!(get(&app, "/").await.0, 200);
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test]
async fn in_a_struct_in_a_task() {
    struct Service {
        app: App,
    }
    let greeting = String::from("hello ");
    let app = Router::new().route(Method::Get, "/{text}", move |request| {
        let greeting = greeting.clone();
        async move { greeting + request.param("text") }
    });
    let service = Arc::new(Service { app: app.build() });
    let names = ["/Ann".to_owned(), "/Bob".to_owned()];
    let tasks = names.map(|name| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { get(&service.app, &name).await.1 })
    });
    for (task, expected) in tasks.into_iter().zip(["hello Ann", "hello Bob"]) {
        assert_eq!(task.await.expect("it does not panic"), expected);
    }
}
