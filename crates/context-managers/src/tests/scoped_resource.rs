use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::scoped_resource::{ScopeError, scoped};

const TICK: Duration = Duration::from_millis(1);

/// What became of the resources.
#[derive(Default)]
struct Log {
    bodies: AtomicUsize,
    closed: AtomicUsize,
    dropped: AtomicUsize,
}

impl Log {
    fn read(&self) -> [usize; 3] {
        [&self.bodies, &self.closed, &self.dropped].map(|count| count.load(SeqCst))
    }

    /// A scope of two awaits, one in the body and one in closing.
    async fn scope(
        self: &Arc<Self>,
        outcome: Result<u32, &'static str>,
    ) -> Result<u32, ScopeError<&'static str>> {
        let resource = Resource(Arc::clone(self));
        let body = async |resource: &mut Resource| {
            yield_now().await;
            resource.0.bodies.fetch_add(1, SeqCst);
            outcome
        };
        scoped(resource, body, Resource::close).await
    }
}

struct Resource(Arc<Log>);

impl Resource {
    async fn close(self) -> Result<(), &'static str> {
        yield_now().await;
        self.0.closed.fetch_add(1, SeqCst);
        Ok(())
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    let expected = [
        // Not polled: there is no resource yet.
        (0, [0, 0, 0]),
        (1, [0, 0, 1]),
        // In `close`, which does not end.
        (2, [1, 0, 1]),
        (3, [1, 1, 1]),
    ];
    for outcome in [Ok(1), Err("no luck")] {
        for (polls, counts) in expected {
            let log = Arc::new(Log::default());
            let ended = poll_and_drop(log.scope(outcome), polls).await;
            assert_eq!(log.read(), counts, "{polls} polls");
            assert_eq!(Arc::strong_count(&log), 1);
            let all = outcome.map_err(ScopeError::Body);
            assert_eq!(ended, (polls == 3).then_some(all));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_aborted_caller_of_a_spawned_scope_leaves_it_running() {
    let log = Arc::new(Log::default());
    let inner = Arc::clone(&log);
    let caller = tokio::spawn(async move {
        let scope = tokio::spawn(async move { inner.scope(Ok(1)).await });
        scope.await
    });
    yield_now().await;
    caller.abort();
    assert!(caller.await.expect_err("aborted").is_cancelled());
    sleep(10 * TICK).await;
    assert_eq!(log.read(), [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let log = Arc::new(Log::default());
    let mut tasks = JoinSet::new();
    for number in 0..10_000 {
        let log = Arc::clone(&log);
        let outcome = if number % 3 == 0 {
            Err("no luck")
        } else {
            Ok(number)
        };
        let task = tasks.spawn(async move { log.scope(outcome).await });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let (mut ended, mut aborted) = (0, 0);
    let all = async {
        while let Some(outcome) = tasks.join_next().await {
            match outcome {
                Ok(Ok(number)) => {
                    assert_ne!(number % 3, 0);
                    ended += 1;
                }
                Ok(Err(error)) => {
                    assert_eq!(error, ScopeError::Body("no luck"));
                    ended += 1;
                }
                Err(error) if error.is_cancelled() => aborted += 1,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody hangs");
    assert_eq!(ended + aborted, 10_000);
    assert!(ended >= 9000);
    let [bodies, closed, dropped] = log.read();
    assert!(bodies >= closed && dropped >= bodies);
    assert_eq!(closed, ended, "closed wherever a result came back");
    assert_eq!(Arc::strong_count(&log), 1);
}

#[tokio::test]
async fn a_panic_goes_on_after_closing() {
    for (in_the_body, in_close, expected) in [
        (true, false, "in the body"),
        (false, true, "in close"),
        (true, true, "in close"),
    ] {
        let log = Arc::new(Log::default());
        let body = async |resource: &mut Resource| {
            resource.0.bodies.fetch_add(1, SeqCst);
            assert!(!in_the_body, "in the body");
            Ok(1)
        };
        let close = async |resource: Resource| {
            resource.close().await?;
            assert!(!in_close, "in close");
            Err("lost")
        };
        let scope = scoped(Resource(Arc::clone(&log)), body, close);
        let panic = AssertUnwindSafe(scope).catch_unwind().await;
        let panic = panic.expect_err("it panics");
        assert_eq!(panic.downcast_ref(), Some(&expected));
        assert_eq!(log.read(), [1, 1, 1]);
    }
}

#[tokio::test]
async fn a_function_that_panics_before_its_future() {
    let log = Arc::new(Log::default());
    fn body(_: &mut Resource) -> std::future::Ready<Result<u32, &'static str>> {
        panic!("too early")
    }
    let scope = scoped(Resource(Arc::clone(&log)), body, Resource::close);
    assert!(AssertUnwindSafe(scope).catch_unwind().await.is_err());
    assert_eq!(log.read(), [0, 1, 1]);
}

/// In a struct behind an `Arc`, in a task, with closures that borrow and that lend.
#[tokio::test]
async fn closures_that_borrow_in_a_task() {
    struct Service {
        host: String,
    }

    impl Service {
        async fn fetch(&self, path: &str) -> Result<String, ScopeError<String>> {
            let mut log = Vec::new();
            let pages = scoped(
                Vec::new(),
                async |pages: &mut Vec<String>| {
                    yield_now().await;
                    pages.push(format!("{}/{path}", self.host));
                    log.push(pages.len());
                    Ok(pages.concat())
                },
                async |pages| {
                    yield_now().await;
                    if pages.is_empty() {
                        Err(self.host.clone())
                    } else {
                        Ok(())
                    }
                },
            )
            .await?;
            assert_eq!(log, [1]);
            Ok(pages)
        }
    }

    let host = String::from("api.com");
    let service = Arc::new(Service { host });
    let task = tokio::spawn(async move { service.fetch("users").await });
    let page = task.await.expect("it is Send");
    assert_eq!(page, Ok(String::from("api.com/users")));
}

#[test]
fn into_first_returns_the_error_that_came_first() {
    let (body, close) = ("body", "close");
    for (error, first) in [
        (ScopeError::Body(body), body),
        (ScopeError::Close(close), close),
        (ScopeError::Both { body, close }, body),
    ] {
        assert_eq!(error.into_first(), first);
    }
}
