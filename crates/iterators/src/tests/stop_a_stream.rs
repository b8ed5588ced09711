use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::support::{SIZES, unknown_size};
use crate::stop_a_stream::handle_until;

#[tokio::test(start_paused = true)]
async fn any_number_of_orders() {
    let (never, stopped) = (CancellationToken::new(), CancellationToken::new());
    stopped.cancel();
    for size in SIZES {
        let mut orders = stream::iter(unknown_size(0..size));
        handle_until(&stopped, &mut orders).await;
        assert_eq!(
            orders.by_ref().count().await,
            size as usize,
            "none was taken"
        );
        let mut orders = stream::iter(unknown_size(0..size.min(31)));
        handle_until(&never, &mut orders).await;
        assert_eq!(orders.next().await, None);
    }
}
