use std::pin::pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::support::{SIZES, is_an_error};
use crate::unfold_a_cursor::{ConnectionLost, Cursor, rows};

#[tokio::test(start_paused = true)]
async fn an_error_ends_the_stream() {
    let mut rows = pin!(rows(Cursor::new(3, Some(0))));
    assert!(rows.next().await.is_some_and(|row| row.is_err()));
    assert!(rows.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn any_number_of_rows() {
    is_an_error::<ConnectionLost>();
    for size in SIZES {
        let all = rows(Cursor::new(size, None)).try_collect::<Vec<_>>();
        let all = tokio::spawn(all).await.expect("no panic");
        assert_eq!(all.expect("no error").len(), size as usize);
    }
}

/// The first trap: the state has moved into the closure.
#[tokio::test]
async fn an_error_drops_the_cursor() {
    let cursor = Arc::new(());
    let rows = stream::try_unfold(Arc::clone(&cursor), async |_cursor| {
        Err::<Option<(u32, Arc<()>)>, _>(ConnectionLost)
    });
    let mut rows = pin!(rows);
    assert_eq!(Arc::strong_count(&cursor), 2);
    assert!(rows.next().await.is_some_and(|row| row.is_err()));
    assert_eq!(Arc::strong_count(&cursor), 1);
    assert!(rows.next().await.is_none());
}

fn one_number() -> impl Stream<Item = u32> {
    stream::unfold(1, async |left: u32| {
        left.checked_sub(1).map(|left| (7, left))
    })
}

#[tokio::test]
#[should_panic(
    expected = "Unfold must not be polled after it returned `Poll::Ready(None)`"
)]
async fn unfold_panics_after_its_end() {
    let mut numbers = pin!(one_number());
    while numbers.next().await.is_some() {}
    numbers.next().await;
}

#[tokio::test]
async fn with_fuse_unfold_stays_at_its_end() {
    let mut numbers = pin!(one_number().fuse());
    assert_eq!(numbers.next().await, Some(7));
    for _ in 0..3 {
        assert_eq!(numbers.next().await, None);
    }
}
