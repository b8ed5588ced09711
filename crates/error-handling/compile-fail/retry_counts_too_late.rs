//~ error captured variable cannot escape `FnMut` closure body
//! A closure that runs for each attempt changes a captured variable in its future.
//!
//! example: retry

async fn retry<T, E, Fut>(mut call: impl FnMut() -> Fut) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    match call().await {
        Ok(value) => Ok(value),
        Err(_) => call().await,
    }
}

async fn fetch(number: u32) -> Result<u32, String> {
    Err(format!("try {number} failed"))
}

#[tokio::main]
async fn main() {
    let mut number = 0;
    let fetched = retry(|| async {
        number += 1;
        fetch(number).await
    });
    println!("{:?}", fetched.await);
}
