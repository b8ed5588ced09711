use futures::{StreamExt, stream};

use super::support::{SIZES, unknown_size};
use crate::moving_window::windows;

#[tokio::test]
async fn any_number_of_items() {
    for size in SIZES {
        for width in [1, 3, 1000, usize::MAX] {
            let numbers = stream::iter(unknown_size(0..size));
            let slices = windows(numbers, width).collect::<Vec<_>>();
            let slices = tokio::spawn(slices).await.expect("no panic");
            let all: Vec<u32> = (0..size).collect();
            assert!(slices.iter().eq(all.windows(width)), "{size} by {width}");
        }
    }
}

#[test]
#[should_panic(expected = "at least one item")]
fn a_window_of_0_is_refused() {
    drop(windows(stream::iter([1]), 0));
}
