//! Cases after the tests of Go's `errgroup`, tower's `CallAll` and aiostream's `map`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::map_with_limit::map_with_limit;

const SECOND: Duration = Duration::from_secs(1);

/// Waits for each number of seconds, and returns them with the time that all took.
async fn map(seconds: &[u32], limit: usize) -> (Result<Vec<u32>, u32>, u64) {
    let start = Instant::now();
    let call = async |seconds: &u32| {
        sleep(*seconds * SECOND).await;
        Ok(*seconds)
    };
    let mapped = map_with_limit(seconds, limit, call).await;
    (mapped, start.elapsed().as_secs())
}

/// A call of this number fails.
async fn fails_at(bad: u32, number: u32) -> Result<u32, u32> {
    sleep(number * SECOND).await;
    if number == bad {
        Err(number)
    } else {
        Ok(number)
    }
}

#[tokio::test(start_paused = true)]
async fn go_errgroup_no_calls_are_no_results() {
    assert_eq!(map(&[], 3).await, (Ok(vec![]), 0));
}

#[tokio::test(start_paused = true)]
async fn go_errgroup_the_limit_is_used_and_not_exceeded() {
    for (limit, seconds) in [(1, 12), (2, 6), (5, 3), (12, 1), (1000, 1)] {
        assert_eq!(map(&[1; 12], limit).await.1, seconds, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn go_errgroup_results_have_the_order_of_the_items() {
    let items = [5, 1, 4, 2, 3, 0];
    assert_eq!(map(&items, 6).await, (Ok(items.to_vec()), 5));
    assert_eq!(map(&items, 2).await.0, Ok(items.to_vec()));
}

#[tokio::test(start_paused = true)]
async fn go_errgroup_the_first_error_in_time_is_returned() {
    let call = async |number: u32| {
        sleep(number * SECOND).await;
        if number >= 3 { Err(number) } else { Ok(number) }
    };
    let failed = map_with_limit([9, 5, 1, 3, 7], 5, call).await;
    assert_eq!(failed, Err(3));
}

#[tokio::test(start_paused = true)]
async fn go_errgroup_an_error_cancels_the_others() {
    let (start, ended) = (Instant::now(), Cell::new(0));
    let call = async |number| {
        let result = fails_at(2, number).await;
        ended.set(ended.get() + 1);
        result
    };
    assert_eq!(map_with_limit(1..=9, 9, call).await, Err(2));
    sleep(60 * SECOND).await;
    assert_eq!((ended.get(), start.elapsed()), (2, 62 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn go_errgroup_after_an_error_no_other_call_begins() {
    let begun = Cell::new(0);
    let call = |number| {
        let begun = &begun;
        async move {
            begun.set(begun.get() + 1);
            fails_at(2, number).await
        }
    };
    assert_eq!(map_with_limit(1..=1000, 2, call).await, Err(2));
    assert_eq!(begun.get(), 3);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "with a limit of 0")]
async fn go_errgroup_a_limit_of_zero_is_refused() {
    drop(map(&[1], 0).await);
}

#[tokio::test(start_paused = true)]
async fn tower_ordered_responses_may_be_ready_out_of_order() {
    let items: Vec<u32> = (0..31).map(|number| number * 7 % 31).collect();
    assert_eq!(map(&items, 31).await, (Ok(items.clone()), 30));
}

#[tokio::test(start_paused = true)]
async fn tower_all_calls_of_a_long_list_are_made() {
    for number in [1, 31, 129, 1000_u32] {
        let items: Vec<_> = (0..number).collect();
        let call = async |item| Ok::<u32, ()>(item);
        assert_eq!(map_with_limit(0..number, 7, call).await, Ok(items));
    }
}

#[tokio::test(start_paused = true)]
async fn tower_a_dropped_map_drops_its_calls() {
    let alive = Rc::new(());
    let call = |number| {
        let alive = Rc::clone(&alive);
        async move {
            let _alive = alive;
            fails_at(0, number).await
        }
    };
    let mapped = map_with_limit(1..=9, 3, call);
    assert!(timeout(SECOND / 2, mapped).await.is_err());
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn tower_the_calls_may_borrow_from_the_caller() {
    let names = ["Ann".to_owned(), "Ben".to_owned()];
    let call = async |name: &String| Ok::<_, ()>(name.len());
    assert_eq!(map_with_limit(&names, 1, call).await, Ok(vec![3, 3]));
}

#[tokio::test(start_paused = true)]
async fn tower_the_items_may_be_an_iterator_of_unknown_length() {
    let evens = (0..10).filter(|number| number % 2 == 0);
    let call = async |number: u32| Ok::<_, ()>(number);
    assert_eq!(
        map_with_limit(evens, 2, call).await,
        Ok(vec![0, 2, 4, 6, 8])
    );
}

#[tokio::test(start_paused = true)]
async fn aiostream_a_task_limit_of_one_is_one_after_the_other() {
    let active = Cell::new(0);
    let call = async |number: u32| {
        active.set(active.get() + 1);
        assert_eq!(active.get(), 1);
        sleep(SECOND).await;
        active.set(active.get() - 1);
        Ok::<_, ()>(number)
    };
    assert_eq!(map_with_limit(0..5, 1, call).await, Ok(vec![0, 1, 2, 3, 4]));
}

#[tokio::test(start_paused = true)]
async fn aiostream_a_slow_first_item_does_not_hold_up_the_next() {
    // The other nine pass through the second place meanwhile.
    assert_eq!(map(&[9, 1, 1, 1, 1, 1, 1, 1, 1, 1], 2).await.1, 9);
}

#[tokio::test(start_paused = true)]
async fn aiostream_all_items_are_taken_before_the_first_call_differs() {
    let (taken, begun) = (Cell::new(0), Cell::new(0));
    let items = (0..9).inspect(|_| taken.set(taken.get() + 1));
    let call = async |number: u32| {
        begun.set(begun.get().max(9 - taken.get()));
        Ok::<_, ()>(number)
    };
    assert!(map_with_limit(items, 2, call).await.is_ok());
    assert_eq!((taken.get(), begun.get()), (9, 0), "none was taken later");
}
