use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use futures::poll;
use tokio::time::{Instant, timeout};
use tokio::try_join;

use crate::dos_and_donts::{
    PriceError, closed_by_a_guard, closed_by_hand, price, price_if_sold,
};

const LIMIT: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn together_takes_the_time_of_one() {
    let start = Instant::now();
    assert_eq!(try_join!(price("tea"), price("pot")), Ok((3, 20)));
    assert_eq!(start.elapsed(), 2 * LIMIT);
}

#[tokio::test(start_paused = true)]
async fn only_the_error_that_is_known_is_handled() {
    assert_eq!(price_if_sold("tea").await, Ok(3));
    assert_eq!(price_if_sold("unicorn").await, Ok(0));
    assert_eq!(price_if_sold("sugar").await, Err(PriceError::Busy));
}

/// After an error, and after a cancellation.
#[tokio::test(start_paused = true)]
async fn a_guard_closes_and_a_hand_does_not() {
    let open = AtomicU32::new(0);
    assert!(closed_by_a_guard(&open).await.is_err());
    assert!(timeout(LIMIT, closed_by_a_guard(&open)).await.is_err());
    assert_eq!(open.load(Relaxed), 0);
    {
        let mut call = pin!(closed_by_a_guard(&open));
        assert!(poll!(call.as_mut()).is_pending());
        assert_eq!(open.load(Relaxed), 1, "open during the call");
    }
    assert_eq!(open.load(Relaxed), 0);
    assert!(closed_by_hand(&open).await.is_err());
    assert!(timeout(LIMIT, closed_by_hand(&open)).await.is_err());
    assert_eq!(open.load(Relaxed), 2);
}
