//! CPU-bound work, such as primes: run it in parallel outside the runtime, and cancel it.
//!
//! A calculation never awaits. So a task that calculates blocks its thread, and perhaps
//! all timers and sockets (`blocking_vs_async`). For a single calculation, the example
//! `heavy_computation` is enough. `CpuPool` below has N threads of the crate `rayon` for
//! all calculations. With `into_par_iter`, rayon's parallel iterator, one calculation can
//! use all these threads.
//!
//! A call such as `for_each` of rayon returns when all items are done, so the next line
//! starts afterwards. To feed lines of a file to rayon, read them on a thread that is not
//! rayon's, and spawn a job for each portion of some hundred lines.
//!
//! `CpuPool::run` passes a `CancellationToken` (of `tokio-util`) to the calculation. If
//! the future of `run` is dropped, the token is cancelled, and the calculation can stop.
//!
//! Bounds: At most N threads calculate; further calculations wait in a queue. Unbounded:
//! The queue. To limit it, acquire a permit of a semaphore before `run`.
//!
//! Trap: If you abort or time out the caller of `run`, a running calculation does not
//! stop until it checks the token. So call `is_cancelled` of the token between portions
//! of the work. Do not call it in the innermost loop, because each call takes a lock.
//!
//! Trap: If you start a calculation with `rayon::spawn` and it panics, the whole process
//! ends. Use `CpuPool::run`, which catches the panic and raises it again in the caller
//! that awaits the result.
//!
//! See also: `heavy_computation`, `cooperative_loops`, `back_pressure`.
//!
//! asyncio: loop.run_in_executor(ProcessPoolExecutor), asyncio.to_thread
//! asyncio: concurrent.futures.ProcessPoolExecutor

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Threads for calculations. The runtime keeps its own.
#[derive(Debug)]
pub struct CpuPool {
    threads: ThreadPool,
}

impl CpuPool {
    /// Returns a pool of `threads` threads; 0 means one for each processor.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread.
    pub fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        let threads = ThreadPoolBuilder::new().num_threads(threads).build()?;
        Ok(Self { threads })
    }

    /// Calls `calculate` on the first free thread, and returns its result. Its parallel
    /// iterators run on this pool. While a thread waits for the parts of others, it may
    /// begin another calculation, so hold no lock over a parallel iterator.
    ///
    /// If the future is dropped before a thread is free, the calculation never runs, but
    /// keeps its place in the queue. Dropping the future later cancels the token. The
    /// calculation runs until it checks the token.
    ///
    /// # Panics
    ///
    /// If the calculation panics, with the same payload.
    pub async fn run<T: Send + 'static>(
        &self,
        calculate: impl FnOnce(&CancellationToken) -> T + Send + 'static,
    ) -> T {
        let stop = CancellationToken::new();
        let _stop_when_dropped = stop.clone().drop_guard();
        let (sender, receiver) = oneshot::channel();
        self.threads.spawn(move || {
            if !stop.is_cancelled() {
                let outcome = catch_unwind(AssertUnwindSafe(|| calculate(&stop)));
                // Sending fails if the caller has given up.
                let _ = sender.send(outcome);
            }
        });
        let outcome = receiver
            .await
            .expect("it is stopped only by a drop of this");
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Counts the primes below a number, for at most ten seconds: `cargo run -- 10000000`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use rayon::iter::{IntoParallelIterator, ParallelIterator};

    fn is_prime(number: &u32) -> bool {
        let mut divisors = (2..).take_while(|divisor| *divisor <= number / divisor);
        divisors.all(|divisor| number % divisor > 0)
    }

    let end: u32 = std::env::args().nth(1).ok_or("usage: NUMBER")?.parse()?;
    let primes = async {
        let pool = CpuPool::new(0)?;
        let count = pool.run(move |stop| {
            let numbers = (2..end).into_par_iter();
            let numbers = numbers.take_any_while(|_| !stop.is_cancelled());
            numbers.filter(is_prime).count()
        });
        Ok::<_, ThreadPoolBuildError>(count.await)
    };
    let primes = tokio::time::timeout(std::time::Duration::from_secs(10), primes);
    println!("{} primes", primes.await??);
    Ok(())
}

//@ clock: real
//@ try: 100 -> 25 primes
