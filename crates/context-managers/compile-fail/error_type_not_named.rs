//~ E0282 type annotations needed
//! Nobody has said which type of error the `?` in the closure makes.
//!
//! example: scoped_resource

use std::num::ParseIntError;

async fn scoped<T, E>(body: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
    body().await
}

async fn read(number: &str) -> Result<u32, ParseIntError> {
    number.parse()
}

#[tokio::main]
async fn main() {
    let scope = scoped(async || {
        let number = read("3").await?;
        Ok(number)
    });
    println!("{} numbers", scope.await.iter().count());
}
