use tokio::sync::mpsc;

#[tokio::test]
#[should_panic(expected = "Cannot block the current thread from within a runtime")]
async fn blocking_send_panics_in_a_task() {
    let (sender, _receiver) = mpsc::channel(1);
    let _ = sender.blocking_send(1);
}
