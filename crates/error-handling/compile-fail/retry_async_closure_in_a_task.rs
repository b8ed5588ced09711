//~ error implementation of `Send` is not general enough
//! A retry that takes an async closure, called in a task with one that borrows.
//!
//! example: retry

async fn retry<T, E>(mut call: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
    match call().await {
        Ok(value) => Ok(value),
        Err(_) => call().await,
    }
}

async fn fetch(url: &str) -> Result<u32, String> {
    Err(format!("{url} does not answer"))
}

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async {
        let url = String::from("api.com");
        retry(async || fetch(&url).await).await
    });
    println!("{:?}", task.await);
}
