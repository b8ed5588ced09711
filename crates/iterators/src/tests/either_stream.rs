use std::pin::pin;

use futures::{Stream, StreamExt, stream};
use tokio::task::JoinSet;

use super::support::{SIZES, unknown_size};
use crate::either_stream::{Source, above, prices};

#[tokio::test]
async fn any_number_of_prices_with_and_without_a_limit() {
    for size in SIZES {
        let all = || stream::iter(unknown_size(0..size));
        let mut left = above(all(), None).collect::<Vec<_>>().await;
        assert!(left.into_iter().eq(0..size));
        left = above(all(), Some(29)).collect().await;
        assert!(left.into_iter().eq(30..size.max(30)));
        left = above(all(), Some(u32::MAX)).collect().await;
        assert_eq!(left, []);
    }
}

/// `Either` is `Unpin` if both streams are, and knows how many items there are.
#[tokio::test]
async fn either_passes_on_what_its_stream_can() {
    fn numbers(some: bool) -> impl Stream<Item = u32> + Unpin {
        if some {
            stream::iter([1, 2]).left_stream()
        } else {
            stream::empty().right_stream()
        }
    }
    for (some, hint, first) in [(true, 2, Some(1)), (false, 0, None)] {
        let mut numbers = numbers(some);
        assert_eq!(numbers.size_hint(), (hint, Some(hint)));
        assert_eq!(numbers.next().await, first);
    }
}

#[tokio::test(start_paused = true)]
async fn both_kinds_in_tasks_and_polled_after_their_end() {
    let sources = [Source::Live, Source::Saved(vec![42, 43]), Source::Closed];
    for source in sources {
        let mut tasks = JoinSet::new();
        for limit in [None, Some(0)] {
            tasks.spawn(above(prices(source.clone()), limit).collect::<Vec<_>>());
        }
        let expected: Vec<u32> = prices(source.clone()).collect().await;
        for collected in tasks.join_all().await {
            assert_eq!(collected, expected);
        }
        let mut ended = pin!(above(prices(source), None).fuse());
        while ended.next().await.is_some() {}
        assert_eq!(ended.next().await, None);
    }
}
