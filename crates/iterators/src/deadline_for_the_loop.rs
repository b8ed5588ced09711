//! Give a whole loop one deadline, and keep what came in before it.
//!
//! `timeout` around a block with the loop is `asyncio.timeout` around `async for`: the
//! block is dropped wherever it waits, in the body too, and what it pushed into a list
//! outside stays. With a `?` in it, the block ends with `Ok::<_, Error>(())`, or else
//! "type annotations needed", and `timeout(..).await??` asks twice: in time, and well?
//! The trap is `timeout` around `collect` (or a comprehension), which drops the list as
//! well. Where the body must not be cut off, `take_until` a sleep ends the stream at the
//! deadline and lets the body finish. For a limit on each single item see `timeout_each`.
//!
//! asyncio: asyncio.timeout, asyncio.timeout_at, async for, anext, async comprehension

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_millis(500);

/// Yields the pages from this one on, 150 ms apart.
fn pages(first: u32) -> impl Stream<Item = u32> {
    stream! {
        for page in first.. {
            sleep(Duration::from_millis(150)).await;
            yield page;
        }
    }
}

/// Takes 150 ms for a page.
async fn store(page: u32) {
    println!("storing {page}");
    sleep(Duration::from_millis(150)).await;
    println!("stored {page}");
}

fn check(page: u32) -> io::Result<u32> {
    if page == 8 {
        return Err(io::Error::other("page 8 is torn"));
    }
    Ok(page)
}

/// The sum of all page numbers, if it is to be had in time.
pub async fn sum(pages: impl Stream<Item = u32>) -> io::Result<u32> {
    let mut sum = 0;
    let whole_loop = async {
        let mut pages = pin!(pages);
        while let Some(page) = pages.next().await {
            sum += check(page)?;
        }
        Ok::<_, io::Error>(())
    };
    timeout(LIMIT, whole_loop).await??;
    Ok(sum)
}

pub async fn run() {
    println!("Around a loop that may fail:");
    for pages in [pages(1).take(2), pages(7).take(2), pages(1).take(4)] {
        match sum(pages).await {
            Ok(sum) => println!("the sum is {sum}"),
            Err(error) if error.kind() == ErrorKind::TimedOut => println!("the deadline"),
            Err(error) => println!("{error}"),
        }
    }

    println!("Around the loop, the list outside is kept:");
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

    println!("Around the collecting, nothing is:");
    // async with asyncio.timeout(LIMIT): found = [page async for page in pages(1)]
    match timeout(LIMIT, pages(1).collect::<Vec<_>>()).await {
        Ok(found) => println!("all: {found:?}"),
        Err(_) => println!("the deadline, and no list"),
    }

    println!("Collected until the deadline:");
    let found: Vec<u32> = pages(1).take_until(sleep(LIMIT)).collect().await;
    println!("{found:?}");
    let four = pages(1).take(4);
    let found: Vec<u32> = four.take_until(sleep(2 * LIMIT)).collect().await;
    println!("{found:?}");

    println!("Around the loop, its body is cut off:");
    let whole_loop = pages(1).for_each(store);
    if timeout(LIMIT, whole_loop).await.is_err() {
        println!("the deadline");
    }

    println!("On the stream alone, the body finishes:");
    let mut in_time = pin!(pages(1).take_until(sleep(LIMIT)));
    while let Some(page) = in_time.next().await {
        store(page).await;
    }
    println!("the end");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
