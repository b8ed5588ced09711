//! A runtime per thread: each thread has its own event loop, its own data and no locks.
//!
//! Tasks of a `LocalRuntime` (an event loop that stays on its thread) may share `Rc` and
//! `RefCell`. `Shard`, a struct of this file, is a thread that has a `LocalRuntime` and
//! its own data. Other threads send closures (jobs) to a shard by its method `run`, and
//! the jobs' futures run on the shard's thread.
//!
//! A runtime per thread pays if each request needs the data of one thread only. Otherwise
//! prefer one multi-thread runtime, which gives work to idle threads. If tasks share no
//! data, use a `LocalPoolHandle` of `tokio-util`, a ready-made pool of threads with an
//! event loop each. With Python's GIL, only one loop runs at a time.
//!
//! Bounds: At most 100 jobs wait for a thread. Further callers of `run` wait for room.
//! Running jobs are unbounded: a job whose caller is gone keeps running.
//!
//! Trap: If a job blocks its thread, or most requests need the data of one thread, all
//! jobs of that thread are delayed: no other thread takes them over. Hand blocking calls
//! to `spawn_blocking`, and divide the data so that all threads have about as many
//! requests.
//!
//! Trap: If you create an `Rc` on one thread and use it on another, the compiler reports
//! "`Rc<...>` cannot be sent between threads safely". Create the `Rc` on the thread that
//! uses it.
//!
//! See also: `send_and_local`, `build_a_runtime`, `actor`, `share_state`.
//!
//! asyncio: asyncio.new_event_loop, asyncio.run_coroutine_threadsafe

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

/// The data of one thread: balances by account.
pub type Data = Rc<RefCell<HashMap<usize, u32>>>;

type Job = Box<dyn FnOnce(Data) -> LocalBoxFuture<'static, ()> + Send>;

/// A thread with its own runtime and data.
pub struct Shard {
    jobs: mpsc::Sender<Job>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Shard {
    /// Starts the thread.
    pub fn start() -> Self {
        let (jobs, received) = mpsc::channel(100);
        let thread = thread::spawn(|| {
            let mut builder = Builder::new_current_thread();
            let runtime = builder.enable_all().build_local(LocalOptions::default())?;
            runtime.block_on(serve(received));
            Ok(())
        });
        Self { jobs, thread }
    }

    /// Runs a job on the thread, and returns its result. If the future is dropped, a job
    /// that was sent keeps running.
    ///
    /// # Errors
    ///
    /// If the job panicked, or the thread could not start its runtime.
    pub async fn run<F, Fut>(
        &self,
        job: F,
    ) -> Result<Fut::Output, oneshot::error::RecvError>
    where
        F: FnOnce(Data) -> Fut + Send + 'static,
        Fut: Future<Output: Send> + 'static,
    {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(|data| {
            let answer = async move { drop(reply.send(job(data).await)) };
            answer.boxed_local()
        });
        // If the thread has ended, the job is dropped, and `result` returns an error.
        let _ = self.jobs.send(job).await;
        result.await
    }

    /// Waits until all jobs are done and the thread has ended. A task that a job has
    /// spawned by `spawn_local` is dropped then, unless the job awaits it.
    ///
    /// # Errors
    ///
    /// If the thread could not start its runtime.
    pub async fn stop(self) -> Result<(), Box<dyn Error + Send + Sync>> {
        drop(self.jobs);
        let ended = spawn_blocking(|| self.thread.join()).await?;
        Ok(ended.map_err(|_panic| "the thread panicked")??)
    }
}

async fn serve(mut jobs: mpsc::Receiver<Job>) {
    let (data, tasks) = (Data::default(), TaskTracker::new());
    while let Some(job) = jobs.recv().await {
        let data = Rc::clone(&data);
        tasks.spawn_local(async { job(data).await });
    }
    tasks.close();
    tasks.wait().await;
}

async fn deposit(data: Data, account: usize, amount: u32) -> (u32, thread::ThreadId) {
    sleep(Duration::from_millis(200)).await;
    // No await while the data is borrowed: another task would meet the borrow.
    let mut data = data.borrow_mut();
    let balance = data.entry(account).or_default();
    *balance += amount;
    (*balance, thread::current().id())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let shards = [Shard::start(), Shard::start()];
    let deposits = [(0, 5), (1, 3), (2, 8), (3, 1)];
    let mut threads = std::collections::HashSet::new();
    for _ in 0..2 {
        println!("Four deposits:");
        let booked = deposits.map(|(account, amount)| {
            // An account always belongs to the same thread.
            let shard = &shards[account % shards.len()];
            shard.run(move |data| deposit(data, account, amount))
        });
        for ((account, _), (balance, thread)) in deposits
            .into_iter()
            .zip(futures::future::try_join_all(booked).await?)
        {
            println!("Account {account}: {balance}");
            threads.insert(thread);
        }
    }
    println!("Threads: {}", threads.len());
    for shard in shards {
        shard.stop().await?;
    }
    Ok(())
}

//@ clock: real
