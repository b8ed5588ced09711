use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::nested_scopes::{
    Connection, Refused, Server, copy, open_both, with_connection,
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_aborted_task_closes_nothing() {
    let server = Arc::new(Server::default());
    let copying = Arc::clone(&server);
    let names = ["cellar", "kitchen"];
    let task = tokio::spawn(async move { copy(&copying, names, 2).await.is_ok() });
    sleep(SECOND * 7 / 20).await;
    task.abort();
    assert!(task.await.is_err());
    sleep(SECOND).await;
    assert_eq!(server.open.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_closes_nothing() {
    let server = Arc::new(Server::default());
    let used = Arc::clone(&server);
    let task = tokio::spawn(async move {
        let body = async |_: &Connection| -> Result<(), Refused> { panic!("scheduled") };
        with_connection(&used, "cellar", body).await
    });
    assert!(task.await.expect_err("it panics").is_panic());
    sleep(SECOND).await;
    assert_eq!(server.open.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn whichever_is_refused_none_stays_open() {
    let server = Server::default();
    for names in [["cellar", "attic"], ["attic", "cellar"], ["attic", "attic"]] {
        assert!(open_both(&server, names).await.is_err());
        assert_eq!(server.open.load(Relaxed), 0);
    }
    assert!(open_both(&server, ["cellar", "kitchen"]).await.is_ok());
    assert_eq!(server.open.load(Relaxed), 2);
}

/// The cellar opens after 0.1 s, the kitchen after 0.2 s.
#[tokio::test(start_paused = true)]
async fn dropped_half_way_open_both_closes_nothing() {
    let server = Server::default();
    let both = open_both(&server, ["cellar", "kitchen"]);
    assert!(timeout(SECOND * 3 / 20, both).await.is_err());
    sleep(SECOND).await;
    assert_eq!(server.open.load(Relaxed), 1);
}
