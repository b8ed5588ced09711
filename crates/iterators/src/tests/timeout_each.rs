use std::time::Duration;

use tokio::time::{Instant, interval_at, sleep};
use tokio_stream::{StreamExt, iter};

const LIMIT: Duration = Duration::from_millis(300);

/// The item takes 0.2 s of the 0.3 s, but they began 0.2 s before it was asked for.
#[tokio::test(start_paused = true)]
async fn the_clock_of_an_adapter_starts_when_it_is_made() {
    let replies = iter([1]).then(async |reply| {
        sleep(LIMIT * 2 / 3).await;
        reply
    });
    let mut limited = Box::pin(replies.timeout(LIMIT));
    sleep(LIMIT * 2 / 3).await;
    assert!(limited.next().await.is_some_and(|reply| reply.is_err()));
    assert_eq!(limited.next().await, Some(Ok(1)));
    // It starts again with the reply, and runs while the loop body works.
    let replies = iter([1, 2]).then(async |reply| {
        sleep(LIMIT / 3).await;
        reply
    });
    let mut limited = Box::pin(replies.timeout(LIMIT));
    assert_eq!(limited.next().await, Some(Ok(1)));
    sleep(2 * LIMIT).await;
    assert!(limited.next().await.is_some_and(|reply| reply.is_err()));
    assert_eq!(limited.next().await, Some(Ok(2)));
}

/// Two silences, of four and a half and of two and a half times the limit.
#[tokio::test(start_paused = true)]
async fn timeout_reports_each_silence_once_and_timeout_repeating_once_per_period() {
    let replies = || {
        iter([9, 5]).then(async |halves| {
            sleep(LIMIT * halves / 2).await;
            halves
        })
    };
    let silence = |reply: Result<u32, _>| reply.ok();
    let once: Vec<_> = replies().timeout(LIMIT).map(silence).collect().await;
    assert_eq!(once, [None, Some(9), None, Some(5)]);
    let ticks = interval_at(Instant::now() + LIMIT, LIMIT);
    let repeated = replies().timeout_repeating(ticks);
    let repeated: Vec<_> = repeated.map(silence).collect().await;
    let expected = [None, None, None, None, Some(9), None, None, Some(5)];
    assert_eq!(repeated, expected);
}
