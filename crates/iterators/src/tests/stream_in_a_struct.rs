use futures::{StreamExt, stream};

use super::support::{SIZES, unknown_size};
use crate::stream_in_a_struct::{Highest, Watcher};

#[tokio::test(start_paused = true)]
async fn any_number_of_prices() {
    for size in SIZES {
        let prices = stream::iter(unknown_size(0..size));
        let watcher = Watcher::new("gold", prices);
        let end = tokio::spawn(watcher.watch()).await.expect("no panic");
        assert_eq!(end, "gold: no more prices");
    }
}

/// A boxed stream fits into the generic struct too.
#[tokio::test]
async fn the_highest_of_a_boxed_stream() {
    let prices = stream::iter([2, 4, 3]).boxed();
    let mut highest = Highest { prices };
    for (count, expected) in [(0, 0), (1, 2), (9, 4), (9, 0)] {
        assert_eq!(highest.of_the_next(count).await, expected);
    }
}
