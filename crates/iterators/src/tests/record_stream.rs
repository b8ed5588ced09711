use std::pin::pin;

use futures::StreamExt;

use crate::record_stream::{Cursor, rows};

#[tokio::test(start_paused = true)]
async fn an_error_ends_the_stream() {
    let mut rows = pin!(rows(Cursor::new(3, Some(0))));
    assert!(rows.next().await.is_some_and(|row| row.is_err()));
    assert!(rows.next().await.is_none());
}
