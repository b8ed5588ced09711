#[tokio::test]
#[should_panic(
    expected = "can call blocking only when running on the multi-threaded runtime"
)]
async fn in_place_needs_the_multi_threaded_runtime() {
    let _ = crate::call_async_from_sync::price_in_place("tea");
}
