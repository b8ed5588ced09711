//! Timeouts on the real clock: a limit of zero, and code that blocks past its limit.
//!
//! On the virtual clock, Tokio jumps to the end of a limit of zero before the next turn.
//! So what a program sees has to be tried here.
//!
//! asyncio: asyncio.timeout
//! differs: a limit of zero ends with the next millisecond, in asyncio with the next turn

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::support::{millis, try_out};

async fn zero_turn() -> String {
    let mut expired = 0;
    for _ in 0..5 {
        expired += u32::from(timeout(Duration::ZERO, yield_now()).await.is_err());
    }
    match expired {
        0 => "expired: false",
        5 => "expired: true",
        _ => "expired: sometimes",
    }
    .to_owned()
}

async fn both_have_passed() -> String {
    let inner = async {
        std::thread::sleep(millis(200));
        sleep(millis(500)).await;
    };
    let body = async {
        let told = timeout(millis(50), inner).await.is_err();
        sleep(millis(500)).await;
        told
    };
    match timeout(millis(100), body).await {
        Ok(_) => "only the inner times out",
        Err(_) => "the outer times out",
    }
    .to_owned()
}

async fn outer_interrupts_behind_the_inner() -> String {
    let mut log = Vec::new();
    let body = async {
        if timeout(millis(50), sleep(millis(500))).await.is_err() {
            log.push("the inner times out");
        }
        std::thread::sleep(millis(100));
        sleep(millis(500)).await;
        log.push("the code behind goes on");
    };
    if timeout(millis(100), body).await.is_err() {
        log.push("the outer times out");
    }
    log.join(", ")
}

async fn late_value() -> String {
    let body = async {
        std::thread::sleep(millis(100));
        7
    };
    let value = timeout(millis(50), body).await;
    value.map_or("timed out".to_owned(), |value| format!("returns {value}"))
}

#[tokio::main]
async fn main() {
    try_out! { millis(2_000),
        "timeout.zero.turn-times-out" => zero_turn(),
        "timeout.nested.both-have-passed" => both_have_passed(),
        "timeout.nested.outer-interrupts" => outer_interrupts_behind_the_inner(),
        "timeout.value.late-without-await" => late_value(),
    }
}

//@ clock: real
