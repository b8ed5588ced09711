//~ E0597 `folders` does not live long enough
//! A task of a scope borrows what the function owns that waits for the scope.
//!
//! example: structured_scope

use tokio::task::JoinSet;

struct Scope(JoinSet<()>);

impl Scope {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task);
    }
}

async fn scope(body: impl AsyncFnOnce(&mut Scope)) {
    let mut scope = Scope(JoinSet::new());
    body(&mut scope).await;
    scope.0.join_all().await;
}

#[tokio::main]
async fn main() {
    let folders = vec!["home", "var"];
    scope(async |scope| {
        for folder in &folders {
            scope.spawn(async move { println!("{folder}") });
        }
    })
    .await;
}
