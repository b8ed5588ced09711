//! An asynccontextmanager: a function that takes an async closure, and then cleans up.
//!
//! What stands before `yield` in Python opens, the block is an async closure, and what
//! stands in `finally` is a second closure, which may await. It runs when the block
//! succeeds, fails or panics; a `return` or `?` in the block leaves the block only, and
//! what it returns cannot borrow the resource ("lifetime may not live long enough"). At
//! "type annotations needed" let the block end in `Ok::<_, Failure>(..)`. The trap: when
//! the caller stops waiting, all is dropped where it is and nothing is awaited any more,
//! so the database below stays stopped. In a task of its own the block goes on to its
//! end, and so does the clean-up; `cleanup_on_cancel` shows how to stop the block and yet
//! clean up.
//!
//! asyncio: contextlib.asynccontextmanager, async with, finally, asyncio.timeout
//! differs: asyncio runs `finally` also when the caller gives up
//! stderr: no such page

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{sleep, timeout};

type Failure = Box<dyn Error + Send + Sync>;

/// What failed in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeError<E> {
    /// The body. The resource is closed.
    Body(E),
    /// Closing, after the body went well. What the body returned is lost.
    Close(E),
    /// First the body, then closing.
    Both {
        /// The error of the body.
        body: E,
        /// The error of closing.
        close: E,
    },
}

impl<E> ScopeError<E> {
    /// The error that came first, for a caller that has its own error type.
    pub fn into_first(self) -> E {
        match self {
            Self::Body(error) | Self::Close(error) => error,
            Self::Both { body, .. } => body,
        }
    }
}

impl<E: fmt::Display> fmt::Display for ScopeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(error) => write!(f, "{error}"),
            Self::Close(error) => write!(f, "while closing: {error}"),
            Self::Both { body, close } => write!(f, "{body}; while closing: {close}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for ScopeError<E> {}

/// Lends a resource to the body, and closes it when the body has ended, however it ended.
///
/// Not cancel-safe: dropped while it waits, it drops the body or `close` at the await
/// where it is, and with it the resource, which then is not closed. Inside
/// `tokio::spawn` it runs to its end also when nobody waits for it.
///
/// # Errors
///
/// Those of the body and of closing.
///
/// # Panics
///
/// When the body does, after closing and with the same payload. An error of `close` is
/// lost then. When `close` does, with that payload; the one of the body is lost then.
pub async fn scoped<R, T, E>(
    mut resource: R,
    body: impl AsyncFnOnce(&mut R) -> Result<T, E>,
    close: impl AsyncFnOnce(R) -> Result<(), E>,
) -> Result<T, ScopeError<E>> {
    // In a block, for `body` may panic before there is a future.
    let body = AssertUnwindSafe(async { body(&mut resource).await });
    let outcome = body.catch_unwind().await;
    let closed = close(resource).await;
    match (outcome, closed) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Err(body)), Ok(())) => Err(ScopeError::Body(body)),
        (Ok(Ok(_)), Err(close)) => Err(ScopeError::Close(close)),
        (Ok(Err(body)), Err(close)) => Err(ScopeError::Both { body, close }),
        (Err(panic), _) => resume_unwind(panic),
    }
}

/// Stands for a connection to a database.
pub struct Connection {
    name: String,
    reads: u32,
}

impl Connection {
    async fn read(&mut self, page: &str) -> Result<usize, String> {
        println!("Reading {page}");
        sleep(Duration::from_millis(200)).await;
        self.reads += 1;
        assert!(page != "nowhere", "no such page");
        match page.strip_prefix("lost ") {
            Some(page) => Err(format!("{page} is lost")),
            None => Ok(page.chars().count()),
        }
    }
}

/// Connects, runs the body, disconnects.
pub async fn with_connection<T>(
    name: &str,
    body: impl AsyncFnOnce(&mut Connection) -> Result<T, String>,
) -> Result<T, ScopeError<String>> {
    println!("Connecting to {name}");
    sleep(Duration::from_millis(100)).await;
    let name = name.to_string();
    let connection = Connection { name, reads: 0 };
    scoped(connection, body, async |connection| {
        sleep(Duration::from_millis(100)).await;
        println!("Disconnected, pages read: {}", connection.reads);
        match connection.name.strip_prefix("broken ") {
            Some(name) => Err(format!("{name} did not answer")),
            None => Ok(()),
        }
    })
    .await
}

/// Stops the database, runs the body, and starts the database again.
pub async fn while_stopped<T, E>(
    body: impl AsyncFnOnce() -> Result<T, E>,
) -> Result<T, ScopeError<E>> {
    sleep(Duration::from_millis(100)).await;
    println!("Database stopped");
    scoped(
        (),
        async |()| body().await,
        async |()| {
            sleep(Duration::from_millis(100)).await;
            println!("Database started");
            Ok(())
        },
    )
    .await
}

async fn back_up() -> Result<u32, String> {
    for file in 1..=3 {
        sleep(Duration::from_millis(200)).await;
        println!("File {file} is copied");
    }
    Ok(3)
}

fn print_length(outcome: Result<usize, ScopeError<String>>) {
    match outcome {
        Ok(length) => println!("{length} letters"),
        Err(error) => println!("Error: {error}"),
    }
}

/// The letters of all pages together, or 0 if there is no page.
async fn letters(database: &str, pages: &[&str]) -> Result<usize, ScopeError<String>> {
    with_connection(database, async |connection| {
        if pages.is_empty() {
            return Ok(0);
        }
        let mut sum = 0;
        for page in pages {
            sum += connection.read(page).await?;
        }
        Ok(sum)
    })
    .await
}

pub async fn run() -> Result<(), Failure> {
    println!("All goes well:");
    print_length(letters("PostgreSQL", &["home", "news"]).await);

    println!("An early return:");
    print_length(letters("PostgreSQL", &[]).await);

    println!("The body fails:");
    print_length(letters("PostgreSQL", &["lost home", "news"]).await);

    println!("Closing fails, then both:");
    print_length(letters("broken PostgreSQL", &["home"]).await);
    print_length(letters("broken PostgreSQL", &["lost home"]).await);

    println!("The body panics:");
    let task = tokio::spawn(letters("PostgreSQL", &["home", "nowhere"]));
    match task.await {
        Ok(outcome) => print_length(outcome),
        Err(error) if error.is_panic() => println!("It panicked"),
        Err(error) => return Err(error.into()),
    }

    let limit = Duration::from_millis(400);
    println!("The caller gives up after 0.4 s:");
    if timeout(limit, while_stopped(back_up)).await.is_err() {
        println!("Gave up");
    }

    println!("It gives up, and the scope is a task:");
    let mut task = tokio::spawn(while_stopped(async || {
        let copied = back_up().await?;
        // `?` turns any error into the type of the block's errors, so it has to be told.
        Ok::<_, Failure>(copied)
    }));
    if timeout(limit, &mut task).await.is_err() {
        println!("Gave up");
    }
    // Whoever ends the program waits for it, or it is lost after all.
    let copied = task.await?.map_err(ScopeError::into_first)?;
    println!("{copied} files are copied");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Poll;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::task::{JoinSet, yield_now};
    use tokio::time::{sleep, timeout};

    use super::{ScopeError, scoped};

    const TICK: Duration = Duration::from_millis(1);

    /// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
    /// not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(TICK).await;
        }
        None
    }

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
}
