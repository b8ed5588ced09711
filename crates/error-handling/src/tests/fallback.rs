use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, advance};

use crate::fallback::{Books, NoAnswer, Origin, Source, SourceError, is_outage};

fn books(names: &[&'static str]) -> Books {
    Books {
        sources: names.iter().copied().map(Source::new).collect(),
        limit: Duration::from_millis(200),
        keep: Duration::from_millis(500),
        default: None,
        falls_back: Box::new(is_outage),
        cache: Mutex::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_so_long_and_no_longer() {
    for (millis, is_kept) in [(399, true), (400, false)] {
        let mut books = books(&["server A"]);
        assert!(books.recommend("Ann").await.is_ok());
        books.sources[0].is_up = false;
        advance(Duration::from_millis(millis)).await;
        // The source takes 100 ms more to be down.
        let answer = books.recommend("Ann").await;
        let is_from_cache =
            |answer: crate::fallback::Answer| matches!(answer.origin, Origin::Cache);
        assert_eq!(answer.is_ok_and(is_from_cache), is_kept);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_source_denies_is_not_kept() {
    let mut books = books(&["server A"]);
    let earlier = ("books on Go".to_string(), Instant::now());
    let cache = books.cache.lock();
    cache
        .expect("nobody panics")
        .insert("Eva".to_string(), earlier);
    assert!(books.recommend("Eva").await.is_err());
    books.sources[0].is_up = false;
    assert!(books.recommend("Eva").await.is_err());
}

#[tokio::test]
async fn without_sources_there_is_no_answer() {
    let NoAnswer { errors } = books(&[]).recommend("Ann").await.expect_err("none");
    assert!(errors.is_empty());
}

#[tokio::test(start_paused = true)]
async fn shared_by_tasks() {
    let books = Arc::new(books(&["server A"]));
    let tasks = ["Ann", "Eva"].map(|user| {
        let books = Arc::clone(&books);
        tokio::spawn(async move { books.recommend(user).await.is_ok() })
    });
    for (task, is_ok) in tasks.into_iter().zip([true, false]) {
        assert_eq!(task.await.expect("it does not panic"), is_ok);
    }
}

#[tokio::test(start_paused = true)]
async fn or_asks_both_and_an_early_answer_waits() {
    let [first, second] = ["server A", "server B"].map(Source::new);
    let start = Instant::now();
    let books: Result<String, SourceError> = first
        .recommend("Ann")
        .await
        .or(second.recommend("Ann").await);
    assert!(books.is_ok());
    assert_eq!(start.elapsed(), Duration::from_millis(200));
}
