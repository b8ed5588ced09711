//! What apalis does when a job fails, panics or is killed with its worker. Fails if a
//! statement of docs/chapters no longer holds.
//!
//!     cargo run --manifest-path tests/tried/apalis/Cargo.toml

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage};
use servers::{Kind, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A second of silence, and a worker is dead for the others.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long a job sleeps.
const WORK: Duration = Duration::from_secs(2);
/// Longer than another worker needs to take a job.
const LONG: Duration = Duration::from_secs(8);

fn claim(holds: bool, what: &str) -> Result<()> {
    println!("{} {what}", if holds { "yes:" } else { "NO LONGER:" });
    holds.then_some(()).ok_or_else(|| what.into())
}

async fn handle(job: String) -> Result<()> {
    println!("begins");
    match &*job {
        "fails" => return Err("no printer".into()),
        "panics" => panic!("no paper"),
        "kills" => std::process::abort(),
        _ => sleep(WORK).await,
    }
    println!("ends");
    Ok(())
}

/// Queues are named after their jobs.
fn storage(pool: &PgPool, queue: &str) -> PostgresStorage<String> {
    let config = Config::default().queue(queue);
    let config = config.heartbeat_interval(HEARTBEAT).missed_heartbeats(2);
    PostgresStorage::new(pool).with_config(config)
}

/// Works in a process of its own until SIGTERM.
async fn work(url: &str, queue: &str, name: &str) -> Result<()> {
    let storage = storage(&PgPool::connect(url).await?, queue);
    let worker = WorkerBuilder::new(name).backend(storage);
    let mut stop = signal(SignalKind::terminate())?;
    let stopped = async move {
        stop.recv().await;
        Ok::<(), std::io::Error>(())
    };
    match queue {
        "panics" => {
            worker
                .catch_panic()
                .build(handle)
                .run_until(stopped)
                .await?
        }
        _ => worker.build(handle).run_until(stopped).await?,
    }
    Ok(())
}

/// A job, and the workers that get it.
struct Tried {
    pool: PgPool,
    url: String,
    queue: String,
    lines: Arc<Mutex<Vec<String>>>,
    workers: Vec<Child>,
}

impl Drop for Tried {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill().and_then(|()| worker.wait());
        }
    }
}

impl Tried {
    /// Adds a job that may be tried three times.
    async fn new(pool: &PgPool, url: &str, queue: &str) -> Result<Self> {
        let job = queue.split('-').next().unwrap_or_default().to_owned();
        let task = TaskBuilder::new(job).max_attempts(3).build();
        storage(pool, queue).push_task(task).await?;
        Ok(Self {
            pool: pool.clone(),
            url: url.to_owned(),
            queue: queue.to_owned(),
            lines: Arc::default(),
            workers: Vec::new(),
        })
    }

    fn worker(&mut self, name: &str) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([&self.url, &self.queue, name]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("it is piped")?;
        let lines = Arc::clone(&self.lines);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(|line| line.ok()) {
                lines.lock().expect("no panic").push(line);
            }
        });
        self.workers.push(child);
        Ok(())
    }

    fn said(&self, word: &str) -> usize {
        let lines = self.lines.lock().expect("no panic");
        lines.iter().filter(|line| *line == word).count()
    }

    /// Waits until workers have said so often that a job begins or ends.
    async fn until(&self, word: &str, count: usize) -> Result<()> {
        let start = Instant::now();
        while self.said(word) < count {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(
                    format!("{}: {word} less than {count} times", self.queue).into()
                );
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Sends a signal to the worker that was started last.
    fn signal(&mut self, signal: &str) -> Result<()> {
        let worker = self.workers.last_mut().ok_or("a worker")?;
        let pid = worker.id().to_string();
        Command::new("kill").args([signal, &pid]).status()?;
        if signal != "-STOP" && signal != "-CONT" {
            worker.wait()?;
        }
        Ok(())
    }

    async fn state(&self) -> Result<(String, i32)> {
        let sql = "SELECT status, attempts FROM apalis.jobs WHERE job_type = $1";
        let row = sqlx::query_as(sql).bind(&self.queue);
        Ok(row.fetch_one(&self.pool).await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [url, queue, name] = arguments.as_slice() {
        return work(url, queue, name).await;
    }
    let server = Server::start(Kind::Postgres)?;
    let (pool, url) = (PgPool::connect(&server.url()).await?, server.url());
    PostgresStorage::setup(&pool).await?;
    let new = async |queue| Tried::new(&pool, &url, queue).await;
    let default = Config::default();
    let silence = default.heartbeat_interval * default.missed_heartbeats as u32;
    let minutes = Duration::from_secs(5 * 60);
    claim(
        silence == minutes,
        "by default a dead worker's job waits five minutes",
    )?;

    let mut job = new("fails").await?;
    job.worker("a")?;
    job.until("begins", 3).await?;
    sleep(HEARTBEAT).await;
    let gives_up =
        job.state().await? == ("Failed".to_owned(), 3) && job.said("begins") == 3;
    claim(gives_up, "a job that fails three of three times has failed")?;

    let mut job = new("sleeps-another").await?;
    job.worker("b")?;
    job.until("begins", 1).await?;
    job.signal("-KILL")?;
    job.worker("c")?;
    job.until("ends", 1).await?;
    claim(
        job.said("begins") == 2,
        "a killed worker's job goes to another worker",
    )?;

    let mut job = new("sleeps-same-name").await?;
    job.worker("d")?;
    job.until("begins", 1).await?;
    job.signal("-KILL")?;
    job.worker("d")?;
    sleep(LONG).await;
    claim(
        job.said("begins") == 1,
        "not to a worker that has the same name",
    )?;

    let mut job = new("kills").await?;
    for number in 1..=5 {
        job.worker(&format!("e{number}"))?;
        job.until("begins", number).await?;
        job.signal("-KILL")?;
    }
    claim(
        job.said("begins") == 5,
        "a job that kills its worker is tried beyond max_attempts",
    )?;

    let mut job = new("panics").await?;
    job.worker("f")?;
    job.until("begins", 1).await?;
    sleep(LONG).await;
    let stays = job.state().await?.0 == "Running" && job.said("begins") == 1;
    claim(
        stays,
        "a panic that is caught leaves the job running while its worker lives",
    )?;

    let mut job = new("panics-alone").await?;
    job.worker("j")?;
    let ended = job.workers[0].wait()?;
    claim(
        !ended.success(),
        "a panic that is not caught ends the worker",
    )?;

    let mut job = new("sleeps-stopped").await?;
    job.worker("g")?;
    job.until("begins", 1).await?;
    job.signal("-STOP")?;
    job.worker("h")?;
    job.until("ends", 1).await?;
    job.workers.swap(0, 1);
    job.signal("-CONT")?;
    job.until("ends", 2).await?;
    claim(
        true,
        "a worker that was stopped ends a job that another one has ended",
    )?;

    let mut job = new("sleeps-terminated").await?;
    job.worker("i")?;
    job.until("begins", 1).await?;
    job.signal("-TERM")?;
    claim(
        job.said("ends") == 1,
        "run_until ends the jobs that have begun",
    )
}
