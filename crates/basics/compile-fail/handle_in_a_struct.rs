//~ E0277 JoinHandle<String>` is not a future
//! A method awaits a handle through `&self`: take `&mut self`, await `&mut self.task`.
//!
//! example: task_in_a_struct

use tokio::task::{JoinError, JoinHandle};

struct Download {
    task: JoinHandle<String>,
}

impl Download {
    async fn page(&self) -> Result<String, JoinError> {
        (&self.task).await
    }
}

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async { String::from("a page") });
    let download = Download { task };
    println!("{}", download.page().await.expect("the task does not fail"));
}
