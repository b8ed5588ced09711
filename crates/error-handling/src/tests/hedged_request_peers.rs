//! Cases after the tests of tower's `Hedge` and of resilience4j.

use std::cell::Cell;
use std::future::{pending, ready};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::hedged_request::{BothFailed, hedged};

const SECOND: Duration = Duration::from_secs(1);

/// What a request returns after so many seconds.
type Script = (u32, Result<u8, u8>);

/// Hedges after 10 s. Returns the result, after how many seconds, and how many requests
/// there were.
async fn hedge(scripts: [Script; 2]) -> (Result<u8, BothFailed<u8>>, u64, usize) {
    let (start, mut requests) = (Instant::now(), 0);
    let request = || {
        let (seconds, result) = scripts[requests];
        requests += 1;
        async move {
            sleep(seconds * SECOND).await;
            result
        }
    };
    let result = hedged(10 * SECOND, request).await;
    (result, start.elapsed().as_secs(), requests)
}

/// Counts the requests that exist.
struct Alive(Rc<Cell<usize>>);

impl Alive {
    fn new(alive: &Rc<Cell<usize>>) -> Self {
        alive.set(alive.get() + 1);
        Self(Rc::clone(alive))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[tokio::test(start_paused = true)]
async fn tower_a_request_that_ends_before_the_delay_is_the_only_one() {
    assert_eq!(hedge([(5, Ok(1)), (5, Ok(2))]).await, (Ok(1), 5, 1));
}

#[tokio::test(start_paused = true)]
async fn tower_the_first_request_may_still_win() {
    assert_eq!(hedge([(15, Ok(1)), (50, Ok(2))]).await, (Ok(1), 15, 2));
}

#[tokio::test(start_paused = true)]
async fn tower_the_hedge_may_win() {
    assert_eq!(hedge([(50, Ok(1)), (5, Ok(2))]).await, (Ok(2), 15, 2));
}

#[tokio::test(start_paused = true)]
async fn tower_what_must_not_be_hedged_has_an_endless_delay() {
    let requests = Cell::new(0);
    let request = async || {
        requests.set(requests.get() + 1);
        sleep(3600 * SECOND).await;
        Ok::<_, ()>(7)
    };
    assert_eq!(hedged(Duration::MAX, request).await, Ok(7));
    assert_eq!(requests.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn tower_a_delay_of_zero_sends_both() {
    let requests = Cell::new(0);
    let request = async || {
        requests.set(requests.get() + 1);
        sleep(SECOND).await;
        Ok::<_, ()>(requests.get())
    };
    assert_eq!(hedged(Duration::ZERO, request).await, Ok(2));
    // A request that is ready needs no second one.
    let request = || {
        requests.set(requests.get() + 1);
        ready(Ok::<_, ()>(7))
    };
    assert_eq!(hedged(Duration::ZERO, request).await, Ok(7));
    assert_eq!(requests.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn tower_each_request_gets_its_own_clone() {
    let order = String::from("tea");
    let request = || {
        let order = order.clone();
        async move {
            sleep(20 * SECOND).await;
            Ok::<_, ()>(order)
        }
    };
    assert_eq!(hedged(SECOND, request).await, Ok("tea".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_slow_success_beats_a_hedge_that_fails() {
    assert_eq!(hedge([(50, Ok(1)), (5, Err(2))]).await, (Ok(1), 50, 2));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_hedge_beats_a_slow_failure() {
    assert_eq!(hedge([(50, Err(1)), (5, Ok(2))]).await, (Ok(2), 15, 2));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_slow_hedge_is_awaited_after_a_slow_failure() {
    assert_eq!(hedge([(20, Err(1)), (50, Ok(2))]).await, (Ok(2), 60, 2));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_if_both_fail_both_errors_are_returned_in_their_order() {
    for (first, second, seconds) in [(50, 5, 50), (20, 50, 60), (5, 5, 10)] {
        let ended = hedge([(first, Err(1)), (second, Err(2))]).await;
        let both_failed = BothFailed {
            first: 1,
            second: 2,
        };
        assert_eq!(ended, (Err(both_failed), seconds, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_quick_failure_is_hedged_immediately_differs() {
    assert_eq!(hedge([(5, Err(1)), (5, Ok(2))]).await, (Ok(2), 10, 2));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_the_loser_is_dropped_before_the_value_is_returned() {
    let (alive, requests) = (Rc::default(), Cell::new(0));
    let request = || {
        let counted = Alive::new(&alive);
        let number = requests.replace(requests.get() + 1);
        async move {
            let _counted = counted;
            sleep([60, 1][number] * SECOND).await;
            Ok::<_, ()>(number)
        }
    };
    assert_eq!(hedged(SECOND, request).await, Ok(1));
    assert_eq!(alive.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_dropped_call_drops_both_requests() {
    let alive = Rc::default();
    let request = || {
        let counted = Alive::new(&alive);
        async move {
            let _counted = counted;
            pending::<Result<(), ()>>().await
        }
    };
    let call = hedged(SECOND, request);
    let seen = async {
        sleep(2 * SECOND).await;
        alive.get()
    };
    let mut most = 0;
    let limited = timeout(5 * SECOND, async {
        tokio::join!(call, async { most = seen.await })
    });
    assert!(limited.await.is_err());
    assert_eq!((most, alive.get()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_many_calls_at_the_same_time_do_not_mix() {
    let calls = (0..100_u32).map(|number| {
        hedged(SECOND, move || async move {
            sleep((number % 3) * SECOND).await;
            Ok::<_, ()>(number)
        })
    });
    let values = futures::future::join_all(calls).await;
    assert!((0..100).map(Ok).eq(values));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_there_are_never_more_than_two_requests() {
    let (ended, seconds, requests) = hedge([(3600, Err(1)), (3600, Ok(2))]).await;
    assert_eq!((ended, seconds, requests), (Ok(2), 3610, 2));
}
