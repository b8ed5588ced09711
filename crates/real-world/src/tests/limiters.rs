//! What the tests of several limiters need. A copy takes the whole file.
#![allow(dead_code, reason = "not every copy needs all of it")]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::support::{all_wait, assert_linear};

/// What lets calls through at a limited rate.
pub trait Limiter: Send + Sync + 'static {
    /// Waits for its turn, and returns when that was.
    fn pass(&self) -> impl Future<Output = tokio::time::Instant> + Send;
}

/// How often the future is polled until it is ready.
pub async fn polls<F: Future>(future: F) -> usize {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        future.as_mut().poll(context)
    })
    .await;
    polls
}

/// Many callers, each in a task. Of ten, one is aborted, and some give up after at
/// most a tenth of a second. Sorted, the moments of those who got through.
pub async fn callers(
    limiter: impl Limiter,
    callers: u64,
    gives_up: fn(u64) -> bool,
) -> Vec<tokio::time::Instant> {
    let limiter = Arc::new(limiter);
    let stamps = Arc::new(Mutex::new(Vec::new()));
    let mut set = JoinSet::new();
    for number in 0..callers {
        let (limiter, stamps) = (Arc::clone(&limiter), Arc::clone(&stamps));
        let task = set.spawn(async move {
            // No await between the two, so none is lost by a cancellation.
            let acquire = async {
                let stamp = limiter.pass().await;
                stamps.lock().expect("nobody panics").push(stamp);
            };
            if gives_up(number) {
                let patience = Duration::from_millis(number % 100);
                timeout(patience, acquire).await.is_ok()
            } else {
                acquire.await;
                true
            }
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let (mut served, mut gave_up, mut aborted) = (0, 0, 0);
    let all = async {
        while let Some(outcome) = set.join_next().await {
            match outcome {
                Ok(true) => served += 1,
                Ok(false) => gave_up += 1,
                Err(error) => {
                    assert!(error.is_cancelled());
                    aborted += 1;
                }
            }
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody hangs");
    assert_eq!(served + gave_up + aborted, callers as usize);
    let mut stamps = stamps.lock().expect("nobody panics").clone();
    stamps.sort();
    // Some of the aborted may have been served before.
    assert!((served..=served + aborted).contains(&stamps.len()));
    stamps
}

/// Of so many callers that ask one after the other, some leave; the rest pass in the
/// order in which they have asked.
pub async fn assert_in_order(limiter: impl Limiter) {
    let limiter = Arc::new(limiter);
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut set = JoinSet::new();
    let pass = |number| {
        let (limiter, order) = (Arc::clone(&limiter), Arc::clone(&order));
        set.spawn(async move {
            limiter.pass().await;
            order.lock().expect("nobody panics").push(number);
        })
    };
    let tasks: Vec<_> = (0..100).map(pass).collect();
    // Those at the front and in the middle leave.
    for task in tasks.iter().step_by(7) {
        sleep(Duration::from_millis(1)).await;
        task.abort();
    }
    while set.join_next().await.is_some() {}
    let order = order.lock().expect("nobody panics");
    assert!(order.is_sorted() && order.len() > 80, "{order:?}");
}

/// The most polls that one of fifty callers needs.
pub async fn most_polls(limiter: impl Limiter) -> Option<usize> {
    let limiter = Arc::new(limiter);
    let waiting = all_wait(50, |_| {
        let limiter = Arc::clone(&limiter);
        async move { polls(limiter.pass()).await }
    });
    waiting.await.join_all().await.into_iter().max()
}

/// How long three tasks take that share a struct and pass twice each.
pub async fn in_a_struct(limiter: impl Limiter) -> Duration {
    struct Client<L> {
        limiter: L,
    }
    impl<L: Limiter> Client<L> {
        async fn call(&self) -> tokio::time::Instant {
            let ask = || self.limiter.pass();
            ask().await;
            ask().await
        }
    }
    let client = Arc::new(Client { limiter });
    let start = tokio::time::Instant::now();
    let calling = all_wait(3, |_| {
        let client = Arc::clone(&client);
        async move { client.call().await }
    });
    let ends = calling.await.join_all().await;
    ends.into_iter().max().expect("three") - start
}

/// How many milliseconds after the start each call passes that comes so many after the
/// one before it has passed.
pub async fn moments(limiter: impl Limiter, pauses: &[u64]) -> Vec<u128> {
    let start = tokio::time::Instant::now();
    let mut moments = Vec::new();
    for pause in pauses {
        sleep(Duration::from_millis(*pause)).await;
        moments.push((limiter.pass().await - start).as_millis());
    }
    moments
}

/// Runs rounds on the real clock, on which all may be late, until one is not later than
/// this. One that loses time by itself is late in each.
pub async fn assert_loses_no_time(late: impl AsyncFn() -> Duration, allowed: Duration) {
    let start = Instant::now();
    loop {
        let late = late().await;
        if late < allowed {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "late by {late:?}"
        );
    }
}

/// Whether no window, without its end, holds more calls than the limit.
fn assert_within(stamps: &[tokio::time::Instant], limit: usize, window: Duration) {
    for calls in stamps.windows(limit + 1) {
        assert!(calls[limit] - calls[0] >= window, "{calls:?}");
    }
}

/// Many callers on several threads keep to the limit of each window, and where few of
/// them stay, no time is lost.
pub async fn assert_windows_on_threads<L: Limiter>(new: impl Fn(usize, Duration) -> L) {
    let window = Duration::from_millis(50);
    let limiter = new(1000, window);
    let stamps = callers(limiter, 10_000, |number| number % 3 == 0).await;
    assert!(stamps.len() > 5000);
    assert_within(&stamps, 1000, window);

    let window = Duration::from_millis(150);
    let late = async || {
        let limiter = new(3, window);
        let stamps = callers(limiter, 1000, |number| number % 200 != 0).await;
        assert_within(&stamps, 3, window);
        let took = *stamps.last().expect("some stay") - stamps[0];
        took.saturating_sub(window * ((stamps.len() as u32 - 1) / 3))
    };
    assert_loses_no_time(late, window / 3).await;
}

/// On the paused clock each call passes at its moment.
pub async fn assert_windows_are_exact<L: Limiter>(new: impl Fn(usize, Duration) -> L) {
    let window = Duration::from_millis(3);
    for limit in [1, 2, 10] {
        let limiter = new(limit, window);
        let stamps = callers(limiter, 1000, |number| number % 3 == 0).await;
        assert_within(&stamps, limit, window);
        let took = *stamps.last().expect("some stay") - stamps[0];
        let windows = (stamps.len() - 1) / limit;
        assert_eq!(took, window * windows as u32);
    }
    // Pauses that leave some of a window, one of them, and more.
    let pauses = [
        0, 4, 11, 0, 30, 0, 0, 0, 0, 55, 1, 2, 3, 9, 10, 29, 0, 7, 100, 0, 0, 0,
    ];
    // From a list by hand.
    let expected = [
        0, 4, 15, 30, 60, 60, 60, 90, 90, 145, 146, 148, 175, 184, 194, 223, 223, 230,
        330, 330, 330, 360,
    ];
    let moments = moments(new(3, Duration::from_millis(30)), &pauses).await;
    assert_eq!(moments, expected);
}

/// Ten times as many that wait cost ten times as much.
pub fn assert_linear_in_waiters<L: Limiter>(limiter: impl Fn(u32) -> L) {
    assert_linear(async |number| {
        let limiter = Arc::new(limiter(number));
        let waiting = all_wait(number, |_| {
            let limiter = Arc::clone(&limiter);
            async move { limiter.pass().await }
        });
        waiting.await.join_all().await;
    });
}
