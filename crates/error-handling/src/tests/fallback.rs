use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, advance, sleep};

use crate::fallback::{Fallback, NoAnswer, Origin, Source};

const TICK: Duration = Duration::from_millis(1);

/// Responds with these, one after the other, after a tick each. 404 does not fall back.
struct Script(Mutex<VecDeque<Result<u32, u32>>>);

impl Source for Script {
    type Value = u32;
    type Error = u32;

    async fn get(&self, _: &str) -> Result<u32, u32> {
        sleep(TICK).await;
        self.0
            .lock()
            .expect("no panic")
            .pop_front()
            .unwrap_or(Err(503))
    }
}

fn source<const N: usize>(responses: [Result<u32, u32>; N]) -> Script {
    Script(Mutex::new(responses.into()))
}

fn fallback(sources: Vec<Script>) -> Fallback<Script> {
    Fallback::new(sources, |error| *error != 404, 5 * TICK)
}

#[tokio::test(start_paused = true)]
async fn a_value_is_cached_for_so_long_and_no_longer() {
    for (ticks, is_cached) in [(3, true), (4, false)] {
        let sources = fallback(vec![source([Ok(1)])]);
        assert!(sources.get("Ann").await.is_ok());
        advance(ticks * TICK).await;
        // The source takes a tick more to be down.
        let answer = sources.get("Ann").await;
        assert_eq!(answer.is_ok_and(|it| it.origin == Origin::Cache), is_cached);
        assert!(sources.get("Eva").await.is_err(), "another key");
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_a_source_denies_is_not_cached() {
    let sources = fallback(vec![source([Ok(1), Err(404)])]);
    assert!(sources.get("Ann").await.is_ok());
    for expected in [404, 503] {
        let NoAnswer { errors } = sources.get("Ann").await.err().expect("none");
        assert_eq!(errors, [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_sources_are_tried_in_order_until_one_decides() {
    for (second, expected) in [(Ok(7), Some(7)), (Err(404), None), (Err(503), Some(9))] {
        let mut sources = fallback(vec![source([Err(500)]), source([second])]);
        sources.default = Some(9);
        let start = Instant::now();
        let answer = sources.get("Ann").await;
        assert_eq!(start.elapsed(), 2 * TICK);
        assert_eq!(answer.ok().map(|answer| answer.value), expected);
    }
}

#[tokio::test]
async fn without_sources_there_is_no_answer() {
    let error = fallback(vec![]).get("Ann").await.err().expect("none");
    assert!(error.errors.is_empty());
}

#[tokio::test]
async fn shared_by_tasks() {
    let sources = Arc::new(fallback(vec![source([Ok(1), Ok(2)])]));
    let tasks = [1, 2].map(|_| {
        let sources = Arc::clone(&sources);
        tokio::spawn(
            async move { sources.get("Ann").await.map(|answer| answer.value).ok() },
        )
    });
    for task in tasks {
        assert!(task.await.expect("it does not panic").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn or_calls_both() {
    let (first, second) = (source([Ok(1)]), source([Ok(2)]));
    let start = Instant::now();
    let value = first.get("Ann").await.or(second.get("Ann").await);
    assert_eq!((value, start.elapsed()), (Ok(1), 2 * TICK));
}
