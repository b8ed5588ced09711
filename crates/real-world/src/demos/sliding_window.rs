//! Calls that wait for themselves, that leave the window one by one, and that give up.

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::sliding_window::SlidingWindow;

/// The trap: it asks again while it still has the lock.
async fn ask_again(calls: &Mutex<VecDeque<Instant>>, limit: usize, window: Duration) {
    let mut last = calls.lock().await;
    if last.len() < limit {
        last.push_back(Instant::now());
        return;
    }
    if let Some(oldest) = last.pop_front() {
        sleep_until(oldest + window).await;
    }
    Box::pin(ask_again(calls, limit, window)).await;
}

async fn call(name: u32, limiter: &SlidingWindow) {
    limiter.acquire().await;
    println!("call {name}");
}

pub async fn run() {
    let window = Duration::from_millis(500);

    println!("A call that retries while it holds the lock deadlocks:");
    let last = &Mutex::default();
    let calls = join_all([1, 2, 3, 4, 5].map(|name| async move {
        ask_again(last, 3, window).await;
        println!("call {name}");
    }));
    if timeout(2 * window, calls).await.is_err() {
        println!("the others still wait");
    }

    println!("At most 3 in 0.5 s:");
    let limiter = &SlidingWindow::new(3, window);
    join_all([1, 2, 3, 4, 5, 6, 7].map(|name| call(name, limiter))).await;

    println!("Calls leave the window one by one, as they came:");
    sleep(window * 2 / 5).await;
    join_all([8, 9, 10, 11, 12].map(|name| call(name, limiter))).await;

    println!("A caller that gives up does not count:");
    let gives_up = async {
        let patience = Duration::from_millis(100);
        if timeout(patience, call(13, limiter)).await.is_err() {
            println!("call 13 gave up");
        }
    };
    tokio::join!(biased; gives_up, call(14, limiter));

    println!("Without waiting, after a pause:");
    sleep(window).await;
    for name in [15, 16, 17, 18] {
        match limiter.try_acquire() {
            Ok(_) => println!("call {name}"),
            Err(error) => println!("call {name}: {error}"),
        }
    }
}
