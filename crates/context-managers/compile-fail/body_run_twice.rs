//~ error implementation of `Send` is not general enough
//! In a task, an async closure that borrows is the body of what may run it again.
//!
//! example: nested_scopes

async fn until_done(mut body: impl AsyncFnMut() -> bool) {
    while !body().await {}
}

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async {
        let rows = vec![1, 2, 3];
        until_done(async || {
            println!("copied {rows:?}");
            true
        })
        .await;
    });
    task.await.expect("the task does not fail");
}
