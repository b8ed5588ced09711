use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::time::{Instant, sleep, timeout};

use crate::stream_by_hand::Counter;

const DELAY: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn nothing_to_count_takes_no_time() {
    let start = Instant::now();
    assert_eq!(Counter::new(3..3, DELAY).next().await, None);
    #[expect(clippy::reversed_empty_ranges, reason = "it has to be empty")]
    let mut reversed = Counter::new(4..3, DELAY);
    assert_eq!(reversed.next().await, None);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn giving_up_on_a_number_loses_nothing() {
    let start = Instant::now();
    let mut counter = Counter::new(1..3, DELAY);
    assert!(timeout(DELAY / 2, counter.next()).await.is_err());
    assert_eq!(counter.next().await, Some(1));
    // The pause went on where it was; it did not begin anew.
    assert_eq!(start.elapsed(), DELAY);
    assert_eq!(counter.collect::<Vec<u32>>().await, [2]);
}

#[tokio::test(start_paused = true)]
async fn the_longest_delay_does_not_overflow() {
    let mut counter = Counter::new(1..3, Duration::MAX);
    assert!(timeout(1000 * DELAY, counter.next()).await.is_err());
    let mut counter = Counter::new(1..4, Duration::ZERO);
    assert_eq!(counter.by_ref().collect::<Vec<u32>>().await, [1, 2, 3]);
    assert_eq!(counter.next().await, None);
}

#[test]
fn a_counter_can_be_made_outside_of_a_runtime() {
    drop(Counter::new(1..3, DELAY));
}

/// Makes a new sleep in each poll, and drops it with the poll.
struct Anew;

impl Stream for Anew {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        pin!(sleep(DELAY)).poll(cx).map(Some)
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleep_made_anew_never_ends() {
    assert!(timeout(100 * DELAY, Anew.next()).await.is_err());
}
