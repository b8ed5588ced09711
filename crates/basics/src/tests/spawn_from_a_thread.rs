use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::spawn_from_a_thread::look_up_from_thread;

#[tokio::test]
#[should_panic(expected = "Cannot block the current thread from within a runtime")]
async fn blocking_send_panics_in_a_task() {
    let (sender, _receiver) = mpsc::channel(1);
    let _ = sender.blocking_send(1);
}

/// What the header says of a runtime of one thread.
#[test]
fn a_runtime_of_one_thread_looks_up_only_while_it_runs() {
    let builder = Builder::new_current_thread().enable_all().build();
    let runtime = builder.expect("a runtime");
    let handle = runtime.handle().clone();
    let (found, is_found) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let name = look_up_from_thread(&handle, 1).expect("a name");
        found.send(name).expect("it is received");
    });
    let meanwhile = is_found.recv_timeout(Duration::from_millis(400));
    assert_eq!(meanwhile, Err(RecvTimeoutError::Timeout), "it takes 0.2 s");
    let receive = async { spawn_blocking(move || is_found.recv()).await };
    let found = runtime.block_on(receive).expect("no panic");
    assert_eq!(found.as_deref(), Ok("Ada"));
}

/// The limit that `blocking_send` does not have.
#[tokio::test]
async fn a_thread_sends_with_a_limit() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(1).expect("there is room");
    let handle = tokio::runtime::Handle::current();
    let sending = spawn_blocking(move || {
        handle.block_on(sender.send_timeout(2, Duration::from_millis(50)))
    });
    let sent = sending.await.expect("no panic");
    assert_eq!(sent, Err(mpsc::error::SendTimeoutError::Timeout(2)));
    assert_eq!(receiver.recv().await, Some(1));
}
