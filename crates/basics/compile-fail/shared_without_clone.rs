//~ E0277 the trait `Clone` is not implemented for `std::io::Error`
//! Several waiters share a result whose error cannot be cloned: put it into an `Arc`.
//!
//! example: shared_future

use std::io;

use futures::future::FutureExt;

async fn read() -> Result<String, io::Error> {
    Err(io::ErrorKind::NotFound.into())
}

#[tokio::main]
async fn main() {
    let shared = read().shared();
    println!("{}", shared.await.is_err());
}
