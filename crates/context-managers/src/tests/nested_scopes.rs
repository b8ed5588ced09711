use std::sync::Arc;

use tokio::time::sleep;

use crate::nested_scopes::{
    Connection, LATENCY, Refused, Server, copy, open_both, with_connection,
};

#[tokio::test(start_paused = true)]
async fn an_aborted_task_closes_nothing() {
    let server = Arc::new(Server::default());
    let copying = Arc::clone(&server);
    let names = ["cellar", "kitchen"];
    let task = tokio::spawn(async move { copy(&copying, names, 2).await.is_ok() });
    sleep(4 * LATENCY).await;
    task.abort();
    assert!(task.await.is_err());
    sleep(10 * LATENCY).await;
    assert_eq!(*server.names(), ["cellar", "kitchen"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_closes_nothing() {
    let server = Arc::new(Server::default());
    let used = Arc::clone(&server);
    let task = tokio::spawn(async move {
        let body =
            async |_: &mut Connection| -> Result<(), Refused> { panic!("scheduled") };
        with_connection(&used, "cellar", body).await
    });
    assert!(task.await.expect_err("it panics").is_panic());
    sleep(10 * LATENCY).await;
    assert_eq!(*server.names(), ["cellar"]);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_of_the_same_name_is_closed() -> Result<(), Refused> {
    let server = Arc::new(Server::default());
    let (first, _second) = open_both(&server, ["cellar", "cellar"]).await?;
    first.close().await;
    assert_eq!(*server.names(), ["cellar"]);
    Ok(())
}
