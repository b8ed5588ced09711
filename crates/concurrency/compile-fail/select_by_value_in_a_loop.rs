//~ E0382 use of moved value: `work`
//! `select!` takes a future by value, and the loop comes round again.
//!
//! example: wait_for_first

use std::time::Duration;

use tokio::select;
use tokio::time::sleep;

async fn fetch() -> u32 {
    sleep(Duration::from_secs(1)).await;
    42
}

#[tokio::main]
async fn main() {
    let work = fetch();
    loop {
        select! {
            result = work => {
                println!("got {result}");
                return;
            }
            () = sleep(Duration::from_millis(300)) => println!("still waiting"),
        }
    }
}
