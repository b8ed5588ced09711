//! What `calculate_primes` returns, and which tasks run in the meantime.

use std::sync::mpsc;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::heavy_computation::calculate_primes;

#[test]
fn the_primes_below_a_number() {
    for end in 0..3 {
        assert!(calculate_primes(end).is_empty(), "{end}");
    }
    assert_eq!(calculate_primes(30), [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    assert_eq!(calculate_primes(20_000).len(), 2262);
}

/// The computation ends only when another task of the only thread has told it to begin.
#[tokio::test]
async fn other_tasks_run_while_a_thread_computes() {
    let (sender, receiver) = mpsc::channel();
    let primes = spawn_blocking(move || {
        let end = receiver.recv().expect("the other task sends");
        calculate_primes(end)
    });
    let other = tokio::spawn(async move { sender.send(10) });
    assert_eq!(primes.await.expect("no panic"), [2, 3, 5, 7]);
    assert!(other.await.is_ok_and(|sent| sent.is_ok()));
}

/// What the page is about: called in a task, it keeps the thread until it has finished.
#[tokio::test]
async fn no_other_task_runs_while_a_task_computes() {
    let other = tokio::spawn(async {});
    assert!(!calculate_primes(20_000).is_empty());
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
    assert!(!other.is_finished());
    assert!(other.await.is_ok());
}
