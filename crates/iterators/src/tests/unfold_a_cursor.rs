use std::pin::pin;

use futures::{StreamExt, TryStreamExt};

use super::support::{SIZES, is_an_error};
use crate::unfold_a_cursor::{ConnectionLost, Cursor, rows};

#[tokio::test(start_paused = true)]
async fn an_error_ends_the_stream() {
    let mut rows = pin!(rows(Cursor::new(3, Some(0))));
    assert!(rows.next().await.is_some_and(|row| row.is_err()));
    assert!(rows.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn any_number_of_rows() {
    is_an_error::<ConnectionLost>();
    for size in SIZES {
        let all = rows(Cursor::new(size, None)).try_collect::<Vec<_>>();
        let all = tokio::spawn(all).await.expect("no panic");
        assert_eq!(all.expect("no error").len(), size as usize);
    }
}
