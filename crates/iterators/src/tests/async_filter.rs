use futures::{StreamExt, stream};

use super::support::{SIZES, unknown_size};
use crate::async_filter::active;

#[tokio::test(start_paused = true)]
async fn any_number_of_users() {
    for size in SIZES {
        let names = (0..size).map(|number| if number % 2 == 0 { "Ada" } else { "Bob" });
        let users = stream::iter(unknown_size(names)).map(str::to_owned);
        let found = tokio::spawn(active(users).count()).await.expect("no panic");
        assert_eq!(found, size.div_ceil(2) as usize);
    }
}
