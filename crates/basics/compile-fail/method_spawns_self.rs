//~ E0521 borrowed data escapes outside of method
//! A method spawns a task that uses `&self`.
//!
//! example: borrow_or_spawn

use tokio::task::JoinHandle;

struct Client {
    host: String,
}

impl Client {
    async fn fetch(&self) -> String {
        format!("{}: home", self.host)
    }

    fn start(&self) -> JoinHandle<String> {
        tokio::spawn(self.fetch())
    }
}

#[tokio::main]
async fn main() {
    let client = Client {
        host: String::from("example.com"),
    };
    let page = client.start().await.expect("the task does not fail");
    println!("{page}");
}
