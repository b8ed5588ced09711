//! Each component with 10, 1,000 and 100,000 of those who wait, or of entries.
//!
//! All tasks run on one thread, so that all of them wait before they are let go. What is
//! told is the processors' time: waiting for a timer does not count, nor does what other
//! programs do meanwhile.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::FutureExt;
use rusqlite::Connection;
use tokio::sync::{Barrier, Mutex, Semaphore, broadcast, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, sleep};
use tokio_util::sync::CancellationToken;

use crate::components::actor::{self, Actor};
use crate::components::async_sqlite::Database;
use crate::components::background_services::{End, Restarts, Supervisor};
use crate::components::circuit_breaker::CircuitBreaker;
use crate::components::condition_queue::ConditionQueue;
use crate::components::connection_pool::{Manager, Pool};
use crate::components::event::Event;
use crate::components::queue_join::Jobs;
use crate::components::scheduler::Scheduler;
use crate::components::semaphore_rate_limiter::RateLimiter;
use crate::components::single_flight::SingleFlight;
use crate::components::sliding_window::SlidingWindow;
use crate::components::token_bucket::TokenBucket;
use crate::components::ttl_cache::TtlCache;
use crate::components::worker_pool::worker_pool;
use crate::measurement::{Growing, Work, cpu_time, memory, one_thread, sum_below};

/// In the order of the table.
pub const ALL: &[Growing] = &[
    growing(
        "sleeping_tasks",
        "basics/timers",
        "a task sleeps, and is aborted",
        sleeping,
    ),
    growing(
        "join_set",
        "basics/spawn_tasks",
        "a task in a set ends, and is joined",
        join_set,
    ),
    growing(
        "semaphore_waiters",
        "concurrency/semaphore",
        "a task waits for a permit, and gets it",
        semaphore,
    ),
    growing(
        "lock_waiters",
        "concurrency/lock",
        "a task waits for a lock, and gets it",
        lock,
    ),
    growing(
        "event_waiters",
        "concurrency/event",
        "a task waits for an event",
        event,
    ),
    growing(
        "barrier_tasks",
        "concurrency/barrier",
        "a task waits at a barrier",
        barrier,
    ),
    growing(
        "watch_receivers",
        "concurrency/watch_a_value",
        "a receiver waits for a change, and sees it",
        watch_receivers,
    ),
    growing(
        "broadcast_receivers",
        "concurrency/broadcast",
        "a receiver waits for a message, and gets it",
        broadcast_receivers,
    ),
    growing(
        "condition_queue_getters",
        "concurrency/condition_queue",
        "a task waits for an item, and gets it",
        getters,
    ),
    growing(
        "condition_queue_putters",
        "concurrency/condition_queue",
        "a task waits for room, and puts an item",
        putters,
    ),
    growing(
        "queue_join_jobs",
        "concurrency/queue_join",
        "a job waits for room, is put, and is done",
        queue_join,
    ),
    growing(
        "worker_pool_workers",
        "concurrency/worker_pool",
        "a worker waits for a job, and does it",
        workers,
    ),
    growing(
        "actor_requests",
        "concurrency/actor",
        "a request waits for its turn, and is answered",
        requests,
    ),
    growing(
        "single_flight_callers",
        "concurrency/single_flight",
        "a caller waits for the call of others",
        one_key,
    ),
    growing(
        "single_flight_keys",
        "concurrency/single_flight",
        "a caller waits for a call of its own key",
        many_keys,
    ),
    growing(
        "connection_pool_waiters",
        "context-managers/connection_pool",
        "a task waits for the one connection, and gets it",
        connections,
    ),
    growing(
        "circuit_breaker_calls",
        "error-handling/circuit_breaker",
        "a call begins, waits and ends",
        calls,
    ),
    growing(
        "token_bucket_waiters",
        "real-world/token_bucket",
        "a caller waits for a token, and gets it",
        token_bucket,
    ),
    growing(
        "sliding_window_waiters",
        "real-world/sliding_window",
        "a call waits until the one before it leaves a full window",
        sliding_window,
    ),
    growing(
        "rate_limiter_waiters",
        "real-world/semaphore_rate_limiter",
        "a call waits until a permit comes back",
        rate_limiter,
    ),
    growing(
        "ttl_cache_inserts",
        "real-world/ttl_cache",
        "an entry takes the place of another in a full cache",
        inserts,
    ),
    growing(
        "ttl_cache_gets",
        "real-world/ttl_cache",
        "an entry of a full cache is got",
        gets,
    ),
    growing(
        "ttl_cache_expiries",
        "real-world/ttl_cache",
        "an entry is stored, and expires with all others",
        expiries,
    ),
    growing(
        "sqlite_calls",
        "real-world/async_sqlite",
        "a query waits in line, and is made",
        queries,
    ),
    growing(
        "scheduler_jobs",
        "real-world/scheduler",
        "a job is added, runs once, and is stopped",
        jobs,
    ),
    growing(
        "scheduler_removals",
        "real-world/scheduler",
        "a job is added, runs once, and is removed",
        removals,
    ),
    growing(
        "services",
        "real-world/background_services",
        "a service is started, and stopped",
        services,
    ),
];

const fn growing(
    name: &'static str,
    example: &'static str,
    title: &'static str,
    run: fn(u64) -> Work,
) -> Growing {
    Growing {
        name,
        title,
        example,
        run,
    }
}

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(3600);

/// Of a pass over all of them.
struct Pass {
    number: u64,
    /// The memory before, in the first pass.
    before: Option<f64>,
    bytes: Cell<Option<f64>>,
}

impl Pass {
    fn first(number: u64) -> Self {
        Self {
            number,
            before: Some(memory()),
            bytes: Cell::default(),
        }
    }

    fn next(number: u64) -> Self {
        Self {
            number,
            before: None,
            bytes: Cell::default(),
        }
    }

    /// To be called when all wait, or all entries are there.
    fn all_there(&self) {
        self.bytes.set(self.before.map(|before| memory() - before));
    }

    /// Starts a task for each number, and returns when all tasks wait.
    async fn all_wait<F>(&self, waiter: impl Fn(u64) -> F) -> Vec<JoinHandle<u64>>
    where
        F: Future<Output = u64> + Send + 'static,
    {
        let start = |index| tokio::spawn(waiter(index));
        let tasks: Vec<_> = (0..self.number).map(start).collect();
        all_had_a_turn().await;
        // On a machine that is busy, a window may be over already.
        if tasks.iter().all(|task| !task.is_finished()) {
            self.all_there();
        }
        tasks
    }

    /// Returns when all tasks have ended, each with its number.
    async fn all_end(&self, tasks: Vec<JoinHandle<u64>>) -> u64 {
        let (mut items, mut sum) = (0, 0);
        for task in tasks {
            sum += task.await.expect("it does not panic");
            items += 1;
        }
        assert_eq!(sum, sum_below(self.number), "each had its turn");
        items
    }
}

/// Returns when all tasks that were started before have been polled: on one thread, tasks
/// have their first turn in the order in which they are started.
async fn all_had_a_turn() {
    let last = tokio::spawn(async {});
    last.await.expect("it does not panic");
}

/// The mean of as many passes as fit into 50 ms, at least three. A pass returns how many
/// there were.
fn passes(number: u64, pass: impl AsyncFn(&Pass) -> u64) -> Work {
    one_thread().block_on(async {
        let first = Pass::first(number);
        let items = pass(&first).await;
        let (begun, before) = (Instant::now(), cpu_time());
        let mut count = 0;
        while count < 3 || begun.elapsed() < Duration::from_millis(50) {
            assert_eq!(pass(&Pass::next(number)).await, items);
            count += 1;
        }
        let time = (cpu_time() - before) / count;
        let bytes = first.bytes.get();
        let work = Work::timed(time, items, sum_below(items));
        Work { bytes, ..work }
    })
}

fn sleeping(number: u64) -> Work {
    passes(number, async |pass| {
        let tasks = pass.all_wait(async |number| {
            sleep(LONG).await;
            number
        });
        let mut aborted = 0;
        for task in tasks.await {
            task.abort();
            let ended = task.await;
            aborted += u64::from(ended.is_err_and(|error| error.is_cancelled()));
        }
        aborted
    })
}

fn join_set(number: u64) -> Work {
    passes(number, async |pass| {
        let gate = Arc::new(Semaphore::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..pass.number {
            let gate = Arc::clone(&gate);
            tasks.spawn(async move {
                let _permit = gate.acquire().await.expect("it is not closed");
                number
            });
        }
        all_had_a_turn().await;
        pass.all_there();
        gate.add_permits(1);
        let (mut items, mut sum) = (0, 0);
        while let Some(ended) = tasks.join_next().await {
            sum += ended.expect("it does not panic");
            items += 1;
        }
        assert_eq!(sum, sum_below(items));
        items
    })
}

fn semaphore(number: u64) -> Work {
    passes(number, async |pass| {
        let permits = Arc::new(Semaphore::new(0));
        let tasks = pass.all_wait(|number| {
            let permits = Arc::clone(&permits);
            async move {
                let _permit = permits.acquire().await.expect("it is not closed");
                number
            }
        });
        let tasks = tasks.await;
        permits.add_permits(1);
        pass.all_end(tasks).await
    })
}

fn lock(number: u64) -> Work {
    passes(number, async |pass| {
        let sum = Arc::new(Mutex::new(0));
        let held = sum.lock().await;
        let tasks = pass.all_wait(|number| {
            let sum = Arc::clone(&sum);
            async move {
                *sum.lock().await += number;
                number
            }
        });
        let tasks = tasks.await;
        drop(held);
        let items = pass.all_end(tasks).await;
        assert_eq!(*sum.lock().await, sum_below(items));
        items
    })
}

fn event(number: u64) -> Work {
    passes(number, async |pass| {
        let event = Arc::new(Event::default());
        let tasks = pass.all_wait(|number| {
            let event = Arc::clone(&event);
            async move {
                event.wait().await;
                number
            }
        });
        let tasks = tasks.await;
        event.set();
        pass.all_end(tasks).await
    })
}

fn barrier(number: u64) -> Work {
    passes(number, async |pass| {
        let barrier = Arc::new(Barrier::new(pass.number as usize + 1));
        let tasks = pass.all_wait(|number| {
            let barrier = Arc::clone(&barrier);
            async move {
                barrier.wait().await;
                number
            }
        });
        let tasks = tasks.await;
        barrier.wait().await;
        pass.all_end(tasks).await
    })
}

fn watch_receivers(number: u64) -> Work {
    passes(number, async |pass| {
        let (sender, receiver) = watch::channel(0);
        let tasks = pass.all_wait(|number| {
            let mut receiver = receiver.clone();
            async move {
                receiver.changed().await.expect("the sender is there");
                number * *receiver.borrow_and_update()
            }
        });
        let tasks = tasks.await;
        sender.send_replace(1);
        pass.all_end(tasks).await
    })
}

fn broadcast_receivers(number: u64) -> Work {
    passes(number, async |pass| {
        let (sender, _) = broadcast::channel(1);
        let tasks = pass.all_wait(|number| {
            let mut receiver = sender.subscribe();
            async move { number * receiver.recv().await.expect("the sender is there") }
        });
        let tasks = tasks.await;
        sender.send(1).expect("all receive");
        pass.all_end(tasks).await
    })
}

fn getters(number: u64) -> Work {
    passes(number, async |pass| {
        let queue = Arc::new(ConditionQueue::new(100));
        let tasks = pass.all_wait(|_| {
            let queue = Arc::clone(&queue);
            async move { queue.get().await.expect("it is not closed") }
        });
        let tasks = tasks.await;
        for number in 0..pass.number {
            queue.put(number).await.expect("it is not closed");
        }
        pass.all_end(tasks).await
    })
}

fn putters(number: u64) -> Work {
    passes(number, async |pass| {
        let queue = Arc::new(ConditionQueue::new(1));
        queue.put(0).await.expect("it is not closed");
        let tasks = pass.all_wait(|number| {
            let queue = Arc::clone(&queue);
            async move {
                queue.put(number).await.expect("it is not closed");
                number
            }
        });
        let tasks = tasks.await;
        let mut sum = 0;
        for _ in 0..=pass.number {
            sum += queue.get().await.expect("it is not closed");
        }
        assert_eq!(sum, sum_below(pass.number));
        pass.all_end(tasks).await
    })
}

fn queue_join(number: u64) -> Work {
    passes(number, async |pass| {
        let (jobs, mut worker) = Jobs::new(1);
        let jobs = Arc::new(jobs);
        jobs.put(0).await.expect("the worker is there");
        let tasks = pass.all_wait(|number| {
            let jobs = Arc::clone(&jobs);
            async move {
                let short = u32::try_from(number).expect("there are not so many");
                jobs.put(short).await.expect("the worker is there");
                number
            }
        });
        let tasks = tasks.await;
        let work = async {
            let mut sum = 0;
            for _ in 0..=pass.number {
                let job = worker.recv().await.expect("the jobs are there");
                sum += u64::from(job.number);
            }
            sum
        };
        let (sum, ()) = tokio::join!(work, jobs.join());
        assert_eq!(sum, sum_below(pass.number));
        pass.all_end(tasks).await
    })
}

fn workers(number: u64) -> Work {
    passes(number, async |pass| {
        let begun = Arc::new(AtomicU64::new(0));
        let work = {
            let begun = Arc::clone(&begun);
            move |number: u64| {
                begun.fetch_add(1, Relaxed);
                async move { number }
            }
        };
        let (jobs, mut results) = worker_pool(pass.number as usize, 100, work);
        all_had_a_turn().await;
        pass.all_there();
        let submit = async {
            for number in 0..pass.number {
                let submitted = jobs.submit(number, number).await;
                assert!(submitted.is_ok(), "nobody stops the pool");
            }
            drop(jobs);
        };
        let read = async {
            let (mut items, mut sum) = (0, 0);
            while let Some((_, result)) = results.next().await {
                items += 1;
                sum += result.expect("no job panics");
            }
            assert_eq!(sum, sum_below(items));
            items
        };
        let ((), items) = tokio::join!(submit, read);
        assert_eq!(begun.load(Relaxed), items);
        items
    })
}

/// Answers with the number that it is asked with, once the gate is open.
struct Echo(Arc<Semaphore>);

impl Actor for Echo {
    type Message = (u64, oneshot::Sender<u64>);

    async fn handle(
        &mut self,
        (number, reply): Self::Message,
    ) -> std::ops::ControlFlow<()> {
        let _permit = self.0.acquire().await.expect("it is not closed");
        reply.send(number).expect("it is waited for");
        std::ops::ControlFlow::Continue(())
    }
}

fn requests(number: u64) -> Work {
    passes(number, async |pass| {
        let gate = Arc::new(Semaphore::new(0));
        let (address, actor) = actor::start(Echo(Arc::clone(&gate)), 100);
        let tasks = pass.all_wait(|number| {
            let address = address.clone();
            async move {
                let answer = address.ask(|reply| (number, reply)).await;
                answer.expect("the actor is there")
            }
        });
        let tasks = tasks.await;
        gate.add_permits(1);
        let items = pass.all_end(tasks).await;
        drop(address);
        actor.await.expect("it does not panic");
        items
    })
}

/// The callers of a key are all those of whom it is the same part.
fn flights(pass_number: u64, keys: u64) -> Work {
    passes(pass_number, async |pass| {
        let gate = Arc::new(Semaphore::new(0));
        let flights = SingleFlight::new();
        let loads = Arc::new(AtomicU64::new(0));
        let tasks = pass.all_wait(|number| {
            let (flights, gate) = (flights.clone(), Arc::clone(&gate));
            let loads = Arc::clone(&loads);
            async move {
                let call = async move {
                    loads.fetch_add(1, Relaxed);
                    let _permit = gate.acquire().await.expect("it is not closed");
                    1
                };
                let result = flights.run(number % keys, call).await;
                number * result.expect("it does not panic")
            }
        });
        let tasks = tasks.await;
        gate.add_permits(1);
        let items = pass.all_end(tasks).await;
        assert_eq!(loads.load(Relaxed), keys, "one load for each key");
        items
    })
}

fn one_key(number: u64) -> Work {
    flights(number, 1)
}

fn many_keys(number: u64) -> Work {
    flights(number, number)
}

/// Opens what costs nothing.
struct Nothing;

impl Manager for Nothing {
    type Connection = ();
    type Error = Infallible;

    async fn open(&self) -> Result<(), Infallible> {
        Ok(())
    }

    fn is_broken(&self, (): &()) -> bool {
        false
    }
}

fn connections(number: u64) -> Work {
    passes(number, async |pass| {
        let pool = Pool::new(Nothing, 1, LONG);
        let held = pool.acquire().await.expect("the pool is not closed");
        let tasks = pass.all_wait(|number| {
            let pool = pool.clone();
            async move {
                let _connection = pool.acquire().await.expect("it waits for long");
                number
            }
        });
        let tasks = tasks.await;
        drop(held);
        let items = pass.all_end(tasks).await;
        assert_eq!(pool.close().await.len(), 1);
        items
    })
}

fn calls(number: u64) -> Work {
    passes(number, async |pass| {
        let gate = Arc::new(Semaphore::new(0));
        let breaker = CircuitBreaker::new(5, LONG, |_: &Infallible| true);
        let breaker = Arc::new(breaker);
        let tasks = pass.all_wait(|number| {
            let (breaker, gate) = (Arc::clone(&breaker), Arc::clone(&gate));
            async move {
                let call = async {
                    let _permit = gate.acquire().await.expect("it is not closed");
                    Ok(number)
                };
                breaker.call(call).await.expect("the circuit is closed")
            }
        });
        let tasks = tasks.await;
        gate.add_permits(1);
        pass.all_end(tasks).await
    })
}

fn token_bucket(number: u64) -> Work {
    passes(number, async |pass| {
        let burst = u32::try_from(pass.number).expect("there are not so many") + 1;
        let bucket = Arc::new(TokenBucket::new(burst, LONG));
        bucket.acquire().await;
        // One token is missing for long, and all others wait until this one gives up.
        let mut first = Box::pin(bucket.acquire_many(burst));
        assert!(first.as_mut().now_or_never().is_none(), "it waits");
        let tasks = pass.all_wait(|number| {
            let bucket = Arc::clone(&bucket);
            async move {
                bucket.acquire().await;
                number
            }
        });
        let tasks = tasks.await;
        drop(first);
        pass.all_end(tasks).await
    })
}

/// Long enough for all to come in it.
fn window(number: u64) -> Duration {
    Duration::from_millis(2) + Duration::from_micros(5 * number)
}

fn sliding_window(number: u64) -> Work {
    passes(number, async |pass| {
        let number = pass.number;
        let limiter = SlidingWindow::new(number as usize, window(number));
        let limiter = Arc::new(limiter);
        for _ in 0..number {
            limiter.acquire().await;
        }
        let tasks = pass.all_wait(|number| {
            let limiter = Arc::clone(&limiter);
            async move {
                limiter.acquire().await;
                number
            }
        });
        let tasks = tasks.await;
        pass.all_end(tasks).await
    })
}

fn rate_limiter(number: u64) -> Work {
    passes(number, async |pass| {
        let number = pass.number;
        let limiter = RateLimiter::new(number as usize, window(number));
        let limiter = Arc::new(limiter);
        for _ in 0..number {
            limiter.try_acquire().expect("there are as many permits");
        }
        let tasks = pass.all_wait(|number| {
            let limiter = Arc::clone(&limiter);
            async move {
                limiter.acquire().await.expect("the runtime is there");
                number
            }
        });
        let tasks = tasks.await;
        pass.all_end(tasks).await
    })
}

type Cache = TtlCache<u64, u64, Infallible>;

/// A cache of these entries, which is full.
fn full_cache(number: u64, ttl: Duration) -> Cache {
    let cache = Cache::new(number as usize, ttl);
    for key in 0..number {
        cache.insert(key, key);
    }
    cache
}

/// Passes over a cache that is the same for all of them.
fn passes_over_cache(number: u64, pass: impl AsyncFn(&Cache, u64) -> u64) -> Work {
    let (cache, round) = (Cell::new(None), Cell::new(0));
    passes(number, async |it| {
        let full = match cache.take() {
            Some(full) => full,
            None => {
                let full = full_cache(number, LONG);
                it.all_there();
                full
            }
        };
        round.set(round.get() + 1);
        let items = pass(&full, round.get()).await;
        cache.set(Some(full));
        items
    })
}

fn inserts(number: u64) -> Work {
    passes_over_cache(number, async |cache, round| {
        for key in 0..number {
            cache.insert(round * number + key, key);
        }
        assert_eq!(cache.get(&((round - 1) * number)), None, "it is full");
        cache.len() as u64
    })
}

fn gets(number: u64) -> Work {
    passes_over_cache(number, async |cache, _| {
        // In another order than that of the last use.
        let keys = (0..number).map(|key| key * 7919 % number);
        let got = keys.filter_map(|key| cache.get(&key).filter(|value| *value == key));
        got.count() as u64
    })
}

fn expiries(number: u64) -> Work {
    passes(number, async |pass| {
        let cache = full_cache(pass.number, window(pass.number));
        let items = cache.len() as u64;
        pass.all_there();
        while cache.len() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        items
    })
}

fn queries(number: u64) -> Work {
    passes(number, async |pass| {
        let open = Database::open(Connection::open_in_memory);
        let database = open.await.expect("it can be opened");
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::spawn({
            let database = database.clone();
            async move { database.call(move |_| wait.recv()).await }
        });
        let tasks = pass.all_wait(|number| {
            let database = database.clone();
            async move {
                let select = |connection: &mut Connection| {
                    let mut select = connection.prepare_cached("SELECT 1")?;
                    select.query_row([], |row| row.get::<_, u32>(0))
                };
                let one = database.call(select).await.expect("it is open");
                number * u64::from(one.expect("there is one"))
            }
        });
        let tasks = tasks.await;
        go_on.send(()).expect("the thread waits for it");
        let waited = busy.await.expect("it does not panic");
        waited.expect("it is open").expect("it was sent");
        let items = pass.all_end(tasks).await;
        database.close().await.expect("it can be closed");
        items
    })
}

/// A scheduler with so many jobs, of which each has run once.
async fn schedule(pass: &Pass) -> Scheduler {
    let runs = Arc::new(AtomicU64::new(0));
    let scheduler = Scheduler::new(|name, failure| panic!("{name} {failure}"));
    for number in 0..pass.number {
        let runs = Arc::clone(&runs);
        let job = move || {
            runs.fetch_add(1, Relaxed);
            async { Ok::<(), Infallible>(()) }
        };
        let skip = MissedTickBehavior::Skip;
        let added = scheduler.add(number.to_string(), LONG, skip, job);
        added.expect("no name is taken");
    }
    // The first tick comes with the next millisecond.
    while runs.load(Relaxed) < pass.number {
        sleep(Duration::from_millis(1)).await;
    }
    pass.all_there();
    scheduler
}

fn jobs(number: u64) -> Work {
    passes(number, async |pass| {
        let scheduler = schedule(pass).await;
        let unfinished = scheduler.stop(LONG).await;
        assert_eq!(unfinished.len(), 0);
        pass.number
    })
}

fn removals(number: u64) -> Work {
    passes(number, async |pass| {
        let scheduler = schedule(pass).await;
        let mut removed = 0;
        for number in 0..pass.number {
            removed += u64::from(scheduler.remove(&number.to_string()).await);
        }
        removed
    })
}

fn services(number: u64) -> Work {
    passes(number, async |pass| {
        let pause = Duration::from_millis(1);
        let restarts = Restarts {
            limit: 0,
            pause,
            longest_pause: pause,
            good_run: LONG,
        };
        let log = |name: &str, failure: &_, _| panic!("{name} {failure}");
        let mut supervisor = Supervisor::new(restarts, log);
        let begun = Arc::new(AtomicU64::new(0));
        for number in 0..pass.number {
            let begun = Arc::clone(&begun);
            let service = move |stop: CancellationToken| {
                begun.fetch_add(1, Relaxed);
                async move {
                    stop.cancelled().await;
                    Ok::<(), Infallible>(())
                }
            };
            let started = supervisor.start(number.to_string(), service);
            started.expect("no name is taken");
        }
        all_had_a_turn().await;
        assert_eq!(begun.load(Relaxed), pass.number);
        pass.all_there();
        let ends = supervisor.stop(LONG).await;
        ends.iter().filter(|(_, end)| *end == End::Done).count() as u64
    })
}
