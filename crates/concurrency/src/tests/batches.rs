//! When `batches` returns an error, and in which order the results come.

use std::time::Duration;

use tokio::time::Instant;

use crate::batches::{process_batches, try_process_batches};

#[tokio::test(start_paused = true)]
async fn an_error_in_a_large_batch_is_returned_at_once() {
    for number in [1, 31, 129, 1000] {
        // Item 2 takes 400 ms, item 21 fails after 100 ms.
        let items: Vec<u32> = (0..number).map(|_| 2).chain([21]).collect();
        let start = Instant::now();
        let failed = try_process_batches(&items, items.len()).await;
        assert_eq!(failed, Err("21 is too large".to_owned()));
        assert_eq!(start.elapsed(), Duration::from_millis(100), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_the_list() {
    for number in [0, 1, 31, 129, 1000] {
        let items: Vec<u32> = (0..number).map(|item| item % 20).collect();
        let squares: Vec<u32> = items.iter().map(|item| item * item).collect();
        for size in [1, 31, 2000] {
            assert_eq!(process_batches(&items, size).await, squares);
            assert_eq!(try_process_batches(&items, size).await, Ok(squares.clone()));
        }
    }
}

/// Each batch takes as long as its slowest item, and begins when the one before has ended.
#[tokio::test(start_paused = true)]
async fn one_batch_runs_at_a_time_and_a_slow_item_holds_up_its_batch() {
    for number in [0, 1, 31, 129] {
        // Item 2 takes 400 ms, the others 100 ms.
        let items: Vec<u32> = (0..number).map(|index| 2 + index % 16).collect();
        for size in [1, 16, 31] {
            let batches = items.chunks(size);
            let slow = batches.filter(|batch| batch.contains(&2)).count() as u32;
            let expected = items.len().div_ceil(size) as u32 + 3 * slow;
            let start = Instant::now();
            process_batches(&items, size).await;
            let took = start.elapsed();
            assert_eq!(took, expected * Duration::from_millis(100));
            assert!(try_process_batches(&items, size).await.is_ok());
            assert_eq!(start.elapsed(), 2 * took);
        }
    }
}

/// Item 21 fails after 100 ms, next to one that would take 400 ms.
#[tokio::test(start_paused = true)]
async fn after_an_error_the_rest_of_the_batch_is_dropped_and_no_other_starts() {
    let start = Instant::now();
    let failed = try_process_batches(&[1, 1, 2, 21, 2, 2], 2).await;
    assert!(failed.is_err());
    assert_eq!(start.elapsed(), Duration::from_millis(200));
}
