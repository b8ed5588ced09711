//! Poll by hand: an event loop with timers in 50 lines, to see what a runtime does.
//!
//! A future does nothing until it is polled (asked whether it is ready). Before a future
//! answers `Pending`, it gives its waker (the value that wakes its task) to an event
//! source, here to the list of timers. The loop polls a task when its waker was called,
//! and otherwise sleeps until the first timer is due.
//!
//! asyncio's loop does the same: it calls `send` of a coroutine where this loop calls
//! `poll`. Tokio adds sockets, threads, fairness and cancellation. To poll a future only
//! once, in a test, use `Waker::noop`.
//!
//! Trap: If you await Tokio's own `sleep` in this loop, it panics: "there is no reactor
//! running". The loop is no Tokio runtime. Await only futures that need none, such as
//! `Sleep` below.
//!
//! See also: `future_by_hand`, `suspend_and_resume`, `build_a_runtime`.
//!
//! asyncio: asyncio.run, await, __await__

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

thread_local! {
    /// When to wake which task: the first entry is due first.
    static TIMERS: RefCell<BTreeMap<(Instant, u64), Waker>> = RefCell::default();
}

/// A future that is ready from a moment on.
pub struct Sleep {
    due: Instant,
    id: u64,
}

impl Sleep {
    pub fn until(due: Instant) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self { due, id }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.due {
            return Poll::Ready(());
        }
        // A second poll replaces the waker of the first.
        let (timer, waker) = ((self.due, self.id), context.waker().clone());
        TIMERS.with_borrow_mut(|timers| timers.insert(timer, waker));
        Poll::Pending
    }
}

/// Wakes the tasks whose timers are due. Returns how long it is until the next one.
fn wake_sleepers() -> Duration {
    let now = Instant::now();
    TIMERS.with_borrow_mut(|timers| {
        while let Some(timer) = timers.first_entry() {
            let (due, _) = *timer.key();
            if due > now {
                return due - now;
            }
            timer.remove().wake();
        }
        Duration::MAX
    })
}

struct Ready {
    task: usize,
    queue: mpsc::Sender<usize>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        // Fails if the loop has ended.
        let _ = self.queue.send(self.task);
    }
}

/// Polls each future when it is woken, until all are ready.
pub fn run_all(futures: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    let (queue, woken) = mpsc::channel();
    let mut tasks = Vec::new();
    for (task, future) in futures.into_iter().enumerate() {
        let queue = queue.clone();
        let waker = Waker::from(Arc::new(Ready { task, queue }));
        waker.wake_by_ref();
        tasks.push((Some(future), waker));
    }
    while tasks.iter().any(|(future, _)| future.is_some()) {
        // Waits for a waker, at most until the next timer is due.
        let Ok(task) = woken.recv_timeout(wake_sleepers()) else {
            continue;
        };
        let (future, waker) = &mut tasks[task];
        let mut context = Context::from_waker(waker);
        if future
            .as_mut()
            .is_some_and(|it| it.as_mut().poll(&mut context).is_ready())
        {
            *future = None;
        }
    }
}

async fn worker(name: &str, millis: u64) {
    for step in 1..=2 {
        println!("{name}: step {step}");
        Sleep::until(Instant::now() + Duration::from_millis(millis)).await;
    }
    println!("{name}: done");
}

pub fn main() {
    run_all(vec![Box::pin(worker("A", 200)), Box::pin(worker("B", 300))]);
}

//@ clock: real
