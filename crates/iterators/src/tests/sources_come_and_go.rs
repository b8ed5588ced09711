use futures::FutureExt;
use futures::stream::{BoxStream, SelectAll, StreamExt};
use tokio_stream::StreamMap;

#[test]
fn an_empty_merge_is_at_its_end() {
    let mut rooms: StreamMap<&str, BoxStream<'_, u32>> = StreamMap::new();
    assert_eq!(rooms.next().now_or_never(), Some(None));
    let mut folders: SelectAll<BoxStream<'_, u32>> = SelectAll::new();
    assert_eq!(folders.next().now_or_never(), Some(None));
}
