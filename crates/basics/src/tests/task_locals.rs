//! Where a value is missing, who passes it on, and values of another type.

use std::cell::Cell;

use tokio::task::{spawn_blocking, yield_now};
use tokio::{join, task_local};

use crate::task_locals::{REQUEST_ID, spawn_blocking_with_id, spawn_with_id};

#[test]
#[should_panic(expected = "without setting it first")]
fn get_panics_where_the_value_is_missing() {
    REQUEST_ID.get();
}

#[test]
#[should_panic(expected = "without setting it first")]
fn with_panics_where_the_value_is_missing() {
    REQUEST_ID.with(|id| *id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_who_passes_the_value_on_has_it() {
    let look = || REQUEST_ID.try_get().ok();
    let inside = async {
        let task = tokio::spawn(async move { look() });
        assert_eq!(task.await.expect("no panic"), None);
        assert_eq!(spawn_blocking(look).await.expect("no panic"), None);
        let task = spawn_with_id(async move { look() });
        assert_eq!(task.await.expect("no panic"), Some(7));
        let call = spawn_blocking_with_id(look);
        assert_eq!(call.await.expect("no panic"), Some(7));
    };
    REQUEST_ID.scope(7, inside).await;
    let task = spawn_with_id(async move { look() });
    assert_eq!(task.await.expect("no panic"), None);
    let call = spawn_blocking_with_id(look);
    assert_eq!(call.await.expect("no panic"), None);
}

task_local! {
    static USER: String;
}

async fn user() -> Option<String> {
    yield_now().await;
    USER.try_get().ok()
}

#[tokio::test]
async fn a_string_in_two_scopes_of_a_task() {
    let task = tokio::spawn(async {
        join!(
            USER.scope("Ada".to_owned(), user()),
            USER.scope("Bob".to_owned(), user()),
        )
    });
    let users = task.await.expect("no panic");
    assert_eq!(users, (Some("Ada".to_owned()), Some("Bob".to_owned())));
}

thread_local! {
    static OF_THREAD: Cell<u32> = const { Cell::new(0) };
}

/// On one thread, a task sees what another has put into a `thread_local!`.
#[tokio::test]
async fn tasks_of_a_thread_share_its_thread_local() {
    OF_THREAD.set(7);
    let task = tokio::spawn(async { OF_THREAD.replace(8) });
    assert_eq!(task.await.expect("no panic"), 7);
    assert_eq!(OF_THREAD.get(), 8);
}

#[tokio::test]
async fn an_inner_scope_hides_the_outer_value_until_it_ends() {
    let look = async || {
        yield_now().await;
        REQUEST_ID.get()
    };
    let outer = async {
        let before = look().await;
        let inside = REQUEST_ID.scope(2, look()).await;
        [before, inside, look().await]
    };
    assert_eq!(REQUEST_ID.scope(1, outer).await, [1, 2, 1]);
}
