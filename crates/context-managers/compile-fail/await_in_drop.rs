//~ E0728 `await` is only allowed inside `async` functions and blocks
//! A destructor that awaits: `drop` is not async.
//!
//! example: async_resource

use std::time::Duration;

use tokio::time::sleep;

struct Database;

impl Database {
    async fn close(&mut self) {
        sleep(Duration::from_millis(100)).await;
        println!("Closed");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.close().await;
    }
}

#[tokio::main]
async fn main() {
    let _database = Database;
}
