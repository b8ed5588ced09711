//! Heartbeats next to a calculation; calculations that share a pool, or are given up.

use std::error::Error;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use futures::future::join_all;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use tokio::join;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cpu_bound::CpuPool;

const PORTION: Duration = Duration::from_millis(100);

pub fn is_prime(number: &u32) -> bool {
    let mut divisors = (2..).take_while(|divisor| *divisor <= number / divisor);
    *number > 1 && divisors.all(|divisor| !number.is_multiple_of(divisor))
}

/// How many primes there are in the thousand of this number. It keeps its thread for a
/// `PORTION`, with a rest that stands for more work.
fn primes_in(thousand: u32) -> usize {
    let until = std::time::Instant::now() + PORTION;
    let numbers = thousand * 1000..(thousand + 1) * 1000;
    let primes = numbers.filter(is_prime).count();
    thread::sleep(until.saturating_duration_since(std::time::Instant::now()));
    primes
}

/// Looks at the flag between two portions.
fn count_primes(thousands: Range<u32>, stop: &CancellationToken) -> usize {
    let portions = thousands.take_while(|_| !stop.is_cancelled());
    portions.map(primes_in).sum()
}

async fn heartbeat() {
    for beat in 1..=3 {
        println!("heartbeat {beat}");
        sleep(Duration::from_millis(100)).await;
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Each part begins at its time, or later if the one before took longer.
    let first = Instant::now() + Duration::from_millis(300);
    let mut part = interval_at(first, Duration::from_millis(800));
    let pool = CpuPool::new(2)?;
    let never = CancellationToken::new();

    part.tick().await;
    println!("A heartbeat beside a calculation:");
    let calculation = async { println!("primes: {}", count_primes(0..3, &never)) };
    join!(biased; heartbeat(), calculation);

    part.tick().await;
    println!("Beside a calculation in a thread:");
    let calculation = spawn_blocking(|| (0..3).map(primes_in).sum::<usize>());
    let ((), primes) = join!(heartbeat(), calculation);
    println!("primes: {}", primes?);

    part.tick().await;
    println!("One calculation of four portions in a pool of two:");
    let primes = pool.run(|_| (0..4).into_par_iter().map(primes_in).sum::<usize>());
    println!("primes: {}", primes.await);

    part.tick().await;
    println!("Three calculations in a pool of two:");
    let calculations = [("A", 2), ("B", 3), ("C", 2)].map(|(name, end)| {
        let primes = pool.run(move |stop| count_primes(0..end, stop));
        async move { println!("{name}: {}", primes.await) }
    });
    join_all(calculations).await;

    part.tick().await;
    println!("Aborted after 0.15 s:");
    let calculation = spawn_blocking(|| (0..3).map(primes_in).sum::<usize>());
    sleep(Duration::from_millis(150)).await;
    calculation.abort();
    println!("primes: {}", calculation.await?);

    let pool = CpuPool::new(1)?;
    let limit = Duration::from_millis(250);
    for looks in [false, true] {
        part.tick().await;
        // The first one ends some time; the second ends only by the flag.
        let (ignores, end) = match looks {
            false => ("ignores", 5),
            true => ("looks at", u32::MAX / 1000),
        };
        println!("The caller gives up after 0.25 s; the calculation {ignores} the flag:");
        let never = CancellationToken::new();
        let calculation = pool.run(move |stop| {
            count_primes(0..end, if looks { stop } else { &never });
        });
        if timeout(limit, calculation).await.is_err() {
            println!("gave up");
        }
        let primes = pool.run(|stop| count_primes(0..1, stop)).await;
        println!("next calculation, primes: {primes}");
    }
    Ok(())
}
