use futures::{StreamExt, stream};

use super::support::{SIZES, unknown_size};
use crate::next_with_default::rows_below_header;

#[tokio::test]
async fn any_number_of_rows() {
    for size in SIZES {
        let rows = stream::iter(unknown_size((0..size).map(|_| "Ada")));
        let counted = tokio::spawn(rows_below_header(rows)).await;
        let expected = (size as usize).saturating_sub(1);
        assert_eq!(counted.expect("no panic"), expected);
    }
}

/// The trap: an argument is evaluated before the call.
#[tokio::test]
async fn a_default_as_an_argument_is_fetched_in_any_case() {
    let mut fetched = 0;
    let mut fetch = async || {
        fetched += 1;
        "default"
    };
    let next = stream::iter(["Ada"]).next().await;
    assert_eq!(next.unwrap_or(fetch().await), "Ada");
    assert_eq!(fetched, 1);
}
