use futures::stream;

use super::support::{SIZES, unknown_size};
use crate::stream_in_a_struct::Watcher;

#[tokio::test(start_paused = true)]
async fn any_number_of_prices() {
    for size in SIZES {
        let prices = stream::iter(unknown_size(0..size));
        let watcher = Watcher::new("gold", prices);
        let end = tokio::spawn(watcher.watch()).await.expect("no panic");
        assert_eq!(end, "gold: no more prices");
    }
}
