use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::time::{Instant, sleep, timeout};

use super::support::{SIZES, is_an_error, unknown_size};
use crate::for_each_concurrent::{Refused, send_to_all, send_to_each};

#[tokio::test(start_paused = true)]
async fn a_limit_of_0_is_none() {
    let pause = Duration::from_millis(100);
    for limit in [Some(0), None] {
        let start = Instant::now();
        let pauses = stream::iter(0..10);
        pauses.for_each_concurrent(limit, |_| sleep(pause)).await;
        assert_eq!(start.elapsed(), pause);
    }
}

/// In a task, which wants it to be `Send`.
#[tokio::test(start_paused = true)]
async fn any_number_of_names() {
    is_an_error::<Refused>();
    for size in SIZES {
        let start = Instant::now();
        // Bob takes 100 ms, and two are served at once.
        let names = unknown_size((0..size).map(|_| "Bob".to_owned()));
        tokio::spawn(async move { send_to_each("news", names).await })
            .await
            .expect("no panic");
        let took = size.div_ceil(2) * Duration::from_millis(100);
        assert_eq!(start.elapsed(), took);

        let names = unknown_size((0..size).map(|_| "Bob".to_owned()));
        let start = Instant::now();
        let all = timeout(Duration::from_secs(1), send_to_all("news", names)).await;
        assert_eq!(all.expect("at once").is_err(), size > 0);
        assert!(start.elapsed() <= Duration::from_millis(100));
    }
}
