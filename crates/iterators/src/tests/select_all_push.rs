use futures::FutureExt;
use futures::stream::{BoxStream, SelectAll, StreamExt};

#[test]
fn an_empty_merge_has_ended() {
    let mut folders: SelectAll<BoxStream<'_, u32>> = SelectAll::new();
    assert_eq!(folders.next().now_or_never(), Some(None));
}
