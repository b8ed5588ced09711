use std::sync::mpsc;
use std::time::Duration;

/// The trap: no idle thread takes the task that the blocked one has spawned.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_task_that_blocks_keeps_the_task_that_it_has_spawned() {
    let blocks = tokio::spawn(async {
        let (started, is_started) = mpsc::channel();
        let task = tokio::spawn(async move { started.send(()) });
        let starts_meanwhile = is_started.recv_timeout(Duration::from_millis(100));
        let sent = task.await.expect("no panic");
        (starts_meanwhile, sent)
    });
    let (starts_meanwhile, sent) = blocks.await.expect("no panic");
    assert_eq!(starts_meanwhile, Err(mpsc::RecvTimeoutError::Timeout));
    assert_eq!(sent, Ok(()), "it starts at the next await");
}
