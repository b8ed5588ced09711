//! In which order futures of one task take turns.

use std::cell::RefCell;

use futures::future::join_all;
use tokio::task::yield_now;

async fn count(name: char, turns: &RefCell<Vec<String>>) {
    for number in 1..=3 {
        turns.borrow_mut().push(format!("{name}{number}"));
        yield_now().await;
    }
}

#[tokio::test]
async fn a_join_all_alternates_and_a_join_rotates() {
    let turns = RefCell::new(Vec::new());
    join_all(['A', 'B'].map(|name| count(name, &turns))).await;
    assert_eq!(turns.take().join(" "), "A1 B1 A2 B2 A3 B3");
    tokio::join!(count('A', &turns), count('B', &turns));
    assert_eq!(turns.take().join(" "), "A1 B1 B2 A2 A3 B3");
}
