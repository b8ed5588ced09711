//~ error captured variable cannot escape `FnMut` closure body
//! A retried call that needs `&mut self`: its future would outlive the closure's call.
//!
//! example: retry

use std::io;

struct Client {
    sequence: u64,
}

impl Client {
    async fn send(&mut self) -> io::Result<u64> {
        self.sequence += 1;
        Ok(self.sequence)
    }
}

async fn twice<Fut: Future<Output = io::Result<u64>>>(
    mut call: impl FnMut() -> Fut,
) -> io::Result<u64> {
    match call().await {
        Ok(value) => Ok(value),
        Err(_) => call().await,
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut client = Client { sequence: 0 };
    println!("{}", twice(|| client.send()).await?);
    Ok(())
}
