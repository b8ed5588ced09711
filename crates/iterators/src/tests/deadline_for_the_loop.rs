use futures::stream;

use super::support::{SIZES, is_an_error, unknown_size};
use crate::deadline_for_the_loop::{SumError, sum};

#[tokio::test(start_paused = true)]
async fn any_number_of_pages() {
    is_an_error::<SumError>();
    for size in SIZES {
        let pages = stream::iter(unknown_size((0..size).map(|_| 1)));
        let total = tokio::spawn(sum(pages)).await.expect("no panic");
        assert_eq!(total.expect("in time"), size);
    }
}

#[tokio::test(start_paused = true)]
async fn both_errors_are_told_apart() {
    let torn = sum(stream::iter([7, 8])).await;
    assert!(matches!(torn, Err(SumError::Torn(8))));
    let late = sum(stream::pending()).await;
    assert!(matches!(late, Err(SumError::Late(_))));
}
