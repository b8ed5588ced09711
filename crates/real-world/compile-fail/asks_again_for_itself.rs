//~ E0733 recursion in an async fn requires boxing
//! A limiter that waits and then asks itself again, as one writes it in Python.
//!
//! example: sliding_window

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

struct SlidingWindow {
    limit: usize,
    window: Duration,
    calls: Mutex<VecDeque<Instant>>,
}

impl SlidingWindow {
    async fn acquire(&self) {
        let mut calls = self.calls.lock().await;
        if calls.len() < self.limit {
            calls.push_back(Instant::now());
            return;
        }
        if let Some(oldest) = calls.pop_front() {
            sleep_until(oldest + self.window).await;
        }
        self.acquire().await;
    }
}

#[tokio::main]
async fn main() {
    let limiter = SlidingWindow {
        limit: 3,
        window: Duration::from_millis(500),
        calls: Mutex::default(),
    };
    limiter.acquire().await;
}
