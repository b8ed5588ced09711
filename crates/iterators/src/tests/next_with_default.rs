use futures::stream;

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
