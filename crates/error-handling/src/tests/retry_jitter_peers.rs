//! Cases after the tests of jitter of tenacity, backoff, backon, stamina and tokio-retry.

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::retry_jitter::retry;

const MILLI: Duration = Duration::from_millis(1);

/// Calls a server that is busy for so long, and returns whether it served the client and
/// how many milliseconds that took.
async fn call(busy: u32, parts: [f64; 2]) -> (bool, u128) {
    let (server, start) = (Mutex::new(()), Instant::now());
    let work = async {
        let _busy = server.lock().await;
        sleep(busy * MILLI).await;
    };
    let client = async {
        let served = retry(&server, "a client", parts).await;
        (served, start.elapsed().as_millis())
    };
    tokio::join!(biased; work, client).1
}

/// Returns how many of the clients that call together are served.
async fn served(parts: &[[f64; 2]]) -> usize {
    let server = Mutex::new(());
    let calls = parts.iter().map(|parts| retry(&server, "a client", *parts));
    let served = join_all(calls).await;
    served.into_iter().filter(|served| *served).count()
}

fn random() -> [f64; 2] {
    [fastrand::f64(), fastrand::f64()]
}

#[tokio::test(start_paused = true)]
async fn tenacity_the_first_attempt_does_not_wait() {
    assert!(call(0, [1.0, 1.0]).await.0);
    let (server, start) = (Mutex::new(()), Instant::now());
    assert!(retry(&server, "a client", [1.0, 1.0]).await);
    assert_eq!(start.elapsed(), 150 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn tenacity_the_plain_exponential_waits_for_all_of_each_backoff() {
    assert_eq!(call(5000, [1.0, 1.0]).await, (false, 1200));
}

#[tokio::test(start_paused = true)]
async fn tenacity_it_stops_after_three_attempts() {
    // Attempts at 0, 400 and 1,200 ms; the server is free a moment later.
    assert_eq!(call(1201, [1.0, 1.0]).await, (false, 1200));
    assert_eq!(call(1199, [1.0, 1.0]).await, (true, 1350));
}

#[tokio::test(start_paused = true)]
async fn tenacity_a_success_takes_no_further_wait() {
    assert_eq!(call(399, [1.0, 1.0]).await, (true, 550));
}

#[tokio::test(start_paused = true)]
async fn tenacity_a_random_wait_is_between_zero_and_the_backoff() {
    for _ in 0..300 {
        let (served, millis) = call(5000, random()).await;
        assert!(!served && millis <= 1202, "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn tenacity_random_waits_vary() {
    let mut times = Vec::new();
    for _ in 0..20 {
        times.push(call(5000, random()).await.1);
    }
    assert!(times.iter().any(|time| *time != times[0]));
}

#[tokio::test(start_paused = true)]
async fn backoff_a_jitter_of_zero_retries_immediately() {
    assert_eq!(call(5000, [0.0, 0.0]).await, (false, 0));
}

#[tokio::test(start_paused = true)]
async fn backoff_full_jitter_takes_half_the_time_on_average() {
    let mut total = 0;
    for _ in 0..1000 {
        total += call(5000, random()).await.1;
    }
    assert!((500..700).contains(&(total / 1000)), "{total}");
}

#[tokio::test(start_paused = true)]
async fn backoff_the_second_wait_is_a_part_of_twice_as_much() {
    assert_eq!(call(5000, [0.5, 0.0]).await, (false, 200));
    assert_eq!(call(5000, [0.0, 0.5]).await, (false, 400));
}

#[tokio::test(start_paused = true)]
async fn backoff_without_jitter_clients_come_back_together() {
    for clients in [4, 31, 129] {
        assert_eq!(served(&vec![[1.0, 1.0]; clients]).await, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn backoff_clients_whose_waits_are_apart_are_all_served() {
    let parts = [[1.0, 1.0], [0.4, 1.0], [0.8, 1.0], [0.9, 0.4]];
    assert_eq!(served(&parts).await, 4);
}

#[tokio::test(start_paused = true)]
async fn backon_jitter_makes_no_more_attempts() {
    for parts in [[0.0, 0.0], [1.0, 1.0], [0.3, 0.9]] {
        let last = 400.0 * parts[0] + 800.0 * parts[1];
        assert_eq!(call(5000, parts).await, (false, last as u128));
    }
}

#[tokio::test(start_paused = true)]
async fn backon_jitter_never_lengthens_a_wait_differs() {
    for _ in 0..300 {
        let [first, _] = random();
        assert!(call(5000, [first, 0.0]).await.1 <= 401);
    }
}

#[tokio::test(start_paused = true)]
async fn stamina_with_fixed_parts_a_test_is_deterministic() {
    let times = [call(300, [0.9, 0.5]).await, call(300, [0.9, 0.5]).await];
    assert_eq!(times, [(true, 510), (true, 510)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_retry_jitter_desynchronizes_more_clients_than_none() {
    let mut random_served = 0;
    for _ in 0..100 {
        let parts: Vec<_> = (0..6).map(|_| random()).collect();
        random_served += served(&parts).await;
    }
    assert!(random_served > 300, "{random_served} of 600");
}
