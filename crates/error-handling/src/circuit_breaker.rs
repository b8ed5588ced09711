//! Circuit breaker: stop calling a service that fails, and probe it later.
//!
//! While the circuit is closed, calls pass. After some consecutive failures, the circuit
//! opens and rejects calls immediately. After `open_duration`, it is half-open: one call,
//! the probe, passes. If the probe succeeds, the circuit closes; if it fails, the circuit
//! opens again.
//!
//! Bounds: Unbounded: Nothing limits the calls while the circuit is closed. See the
//! example `bulkhead`.
//!
//! Trap: If you put a `timeout` around the breaker, it cancels the call, and a cancelled
//! call does not count. So a service that hangs never opens the circuit. Put the
//! `timeout` into the call.
//!
//! In production: The crate `failsafe` can also open the circuit at a rate of failures,
//! and lengthen each open period. But while the circuit is half-open, `failsafe` lets all
//! calls pass, not only one probe. Its last release was in 2024.
//!
//! See also: `retry`, `bulkhead`, `timeouts`, `choose_a_crate`.
//!
//! asyncio: asyncio.timeout, asyncio.CancelledError, asyncio.gather, except, raise

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Rejects calls to a service that fails. Share one breaker for each service.
pub struct CircuitBreaker<E> {
    failure_threshold: u32,
    open_duration: Duration,
    is_failure: Box<dyn Fn(&E) -> bool + Send + Sync>,
    on_change: Box<dyn Fn(State) + Send + Sync>,
    circuit: Mutex<Circuit>,
}

struct Circuit {
    phase: Phase,
    /// How often the circuit has opened and closed. A call admitted in an earlier
    /// generation does not count.
    generation: u64,
}

#[derive(Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { since: Instant, probing: bool },
}

/// What a [`CircuitBreaker`] does with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Lets the call pass.
    Closed,
    /// Rejects the call.
    Open,
    /// Lets the call pass as the probe, or rejects it while a probe runs.
    HalfOpen,
}

/// Why a call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("the circuit is open")]
    Open {
        /// How much longer it stays open. `retry` takes this as `Retryable::After`.
        retry_after: Duration,
    },
    /// The probe is running.
    #[error("the circuit is half-open")]
    HalfOpen,
}

impl<E> CircuitBreaker<E> {
    /// Returns a closed circuit, which opens for `open_duration` after
    /// `failure_threshold` consecutive failures.
    ///
    /// `is_failure` says whether the service is at fault. Any other error, such as a 404,
    /// counts as a success.
    ///
    /// # Panics
    ///
    /// If `failure_threshold` is 0.
    pub fn new(
        failure_threshold: u32,
        open_duration: Duration,
        is_failure: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) -> Self {
        assert!(failure_threshold > 0, "it would be open from the start");
        Self {
            failure_threshold,
            open_duration,
            is_failure: Box::new(is_failure),
            on_change: Box::new(|_| {}),
            circuit: Mutex::new(Circuit {
                phase: Phase::Closed { failures: 0 },
                generation: 0,
            }),
        }
    }

    /// Sets a closure to call when the circuit opens or closes, for logs and metrics. The
    /// call that changes the state runs it. When the circuit becomes half-open, nothing
    /// runs.
    pub fn on_change(mut self, report: impl Fn(State) + Send + Sync + 'static) -> Self {
        self.on_change = Box::new(report);
        self
    }

    /// Calls the closure and awaits its future, unless the circuit rejects the call.
    ///
    /// A call counts when it ends, and only if the circuit has neither opened nor closed
    /// meanwhile. A call that is dropped or panics does not count. If such a call was the
    /// probe, the next call is the probe. A probe that never ends keeps all other calls
    /// out.
    ///
    /// `breaker.call(call).await??` converts both errors: the rejection and the call's.
    ///
    /// # Errors
    ///
    /// [`Rejected`], immediately. The closure was not called.
    ///
    /// # Panics
    ///
    /// When the call, `is_failure` or the closure of `on_change` does.
    pub async fn call<T, Fut>(
        &self,
        call: impl FnOnce() -> Fut,
    ) -> Result<Result<T, E>, Rejected>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        let admitted = self.admit()?;
        let result = call().await;
        let failed = result.as_ref().is_err_and(|error| (self.is_failure)(error));
        admitted.record(failed);
        Ok(result)
    }

    /// Returns the state, for logs and health checks.
    pub fn state(&self) -> State {
        match self.lock().phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { since, .. } if since.elapsed() < self.open_duration => {
                State::Open
            }
            Phase::Open { .. } => State::HalfOpen,
        }
    }

    fn admit(&self) -> Result<Admitted<'_, E>, Rejected> {
        let mut circuit = self.lock();
        if let Phase::Open { since, probing } = &mut circuit.phase {
            let retry_after = self.open_duration.saturating_sub(since.elapsed());
            if !retry_after.is_zero() {
                return Err(Rejected::Open { retry_after });
            }
            if *probing {
                return Err(Rejected::HalfOpen);
            }
            *probing = true;
        }
        Ok(Admitted {
            breaker: self,
            generation: circuit.generation,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> fmt::Debug for CircuitBreaker<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CircuitBreaker({:?})", self.state())
    }
}

/// A call that was let through.
struct Admitted<'a, E> {
    breaker: &'a CircuitBreaker<E>,
    generation: u64,
}

impl<E> Admitted<'_, E> {
    fn record(self, failed: bool) {
        let mut circuit = self.breaker.lock();
        if circuit.generation != self.generation {
            return;
        }
        let threshold = self.breaker.failure_threshold;
        let (failures, is_probe) = match circuit.phase {
            Phase::Closed { failures } => (failures + 1, false),
            Phase::Open { .. } => (threshold, true),
        };
        let opens = failed && failures >= threshold;
        circuit.phase = match (opens, failed) {
            (true, _) => Phase::Open {
                since: Instant::now(),
                probing: false,
            },
            (false, true) => Phase::Closed { failures },
            (false, false) => Phase::Closed { failures: 0 },
        };
        let changed = opens || is_probe;
        circuit.generation += u64::from(changed);
        // Unlocked first: the closure may ask for the state.
        drop(circuit);
        if changed {
            (self.breaker.on_change)(if opens { State::Open } else { State::Closed });
        }
    }
}

impl<E> Drop for Admitted<'_, E> {
    fn drop(&mut self) {
        let mut circuit = self.breaker.lock();
        // Open in the same generation: the call is a probe that was dropped or panicked.
        let is_same = circuit.generation == self.generation;
        if let (true, Phase::Open { probing, .. }) = (is_same, &mut circuit.phase) {
            *probing = false;
        }
    }
}

/// Connects to a server five times: `cargo run -- localhost:5432`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: HOST:PORT")?;
    let breaker =
        CircuitBreaker::new(3, Duration::from_secs(10), |_: &std::io::Error| true)
            .on_change(|state| println!("the circuit: {state:?}"));
    for _ in 0..5 {
        let connect = async || {
            let connect = tokio::net::TcpStream::connect(&address);
            tokio::time::timeout(Duration::from_secs(2), connect).await?
        };
        match breaker.call(connect).await {
            Ok(Ok(_)) => println!("connected"),
            Ok(Err(error)) => println!("{error}"),
            Err(rejected) => println!("{rejected}"),
        }
    }
    Ok(())
}

//@ try: 127.0.0.1:1 -> the circuit is open
