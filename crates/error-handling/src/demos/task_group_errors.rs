//! Workers that fetch and save, and are asked to stop when one of them fails.

use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::task_group_errors::{ErrorGroup, run_all};

/// Why a worker failed.
#[derive(Debug, Error)]
pub enum WorkerError {
    #[error("{0}: no such page")]
    NoPage(&'static str),
    #[error("{0}: the disk is full")]
    DiskFull(&'static str),
    /// The task panicked.
    #[error("a worker has a bug")]
    Bug(#[from] JoinError),
}

/// A worker: how long its two steps take, in milliseconds, and whether they fail.
#[derive(Clone, Copy)]
pub struct Worker {
    pub name: &'static str,
    pub fetch_millis: u64,
    pub save_millis: u64,
    pub no_page: bool,
    pub disk_full: bool,
}

impl Worker {
    async fn fetch(self) -> Result<(), WorkerError> {
        sleep(Duration::from_millis(self.fetch_millis)).await;
        if self.no_page {
            return Err(WorkerError::NoPage(self.name));
        }
        Ok(())
    }

    async fn save(self) -> Result<(), WorkerError> {
        sleep(Duration::from_millis(self.save_millis)).await;
        if self.disk_full {
            return Err(WorkerError::DiskFull(self.name));
        }
        println!("{} has saved", self.name);
        Ok(())
    }

    /// Fetches and saves. If it is asked to stop while it fetches, it saves at once.
    pub async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        if let Some(fetched) = stop.run_until_cancelled(self.fetch()).await {
            fetched?;
        }
        self.save().await
    }
}

/// Runs the workers as tasks, which also stop when the program does.
async fn run_workers(
    workers: &[Worker],
    program: &CancellationToken,
) -> Result<(), ErrorGroup<WorkerError>> {
    let stop = program.child_token();
    let tasks = workers.iter().map(|worker| worker.run(stop.clone()));
    run_all(tasks.collect(), &stop).await
}

fn report(result: Result<(), ErrorGroup<WorkerError>>) {
    match result {
        Ok(()) => println!("nothing is left to handle"),
        Err(errors) => println!("{errors}"),
    }
}

fn is_disk_full(error: &WorkerError) -> bool {
    matches!(error, WorkerError::DiskFull(_))
}

fn is_no_page(error: &WorkerError) -> bool {
    matches!(error, WorkerError::NoPage(_))
}

fn save_elsewhere(errors: Vec<WorkerError>) {
    println!("{} to be saved elsewhere", errors.len());
}

pub async fn run() {
    let program = CancellationToken::new();
    let worker = |name, fetch_millis, save_millis| Worker {
        name,
        fetch_millis,
        save_millis,
        no_page: name == "B",
        disk_full: name == "C",
    };
    let (a, b, c) = (
        worker("A", 300, 100),
        worker("B", 100, 100),
        worker("C", 400, 200),
    );

    println!("A worker fails, and the other stops after it has saved:");
    report(run_workers(&[a, b], &program).await);

    println!("Others fail while they stop:");
    let a = Worker {
        disk_full: true,
        ..a
    };
    report(run_workers(&[a, b, c], &program).await);

    println!("One kind is handled, the rest is passed on:");
    let result = run_workers(&[a, b, c], &program).await;
    // except* DiskFull as errors:
    report(result.or_else(|errors| errors.except(is_disk_full, save_elsewhere)));

    println!("Both kinds are handled:");
    let result = run_workers(&[a, b, c], &program).await;
    let result = result.or_else(|errors| errors.except(is_disk_full, save_elsewhere));
    let go_without = |errors: Vec<_>| println!("{} ignored", errors.len());
    report(result.or_else(|errors| errors.except(is_no_page, go_without)));
}
