//! Log errors with tracing: once, where they are handled, with the id of the request.
//!
//! A function that returns an error adds context and does not log it. The function that
//! handles the error logs it.
//!
//! Libraries only emit events (entries for a log); `main` installs the subscriber that
//! writes them. A span is a stretch of work with fields, here the request's id, which
//! appear on all its events. `instrument` runs a future in a span.
//!
//! Trap: If you spawn a task, it does not inherit the span, so its errors do not show the
//! request's id. Before you spawn the future, call `in_current_span` on it.
//!
//! Trap: If you enter a span with `span.enter()`, you get a guard, which leaves the span
//! when it is dropped. If a spawned task keeps this guard over an await, the compiler
//! reports "future cannot be sent between threads safely". Use `instrument`.
//!
//! In production: `tracing-subscriber` can also write JSON and filter by module.
//!
//! See also: `structured_logging`, `task_locals`, `panic_in_a_task`.
//!
//! asyncio: logging.Logger.error, logging.Filter, contextvars.ContextVar
//! differs: in asyncio a task inherits the request's id; in Tokio it inherits no span

use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::join_all;
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, error, info, info_span};

#[derive(Debug, Error)]
enum PaymentError {
    #[error("the card was declined")]
    Declined,
    #[error("the bank does not answer")]
    Unavailable,
}

async fn charge(order: u32) -> Result<(), PaymentError> {
    sleep(Duration::from_millis(100) * order).await;
    match order {
        2 => Err(PaymentError::Declined),
        3 => Err(PaymentError::Unavailable),
        _ => Ok(()),
    }
}

/// Returns its error and does not log it: the caller knows what the failure means.
async fn place(order: u32) -> Result<()> {
    charge(order).await.context("the order is not placed")
}

async fn place_noisily(order: u32) -> Result<()> {
    charge(order)
        .await
        .inspect_err(|error| error!("{error}"))
        .context("the order is not placed")
        .inspect_err(|error| error!("{error:#}"))
}

/// Logs its error itself, as nobody awaits its result.
async fn confirm() {
    info!("sending a mail");
    sleep(Duration::from_millis(350)).await;
    error!("the mail is not sent: the server is full");
}

/// Returns a span for the events of one request.
fn request(id: u32) -> Span {
    info_span!("request", id)
}

/// Answers a request, and handles its errors.
async fn handle(order: u32, tasks: &TaskTracker) {
    let status = match place(order).await {
        Ok(()) => {
            tasks.spawn(confirm().in_current_span());
            201
        }
        Err(error) => match error.downcast_ref() {
            Some(PaymentError::Declined) => {
                info!("{error:#}");
                402
            }
            _ => {
                error!("{error:#}");
                500
            }
        },
    };
    println!("Request {order}: {status}");
}

#[tokio::main]
async fn main() {
    // Delete the three lines in the middle to log the time, colours and module names: a
    // transcript has to be the same each time.
    tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .init();
    let tasks = TaskTracker::new();
    // From now on, `wait` returns as soon as all tasks have ended.
    tasks.close();

    println!("Logged at each level, one failure makes three lines:");
    async {
        if let Err(error) = place_noisily(3).await {
            error!("{error:#}");
        }
    }
    .instrument(request(3))
    .await;

    println!("Logged where it is handled:");
    let requests = 1..=3;
    join_all(requests.map(|id| handle(id, &tasks).instrument(request(id)))).await;
    tasks.wait().await;

    println!("A task that is not told its request:");
    async {
        tasks.spawn(confirm());
    }
    .instrument(request(4))
    .await;
    tasks.wait().await;
}

//@ order: sending a mail
