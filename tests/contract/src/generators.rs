//! Async generators and comprehensions: what CPython's tests ask of them, on streams.
//!
//! The counterpart is `stream!`, unless the clause names another one behind an `@`.
//!
//! asyncio: yield, aclose, contextlib.aclosing, anext, async comprehension
//! differs: a stream is dropped, runs no line after its current await, and can go on

#![expect(
    clippy::never_loop,
    reason = "it is what a port of `async for` with `break` writes"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_stream::{stream, try_stream};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::select;
use tokio::time::{sleep, timeout};

use crate::support::{millis, settle, try_out};

fn two() -> impl Stream<Item = u32> {
    stream! {
        yield 1;
        sleep(millis(10)).await;
        yield 2;
    }
}

fn unfolded() -> impl Stream<Item = u32> {
    stream::unfold(0, |last: u32| async move {
        (last < 2).then_some((last + 1, last + 1))
    })
}

fn try_unfolded() -> impl Stream<Item = u32> {
    let next = |last: u32| async move {
        Ok::<_, ()>((last < 2).then_some((last + 1, last + 1)))
    };
    stream::try_unfold(0, next).map(Result::unwrap)
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(" ")
}

/// Returns what `next` does so many times.
async fn told(items: impl Stream<Item = u32>, count: usize) -> String {
    told_results(items.map(Ok::<_, ()>), count).await
}

async fn told_results<E>(
    items: impl Stream<Item = Result<u32, E>>,
    count: usize,
) -> String {
    let (mut items, mut seen) = (pin!(items), Vec::new());
    for _ in 0..count {
        seen.push(match items.next().await {
            Some(Ok(item)) => item.to_string(),
            Some(Err(_)) => "error".to_owned(),
            None => "end".to_owned(),
        });
    }
    seen.join(", ")
}

// Items, the end, errors.

async fn items() -> String {
    joined(two().collect::<Vec<_>>().await)
}

async fn no_items() -> String {
    told(stream::empty(), 1).await
}

/// Waits for items and for a timer by turns, even after the end.
async fn end_in_select(items: impl Stream<Item = u32>) -> String {
    let (mut items, mut ended, mut ticks) = (pin!(items), false, 0);
    while ticks < 3 {
        select! {
            item = items.next() => {
                if item.is_none() {
                    ended = true;
                    sleep(millis(20)).await;
                    ticks += 1;
                }
            }
            () = sleep(millis(20)) => {}
        }
    }
    format!("ended: {ended}, {ticks} ticks")
}

async fn error_then_end() -> String {
    let failing = try_stream! {
        yield 1;
        Err("lost")?;
        yield 2;
    };
    told_results::<&str>(failing, 3).await
}

async fn error_of_iterator() -> String {
    let mut last = 0;
    let numbers = stream::repeat_with(move || {
        last += 1;
        if last == 2 { Err("lost") } else { Ok(last) }
    });
    told_results(numbers, 3).await
}

async fn anext_default() -> String {
    let (mut items, mut seen) = (pin!(two()), Vec::new());
    for _ in 0..3 {
        seen.push(
            items
                .next()
                .await
                .map_or("none".to_owned(), |it| it.to_string()),
        );
    }
    seen.join(" ")
}

fn slow() -> BoxStream<'static, u32> {
    let slow = stream! {
        sleep(millis(50)).await;
        yield 1;
        yield 2;
    };
    slow.boxed()
}

async fn together() -> String {
    let items = tokio::sync::Mutex::new(slow());
    let next = async || items.lock().await.next().await;
    let (_, second) = tokio::join!(next(), next());
    format!("the second gets {}", second.unwrap())
}

async fn anext_cancelled() -> String {
    let mut items = slow();
    assert!(timeout(millis(10), items.next()).await.is_err());
    told(items, 2).await
}

async fn for_else() -> String {
    let (mut items, mut seen) = (pin!(two()), Vec::new());
    while let Some(item) = items.next().await {
        seen.push(item.to_string());
    }
    seen.push("else".to_owned());
    seen.join(" ")
}

async fn for_break() -> String {
    let mut items = pin!(two());
    let mut first = 0;
    while let Some(item) = items.next().await {
        first = item;
        break;
    }
    format!("{first}, then {}", told(items, 2).await)
}

async fn error_of_body() -> String {
    let body = async || {
        let mut items = pin!(two());
        while let Some(item) = items.next().await {
            Err(item)?;
        }
        Ok::<_, u32>(())
    };
    match body().await {
        Ok(()) => "no error",
        Err(_) => "the error passes",
    }
    .to_owned()
}

// The end of a stream.

type Seen = Arc<Mutex<Vec<&'static str>>>;

/// The clean-up of a stream.
struct Finally(Seen);

impl Drop for Finally {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("finally");
    }
}

/// Returns a stream, and the steps that it notes.
fn closes() -> (BoxStream<'static, u32>, Seen) {
    let seen = Seen::default();
    let steps = Arc::clone(&seen);
    let items = stream! {
        let _finally = Finally(Arc::clone(&steps));
        steps.lock().unwrap().push("starts");
        yield 1;
        steps.lock().unwrap().push("goes on");
        yield 2;
    };
    (items.boxed(), seen)
}

fn steps(seen: &Seen) -> String {
    seen.lock().unwrap().join(", ")
}

async fn aclose() -> String {
    let (mut items, seen) = closes();
    items.next().await;
    drop(items);
    steps(&seen)
}

async fn aclose_unstarted() -> String {
    let (items, seen) = closes();
    drop(items);
    format!("{} steps", seen.lock().unwrap().len())
}

async fn aclosing_error() -> String {
    let (items, seen) = closes();
    let body = async move || {
        let mut items = items;
        while let Some(item) = items.next().await {
            Err(item)?;
        }
        Ok::<_, u32>(())
    };
    match body().await {
        Ok(()) => "no error".to_owned(),
        Err(_) => format!("{}, the error", steps(&seen)),
    }
}

async fn break_alone() -> String {
    let (mut items, seen) = closes();
    while items.next().await.is_some() {
        break;
    }
    format!("after the break: {}", steps(&seen))
}

async fn cancelled_consumer() -> String {
    let (mut items, seen) = closes();
    let consuming = tokio::spawn(async move {
        while items.next().await.is_some() {
            sleep(millis(10_000)).await;
        }
    });
    settle().await;
    consuming.abort();
    let _ = consuming.await;
    steps(&seen)
}

// Values into a generator.

/// A generator that takes values: a struct with a method.
struct Total(u32);

impl Total {
    async fn send(&mut self, number: u32) -> u32 {
        self.0 += number;
        self.0
    }
}

async fn asend() -> String {
    let mut total = Total(0);
    let mut seen = Vec::new();
    for number in [1, 2, 3] {
        seen.push(total.send(number).await);
    }
    joined(seen)
}

// Comprehensions.

async fn comprehensions() -> String {
    let as_list: Vec<u32> = two().map(|item| item + 100).collect().await;
    let as_set: BTreeSet<u32> = two().collect().await;
    let as_map: BTreeMap<u32, u32> = two().map(|item| (item, item * 2)).collect().await;
    format!(
        "{}; {}; {} {}",
        joined(as_list),
        joined(as_set),
        as_map[&1],
        as_map[&2]
    )
}

async fn condition() -> String {
    let even = stream::iter(0..6).filter(|item| std::future::ready(item % 2 == 0));
    joined(even.collect::<Vec<u32>>().await)
}

async fn awaited_condition() -> String {
    let even = stream::iter(0..6).filter_map(|item| async move {
        sleep(millis(1)).await;
        (item % 2 == 0).then_some(item)
    });
    joined(even.collect::<Vec<u32>>().await)
}

async fn nested() -> String {
    let pairs = two().flat_map(|a| two().map(move |b| format!("{a}{b}")));
    joined(pairs.collect::<Vec<_>>().await)
}

async fn lazy() -> String {
    let started = AtomicUsize::new(0);
    let items = stream::iter(0..6).then(|item: u32| {
        let started = &started;
        async move {
            started.fetch_add(1, Ordering::SeqCst);
            item
        }
    });
    let before = started.load(Ordering::SeqCst);
    pin!(items).next().await;
    let after = started.load(Ordering::SeqCst);
    format!("{before} before, {after} after the first")
}

fn countdown(number: u32) -> BoxStream<'static, u32> {
    let items = stream! {
        if number > 0 {
            yield number;
            for await item in countdown(number - 1) {
                yield item;
            }
        }
    };
    items.boxed()
}

async fn recursive() -> String {
    joined(countdown(3).collect::<Vec<_>>().await)
}

#[tokio::main]
async fn main() {
    try_out! { millis(2_000),
        "generator.items.in-order" => items(),
        "generator.items.none" => no_items(),
        "generator.anext.end-again" => told(two(), 4),
        "generator.anext.end-again@unfold" => told(unfolded(), 4),
        "generator.anext.end-again@unfold-fuse" => told(unfolded().fuse(), 4),
        "generator.anext.end-again@try_unfold" => told(try_unfolded(), 4),
        "generator.anext.end-in-select" => end_in_select(two()),
        "generator.anext.end-in-select@unfold" => end_in_select(unfolded()),
        "generator.error.then-end" => error_then_end(),
        "iterator.error.goes-on" => error_of_iterator(),
        "anext.default.at-end" => anext_default(),
        "generator.anext.two-together-refused@lock" => together(),
        "generator.anext.cancelled-ends-it" => anext_cancelled(),
        "for.else.at-end" => for_else(),
        "for.break.keeps-generator" => for_break(),
        "for.body.error-passes" => error_of_body(),
        "generator.aclose.runs-finally" => aclose(),
        "generator.aclose.not-started" => aclose_unstarted(),
        "aclosing.error.closes" => aclosing_error(),
        "for.break.leaves-it-open" => break_alone(),
        "generator.forgotten.is-closed" => aclose(),
        "aclosing.cancelled.closes" => cancelled_consumer(),
        "generator.asend.gives-value@struct" => asend(),
        "comprehension.list-set-dict" => comprehensions(),
        "comprehension.condition" => condition(),
        "comprehension.awaited-condition" => awaited_condition(),
        "comprehension.nested" => nested(),
        "generator_expression.lazy" => lazy(),
        "generator.recursive" => recursive(),
    }
}
