use std::cell::Cell;
use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use crate::fallback::{Books, Server, ServerError};

/// A source that counts its calls.
async fn source(calls: &Cell<u32>) -> Result<u32, u32> {
    calls.set(calls.get() + 1);
    Ok(1)
}

#[tokio::test]
async fn or_calls_both_sources() {
    let calls = Cell::new(0);
    assert_eq!(source(&calls).await.or(source(&calls).await), Ok(1));
    assert_eq!(calls.get(), 2);
    let outcome = match source(&calls).await {
        Err(_) => source(&calls).await,
        first => first,
    };
    assert_eq!((outcome, calls.get()), (Ok(1), 3));
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_users_do_not_wait_for_one_another() {
    let servers = ["A", "B"].map(|name| Server {
        name,
        delay: Duration::from_secs(1),
        is_up: true,
    });
    let books = Books {
        servers: servers.into(),
        cache: Mutex::default(),
    };
    let start = Instant::now();
    let answers = join_all((0..10).map(|_| books.recommend("Ann"))).await;
    assert!(answers.iter().all(|answer| *answer == Ok("bestsellers")));
    assert_eq!(start.elapsed(), Duration::from_millis(400));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_no_outage_is_returned_and_not_cached() {
    let servers = ["A", "B"].map(|name| Server {
        name,
        delay: Duration::ZERO,
        is_up: true,
    });
    let books = Books {
        servers: servers.into(),
        cache: Mutex::default(),
    };
    let unknown = Err(ServerError::NoUser("Eva".into()));
    assert_eq!(books.recommend("Eva").await, unknown);
    assert!(books.cache.lock().expect("sound").is_empty());
}
