//! Circuit breaker: stop calling a service that fails, and let one call try it later.
//!
//! Closed, calls pass; after some failures in a row it opens, and calls are rejected at
//! once; after a while it is half-open, and one call, the trial, decides. A rejection is
//! an error of another type than a failure. The trap, in asyncio too, is a `timeout`
//! around the breaker: it cancels the call, which then counts as nothing, so a service
//! that hangs never opens the circuit. Put it into the call. A trial that is cancelled or
//! panics must not be taken for running for ever; here `Drop` makes way for the next. The
//! crate `failsafe` (newest release: 2024) does more: it can open at a rate of failures,
//! and stay open for longer each time, but half-open it lets all calls pass. `tower` has
//! no breaker so far.
//!
//! asyncio: asyncio.timeout, asyncio.CancelledError, asyncio.gather, except, raise

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Rejects calls of a service that fails. For each service one, shared by reference or in
/// an `Arc` by all who call it.
pub struct CircuitBreaker<E> {
    threshold: u32,
    rest: Duration,
    counts: Box<dyn Fn(&E) -> bool + Send + Sync>,
    circuit: Mutex<Circuit>,
}

struct Circuit {
    phase: Phase,
    /// How often the phase has changed, which tells calls of an earlier one.
    changes: u64,
}

#[derive(Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { since: Instant },
    HalfOpen { trial_runs: bool },
}

/// What a [`CircuitBreaker`] does with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Lets it pass.
    Closed,
    /// Rejects it.
    Open,
    /// Lets it pass as the trial, or rejects it while one runs.
    HalfOpen,
}

/// Why a call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The circuit is open.
    Open {
        /// For how long it still is. `retry` takes that as the time to try after.
        left: Duration,
    },
    /// The trial runs, whose outcome is not known.
    HalfOpen,
}

/// Why a call gives no value. `source` is not set, as not all that a call can fail with
/// is an `Error`; the text is that of the error, which the variant holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// It was not made.
    Rejected(Rejected),
    /// It failed. Not each such error counts.
    Failed(E),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open { .. } => "rejected, as the circuit is open",
            Self::HalfOpen => "rejected, as the trial runs",
        })
    }
}

impl Error for Rejected {}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> Error for CallError<E> {}

impl<E> CircuitBreaker<E> {
    /// A closed circuit, which opens after `threshold` failures in a row, for `rest`.
    ///
    /// Only an error for which `counts` is true is a failure: the service did not do its
    /// part. Any other is an answer, as a value is, and ends the row.
    ///
    /// # Panics
    ///
    /// If `threshold` is 0.
    pub fn new(
        threshold: u32,
        rest: Duration,
        counts: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) -> Self {
        assert!(
            threshold > 0,
            "after 0 failures it would be open from the start"
        );
        let phase = Phase::Closed { failures: 0 };
        let circuit = Mutex::new(Circuit { phase, changes: 0 });
        Self {
            threshold,
            rest,
            counts: Box::new(counts),
            circuit,
        }
    }

    /// Awaits the future, or drops it unused if the call is rejected.
    ///
    /// It takes a future and no closure, as it makes one call at most, and a future that
    /// is not awaited does nothing.
    ///
    /// A call counts when it ends, and only if the circuit has not changed since: what
    /// began before it opened neither closes it nor keeps it open. A call that is dropped
    /// or panics counts as nothing; if it was the trial, the next call is one. So put a
    /// deadline into the future, and not around this; without any, a trial that never
    /// ends keeps all others out.
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`], or what the call failed with.
    ///
    /// # Panics
    ///
    /// When the future or `counts` does.
    pub async fn call<T>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let pass = self.admit().map_err(CallError::Rejected)?;
        let result = future.await;
        let failed = result.as_ref().is_err_and(|error| (self.counts)(error));
        pass.end(failed);
        result.map_err(CallError::Failed)
    }

    /// For logs and health checks. It may have changed when it is read.
    pub fn state(&self) -> State {
        match self.lock().phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { since } if since.elapsed() < self.rest => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    fn admit(&self) -> Result<Pass<'_, E>, Rejected> {
        let mut circuit = self.lock();
        let mut is_trial = true;
        match circuit.phase {
            Phase::Closed { .. } => is_trial = false,
            Phase::Open { since } => {
                let left = self.rest.saturating_sub(since.elapsed());
                if !left.is_zero() {
                    return Err(Rejected::Open { left });
                }
                circuit.change(Phase::HalfOpen { trial_runs: true });
            }
            Phase::HalfOpen { trial_runs: true } => return Err(Rejected::HalfOpen),
            Phase::HalfOpen { trial_runs: false } => {
                circuit.phase = Phase::HalfOpen { trial_runs: true };
            }
        }
        let changes = circuit.changes;
        Ok(Pass {
            breaker: self,
            changes,
            is_trial,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        // Nothing that is called under the lock can leave the circuit half changed.
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Circuit {
    fn change(&mut self, phase: Phase) {
        self.phase = phase;
        self.changes += 1;
    }
}

/// A call that was let through.
struct Pass<'a, E> {
    breaker: &'a CircuitBreaker<E>,
    /// The number of changes when it began.
    changes: u64,
    is_trial: bool,
}

impl<E> Pass<'_, E> {
    fn end(self, failed: bool) {
        let mut circuit = self.breaker.lock();
        if circuit.changes != self.changes {
            return;
        }
        match (circuit.phase, failed) {
            (Phase::Closed { failures }, true)
                if failures + 1 < self.breaker.threshold =>
            {
                let failures = failures + 1;
                circuit.phase = Phase::Closed { failures };
            }
            (Phase::Closed { .. }, false) => {
                circuit.phase = Phase::Closed { failures: 0 };
            }
            (_, true) => circuit.change(Phase::Open {
                since: Instant::now(),
            }),
            (_, false) => circuit.change(Phase::Closed { failures: 0 }),
        }
    }
}

impl<E> Drop for Pass<'_, E> {
    fn drop(&mut self) {
        if !self.is_trial {
            return;
        }
        let mut circuit = self.breaker.lock();
        // Only a trial that has not ended finds the circuit so, with as many changes.
        if circuit.changes == self.changes
            && let Phase::HalfOpen { trial_runs } = &mut circuit.phase
        {
            *trial_runs = false;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ServiceError {
    Unavailable,
    NotFound,
    NoAnswer,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "503 Service Unavailable",
            Self::NotFound => "404 Not Found",
            Self::NoAnswer => "no answer in time",
        })
    }
}

impl Error for ServiceError {}

/// Not those that are the caller's own fault.
fn counts(error: &ServiceError) -> bool {
    match error {
        ServiceError::Unavailable | ServiceError::NoAnswer => true,
        ServiceError::NotFound => false,
    }
}

/// What the service does with a call.
#[derive(Clone, Copy)]
enum Answer {
    Value,
    Unavailable,
    NotFound,
    Hangs,
}

/// A service that does with each call as it was told to, and answers after 100 ms.
struct Service(Mutex<VecDeque<Answer>>);

impl Service {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(Mutex::new(answers.into_iter().collect()))
    }

    async fn get(&self) -> Result<&'static str, ServiceError> {
        let answer = {
            let answers = self.0.lock();
            // Each call leaves it whole, so a panic elsewhere spoils nothing.
            answers.unwrap_or_else(PoisonError::into_inner).pop_front()
        };
        sleep(Duration::from_millis(100)).await;
        match answer.unwrap_or(Answer::Value) {
            Answer::Value => Ok("200 OK"),
            Answer::Unavailable => Err(ServiceError::Unavailable),
            Answer::NotFound => Err(ServiceError::NotFound),
            Answer::Hangs => std::future::pending().await,
        }
    }

    async fn get_within(&self, time: Duration) -> Result<&'static str, ServiceError> {
        let answer = timeout(time, self.get()).await;
        answer.unwrap_or(Err(ServiceError::NoAnswer))
    }
}

struct Client {
    breaker: CircuitBreaker<ServiceError>,
    service: Service,
}

impl Client {
    /// A deadline of 150 ms in the call.
    async fn call(&self, number: u32) {
        let call = self.service.get_within(Duration::from_millis(150));
        match self.breaker.call(call).await {
            Ok(value) => self.print(number, value),
            Err(error) => self.print(number, &error.to_string()),
        }
    }

    /// The deadline around the breaker.
    async fn call_wrongly(&self, number: u32) {
        let call = self.breaker.call(self.service.get());
        match timeout(Duration::from_millis(150), call).await {
            Ok(Ok(value)) => self.print(number, value),
            Ok(Err(error)) => self.print(number, &error.to_string()),
            Err(_) => self.print(number, "given up"),
        }
    }

    fn print(&self, number: u32, outcome: &str) {
        println!("call {number}: {outcome} ({:?})", self.breaker.state());
    }
}

pub async fn run() {
    use Answer::{Hangs, NotFound, Unavailable, Value};
    let rest = Duration::from_millis(500);
    let client = |answers: &[Answer]| Client {
        breaker: CircuitBreaker::new(3, rest, counts),
        service: Service::new(answers.iter().copied()),
    };
    println!("Three failures in a row open the circuit:");
    let first = client(&[
        Unavailable,
        Unavailable,
        Value,
        Unavailable,
        Unavailable,
        Unavailable,
        Unavailable,
    ]);
    for number in 1..=7 {
        first.call(number).await;
    }

    println!("0.5 s later there is one trial, which fails:");
    sleep(rest).await;
    let second = async {
        sleep(Duration::from_millis(50)).await;
        first.call(9).await;
    };
    tokio::join!(first.call(8), second);
    first.call(10).await;

    println!("0.5 s later the next trial succeeds:");
    sleep(rest).await;
    first.call(11).await;
    first.call(12).await;

    println!("What is the caller's fault does not count, and ends the row:");
    let answers = [Unavailable, Unavailable, NotFound, Unavailable, Unavailable];
    let second = client(&answers);
    for number in 1..=5 {
        second.call(number).await;
    }

    println!("It hangs, and the deadline is around the breaker:");
    let third = client(&[Hangs; 7]);
    for number in 1..=3 {
        third.call_wrongly(number).await;
    }
    println!("The deadline is in the call:");
    for number in 4..=6 {
        third.call(number).await;
    }

    println!("0.5 s later the trial is cancelled, and the next call is one:");
    sleep(rest).await;
    third.call_wrongly(7).await;
    third.call(8).await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
