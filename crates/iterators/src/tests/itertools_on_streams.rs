use std::future::ready;
use std::pin::pin;

use futures::{Stream, StreamExt, stream};

use super::support::unknown_size;

fn numbers() -> impl Stream<Item = u32> + Unpin {
    stream::iter(unknown_size(1..=4))
}

/// The trap: each stops at 2.
#[tokio::test]
async fn the_item_at_which_they_stop_is_consumed() {
    let mut lent = numbers();
    let taken: Vec<_> = lent.by_ref().take_while(|n| ready(*n < 2)).collect().await;
    let rest: Vec<_> = lent.collect().await;
    assert_eq!((taken, rest), (vec![1], vec![3, 4]));
    let mut lent = numbers();
    assert!(lent.by_ref().any(async |n| n == 2).await);
    assert_eq!(lent.collect::<Vec<_>>().await, [3, 4]);
    let mut lent = numbers();
    assert!(!lent.by_ref().all(async |n| n < 2).await);
    assert_eq!(lent.collect::<Vec<_>>().await, [3, 4]);
}

/// What the trap advises.
#[tokio::test]
async fn peekable_keeps_the_item_at_which_a_loop_stops() {
    let mut numbers = pin!(numbers().peekable());
    let mut taken = Vec::new();
    while let Some(number) = numbers.as_mut().next_if(|n: &u32| *n < 2).await {
        taken.push(number);
    }
    let rest: Vec<_> = numbers.collect().await;
    assert_eq!((taken, rest), (vec![1], vec![2, 3, 4]));
}
