use std::time::Duration;

use futures::StreamExt;
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::support::SIZES;
use crate::async_range::async_range;

#[tokio::test(start_paused = true)]
async fn any_number_of_numbers() {
    for size in SIZES {
        let start = Instant::now();
        let numbers = tokio::spawn(async_range(size).collect::<Vec<_>>());
        assert!(numbers.await.expect("no panic").into_iter().eq(0..size));
        assert_eq!(start.elapsed(), size * Duration::from_millis(100));
    }
}

/// What the header says of code that is not async, and of plain generators.
#[test]
fn outside_of_async_code_it_is_stepped_by_block_on() {
    let mut numbers = Box::pin(async_range(2));
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let mut step = 0;
    let plain = std::iter::from_fn(|| {
        step += 1;
        runtime.block_on(numbers.next())
    });
    assert!(plain.eq(0..2));
    assert_eq!(step, 3);
}
