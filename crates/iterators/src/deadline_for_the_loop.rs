//! Give a whole loop one deadline, and keep the items that came before it.
//!
//! Put the loop in an `async` block, and `timeout` around the block, as `asyncio.timeout`
//! around `async for`. At the deadline, the block is dropped at its current await. A list
//! outside the block keeps what the loop has pushed.
//!
//! `timeout` returns a `Result` around the block's own `Result`, so write `??` after its
//! await. The first `?` returns the timeout's error (`Elapsed`), the second `?` the
//! loop's error. Your error type needs a `From<Elapsed>`.
//!
//! Trap: If you put `timeout` around `collect`, or around a comprehension, the deadline
//! loses the list as well. Push the items to a list outside the block.
//!
//! Trap: If all errors of the block come from `?`, the compiler cannot infer their type
//! ("type annotations needed"). End the block with `Ok::<_, SumError>(())`.
//!
//! See also: `take_until_deadline`, `timeout_each`, `timeouts`.
//!
//! asyncio: asyncio.timeout, async for, except

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_millis(500);

/// Why there is no sum.
#[derive(Debug, thiserror::Error)]
pub enum SumError {
    #[error("the deadline")]
    Late(#[from] Elapsed),
    #[error("page {0} is torn")]
    Torn(u32),
}

/// Yields the pages from this one on, 150 ms apart.
fn pages(first: u32) -> impl Stream<Item = u32> {
    stream! {
        for page in first.. {
            sleep(Duration::from_millis(150)).await;
            yield page;
        }
    }
}

/// Returns the sum of all page numbers, unless a page is torn or the loop times out.
pub async fn sum(pages: impl Stream<Item = u32>) -> Result<u32, SumError> {
    let mut sum = 0;
    let whole_loop = async {
        let mut pages = pin!(pages);
        while let Some(page) = pages.next().await {
            if page == 8 {
                return Err(SumError::Torn(page));
            }
            sum += page;
        }
        Ok(())
    };
    timeout(LIMIT, whole_loop).await??;
    Ok(sum)
}

#[tokio::main]
async fn main() {
    println!("Around a loop that may fail:");
    for pages in [pages(1).take(2), pages(7).take(2), pages(1).take(4)] {
        match sum(pages).await {
            Ok(sum) => println!("the sum is {sum}"),
            Err(error) => println!("{error}"),
        }
    }

    println!("Around the loop, with the list outside:");
    let mut found = Vec::new();
    let whole_loop = async {
        let mut pages = pin!(pages(1));
        while let Some(page) = pages.next().await {
            found.push(page);
        }
    };
    if timeout(LIMIT, whole_loop).await.is_err() {
        println!("until the deadline: {found:?}");
    }
}
