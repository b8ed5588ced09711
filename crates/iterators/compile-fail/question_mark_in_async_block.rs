//~ E0282 type annotations needed
//! `?` in an async block whose end does not say what the error is.
//!
//! example: deadline_for_the_loop

use std::io;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::timeout;

fn check(page: u32) -> io::Result<u32> {
    Ok(page)
}

async fn check_all() {
    let whole_loop = async {
        let mut pages = stream::iter([1, 2]);
        while let Some(page) = pages.next().await {
            check(page)?;
        }
        Ok(())
    };
    if timeout(Duration::from_millis(500), whole_loop)
        .await
        .is_err()
    {
        println!("the deadline");
    }
}

#[tokio::main]
async fn main() {
    check_all().await;
}
