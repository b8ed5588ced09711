use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_nats::jetstream::{self, kv::Store};
use bytes::Bytes;
use servers::Kind;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::support::{nats, poll_and_drop, private, soon, unique};
use crate::nats_key_value::{Failure, change, follow, open};

const TENTH: Duration = Duration::from_millis(100);

async fn store() -> Store {
    let context = jetstream::new(nats().await);
    open(&context, &unique("bucket")).await.expect("it opens")
}

async fn close(store: Store) {
    let context = jetstream::new(nats().await);
    context
        .delete_key_value(&store.name)
        .await
        .expect("it is there");
}

fn number(value: Option<Bytes>) -> usize {
    let text = value.unwrap_or_else(|| "0".into());
    String::from_utf8_lossy(&text).parse().expect("a number")
}

async fn add(store: &Store) -> usize {
    let added = change(store, "n", |value| (number(value) + 1).to_string().into()).await;
    number(Some(added.expect("the server answers")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn no_change_is_lost_and_none_counts_twice() {
    let store = store().await;
    let mut latest = follow(store.clone(), "n", TENTH, |_| {})
        .await
        .expect("it runs");
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..10 {
                add(&store).await;
            }
        });
    }
    soon(tasks.join_all()).await;
    let all = latest.wait_for(|value| number(value.clone()) == 80);
    soon(all).await.expect("it follows");
    close(store).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_dropped_change_is_done_or_not() {
    let store = store().await;
    let mut most = 0;
    for polls in 0..30 {
        let ended = poll_and_drop(add(&store), polls).await;
        let done = number(store.get("n").await.expect("it answers"));
        most += 1;
        assert!(done <= most && ended.is_none_or(|it| it <= done));
    }
    let done = number(store.get("n").await.expect("it answers"));
    assert_eq!(add(&store).await, done + 1);
    // A deleted key begins anew, and so does one that was purged.
    store.delete("n").await.expect("it answers");
    assert_eq!(add(&store).await, 1);
    store.purge("n").await.expect("it answers");
    assert_eq!(add(&store).await, 1);
    close(store).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_plain_put_overwrites_what_another_has_written() {
    let store = store().await;
    add(&store).await;
    let read = store
        .entry("n")
        .await
        .expect("it answers")
        .expect("it is set");
    add(&store).await;
    let late = store.update("n", "7".into(), read.revision).await;
    let late = late.expect_err("another has written");
    assert!(late.to_string().contains("wrong last revision"), "{late}");
    assert_eq!(number(store.get("n").await.expect("it answers")), 2);
    store.put("n", "7".into()).await.expect("it writes");
    assert_eq!(number(store.get("n").await.expect("it answers")), 7);
    close(store).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn the_task_ends_with_its_last_receiver() {
    let store = store().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let receivers = [
        follow(store.clone(), "n", TENTH, |_| {})
            .await
            .expect("it runs"),
        follow(store.clone(), "n", TENTH, |_| {})
            .await
            .expect("it runs"),
    ];
    assert!(tasks() > before);
    drop(receivers);
    let end = async {
        while tasks() > before {
            sleep(TENTH / 10).await;
        }
    };
    soon(end).await;
    close(store).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn a_killed_server_comes_back_with_the_value() {
    let mut server = private(Kind::Nats).await;
    let client = async_nats::connect(server.url()).await.expect("it runs");
    let store = open(&jetstream::new(client), "settings")
        .await
        .expect("it opens");
    add(&store).await;
    let errors = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&errors);
    let report = move |_| {
        told.fetch_add(1, SeqCst);
    };
    let mut latest = follow(store.clone(), "n", TENTH, report)
        .await
        .expect("it runs");
    for round in 2..4 {
        server.kill();
        assert_eq!(
            number(latest.borrow().clone()),
            round - 1,
            "it keeps its value"
        );
        server.restart().expect("it starts again");
        let change = || change(&store, "n", |_| round.to_string().into());
        soon(async { while change().await.is_err() {} }).await;
        let all = latest.wait_for(|value| number(value.clone()) == round);
        soon(all).await.expect("it follows");
    }
    println!("{} errors", errors.load(SeqCst));
}

/// What readers do with it: in a struct that tasks share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn changed_a_little() {
    #[derive(Clone, Debug)]
    struct Settings {
        store: Store,
        latest: tokio::sync::watch::Receiver<Option<Bytes>>,
    }
    impl Settings {
        fn limit(&self) -> usize {
            number(self.latest.borrow().clone())
        }
    }
    let store = store().await;
    let latest = follow(store.clone(), "n", TENTH, |_| {})
        .await
        .expect("it runs");
    let settings = Arc::new(Settings { store, latest });
    let shared = Arc::clone(&settings);
    let adding = tokio::spawn(async move { add(&shared.store).await });
    assert_eq!(adding.await.expect("it does not panic"), 1);
    let mut latest = settings.latest.clone();
    let all = latest.wait_for(|value| value.is_some());
    soon(all).await.expect("it follows");
    assert_eq!(settings.limit(), 1);
    close(settings.store.clone()).await;
}

#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn the_channel_holds_none_before_the_first_value_and_after_a_delete() {
    let store = store().await;
    let mut latest = follow(store.clone(), "n", TENTH, |_| {})
        .await
        .expect("it runs");
    assert_eq!(*latest.borrow(), None);
    for end in ["delete", "purge"] {
        add(&store).await;
        let set = latest.wait_for(|value| number(value.clone()) == 1);
        drop(soon(set).await.expect("it follows"));
        match end {
            "delete" => store.delete("n").await.expect("it answers"),
            _ => store.purge("n").await.expect("it answers"),
        }
        let gone = latest.wait_for(Option::is_none);
        drop(soon(gone).await.expect("it follows"));
    }
    close(store).await;
}

/// The bucket is gone for a while. The client notices that after 10 s.
#[tokio::test]
#[cfg_attr(no_nats, ignore = "nats-server is not installed")]
async fn after_an_error_it_reports_keeps_the_value_and_watches_again() {
    let store = store().await;
    add(&store).await;
    let (told, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let report = move |error: Failure| drop(told.send(error));
    let mut latest = follow(store.clone(), "n", TENTH, report)
        .await
        .expect("it runs");
    let bucket = store.name.clone();
    close(store).await;
    soon(errors.recv()).await.expect("it reports");
    assert_eq!(number(latest.borrow().clone()), 1, "it keeps its value");
    let context = jetstream::new(nats().await);
    let store = open(&context, &bucket).await.expect("it opens");
    let seven = change(&store, "n", |_| "7".into()).await;
    seven.expect("it answers");
    let new = latest.wait_for(|value| number(value.clone()) == 7);
    drop(soon(new).await.expect("it follows"));
    close(store).await;
}
