use std::collections::HashMap;

use crate::bounded_fetch_with_failures::{Client, fetch_all};

#[tokio::test]
#[should_panic(expected = "would wait for ever")]
async fn a_limit_of_0_is_refused() {
    let answers = HashMap::new();
    fetch_all(&Client { answers }, vec!["/a".to_owned()], 0).await;
}
