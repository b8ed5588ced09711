//! A job queue in Redis, as in arq: delayed jobs, unique ids, results, and abort.
//!
//! The queue is a sorted set, in which each job has a number, the score: the time at
//! which the job is due. A worker claims a job for a limited time, the lease, by setting
//! the score to the end of the lease. So if the worker is killed, the job is due again. A
//! worker that needs longer calls `extend`. Each change is one script, which uses the
//! server's clock.
//!
//! A job runs at least once, and has one outcome, that of its last attempt. `abort`
//! writes the outcome itself. The worker learns of the abort at its next `extend`, and
//! drops the handler.
//!
//! Bounds: At most `max_jobs` jobs wait or run; then adding one fails. Outcomes are kept
//! for `keep_result`. If Redis does not answer a call within one second, the constant
//! `CALL`, the call fails. So keep payloads small: one that does not arrive within this
//! time is claimed again and again, until its attempts are used up. Unbounded: The length
//! of a payload.
//!
//! Trap: If you use `WATCH`, `MULTI` and `EXEC` on a shared connection, the
//! transactions of two callers may both succeed, and both claim one job. `WATCH`
//! belongs to the connection, and clones of a `ConnectionManager` share one, so the
//! `EXEC` of another task ends your watch. Use a script.
//!
//! Trap: If a caller adds a job again after `keep_result`, the job runs a second time,
//! because its id is free again when its outcome has expired. Make its effect
//! idempotent.
//!
//! In production: Take the connection from the example `redis_reconnect`. The
//! `ConnectionManager` of the crate redis keeps a connection whose server no longer
//! answers, and then each call times out.
//!
//! See also: `redis_streams`, `job_workers`, `dispatch_by_name`, `redis_reconnect`.
//!
//! asyncio: asyncio.Queue.put, asyncio.Queue.get, asyncio.Task.cancel

use std::future::Future;
use std::io;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{AsyncCommands, FromRedisValue, RedisError, RedisResult, Script};
use tokio::time::{sleep, timeout};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(1);

/// The beginning of each script. The keys: the set, and before an id, jobs and outcomes.
const NOW: &str = r"
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local function finish(id, state, value, keep)
        redis.call('ZREM', KEYS[1], id)
        redis.call('DEL', KEYS[2] .. id)
        redis.call('HSET', KEYS[3] .. id, 'state', state, 'value', value)
        redis.call('PEXPIRE', KEYS[3] .. id, keep)
        return 1
    end
    local function is_claimed(id, attempt)
        return redis.call('HGET', KEYS[2] .. id, 'attempt') == attempt
    end";

const ENQUEUE: &str = r"
    local id = ARGV[1]
    if redis.call('EXISTS', KEYS[2] .. id, KEYS[3] .. id) > 0 then return 0 end
    if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
        return redis.error_reply('FULL the queue is full')
    end
    redis.call('HSET', KEYS[2] .. id, 'payload', ARGV[2], 'attempt', 0)
    return redis.call('ZADD', KEYS[1], now + ARGV[3], id)";

/// Returns id, payload, attempt, and the time until a job is due if there is none.
const CLAIM: &str = r"
    while true do
        local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
        local id, due = first[1], tonumber(first[2])
        if not id then return {'', '', 0, -1} end
        if due > now then return {'', '', 0, due - now} end
        local payload = redis.call('HGET', KEYS[2] .. id, 'payload')
        local attempt = redis.call('HINCRBY', KEYS[2] .. id, 'attempt', 1)
        if payload and attempt <= tonumber(ARGV[2]) then
            redis.call('ZADD', KEYS[1], now + ARGV[1], id)
            return {id, payload, attempt, 0}
        end
        finish(id, 'failed', 'its worker was lost', ARGV[3])
    end";

/// To extend a lease, and to try again: then it is the delay.
const MOVE: &str = r"
    if not is_claimed(ARGV[1], ARGV[2]) then return 0 end
    redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
    return 1";

const FINISH: &str = r"
    if not is_claimed(ARGV[1], ARGV[2]) then return 0 end
    return finish(ARGV[1], ARGV[3], ARGV[4], ARGV[5])";

const ABORT: &str = r"
    if redis.call('EXISTS', KEYS[2] .. ARGV[1]) == 0 then return 0 end
    return finish(ARGV[1], 'aborted', '', ARGV[2])";

/// A queue. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Queue<C> {
    /// The connection. Each call clones it.
    pub redis: C,
    /// All keys begin with it.
    pub name: String,
    /// How long a claim holds, unless it is extended.
    pub lease: Duration,
    /// How often a job is claimed. After that it has failed.
    pub max_attempts: u32,
    /// The most jobs that wait or run.
    pub max_jobs: u32,
    /// How long an outcome is kept, and with it the id.
    pub keep_result: Duration,
}

/// A claimed job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: String,
    pub payload: String,
    /// Counts from 1.
    pub attempt: u32,
}

/// The result of [`Queue::claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    Job(Job),
    /// No job is due before this time has passed, unless one is added.
    Empty(Duration),
}

/// How a job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done(String),
    Failed(String),
    Aborted,
}

/// Each method fails if Redis does, or if it does not answer within [`CALL`]. What it was
/// to change may be changed then.
impl<C: ConnectionLike + Clone + Send + Sync> Queue<C> {
    /// Adds a job that is due after `delay`. Returns false if the id is in use: by a job,
    /// or by an outcome that is kept. Fails if the queue is full. After another error,
    /// call it again: the same id adds no second job.
    pub async fn enqueue(
        &self,
        id: &str,
        payload: &str,
        delay: Duration,
    ) -> RedisResult<bool> {
        let (delay, most) = (millis(delay), self.max_jobs.to_string());
        self.script(ENQUEUE, &[id, payload, &delay, &most]).await
    }

    /// Claims the job that has been due for the longest time.
    pub async fn claim(&self) -> RedisResult<Claim> {
        let (lease, keep) = (millis(self.lease), millis(self.keep_result));
        let most = self.max_attempts.to_string();
        let (id, payload, attempt, wait): (String, _, u32, i64) =
            self.script(CLAIM, &[&lease, &most, &keep]).await?;
        Ok(if attempt > 0 {
            Claim::Job(Job {
                id,
                payload,
                attempt,
            })
        } else {
            let wait = u64::try_from(wait).map_or(Duration::MAX, Duration::from_millis);
            Claim::Empty(wait)
        })
    }

    /// Restarts the lease. Returns false if the job is no longer this worker's: another
    /// has claimed it, it has an outcome, or it was aborted. Then stop working on it.
    pub async fn extend(&self, job: &Job) -> RedisResult<bool> {
        self.retry(job, self.lease).await
    }

    /// Makes the job due again after `delay`. Otherwise as [`extend`](Self::extend).
    pub async fn retry(&self, job: &Job, delay: Duration) -> RedisResult<bool> {
        let (attempt, delay) = (job.attempt.to_string(), millis(delay));
        self.script(MOVE, &[&job.id, &attempt, &delay]).await
    }

    /// Stores the result. Otherwise as [`extend`](Self::extend).
    pub async fn complete(&self, job: &Job, result: &str) -> RedisResult<bool> {
        self.finish(job, "done", result).await
    }

    /// Stores the error, for good. Otherwise as [`extend`](Self::extend).
    pub async fn fail(&self, job: &Job, error: &str) -> RedisResult<bool> {
        self.finish(job, "failed", error).await
    }

    async fn finish(&self, job: &Job, state: &str, value: &str) -> RedisResult<bool> {
        let (attempt, keep) = (job.attempt.to_string(), millis(self.keep_result));
        self.script(FINISH, &[&job.id, &attempt, state, value, &keep])
            .await
    }

    /// Aborts a job that waits or runs, from any process. Returns false if there is none.
    pub async fn abort(&self, id: &str) -> RedisResult<bool> {
        let keep = millis(self.keep_result);
        self.script(ABORT, &[id, &keep]).await
    }

    /// Waits until the job has ended, and asks for it after each `poll`. Returns nothing
    /// if there is no such job, or no longer. Put a `timeout` around it.
    pub async fn wait_for_result(
        &self,
        id: &str,
        poll: Duration,
    ) -> RedisResult<Option<Outcome>> {
        loop {
            let [_, job, outcome] = self.keys().map(|key| key + id);
            let mut redis = self.redis.clone();
            let mut both = redis::pipe();
            both.atomic()
                .exists(job)
                .hmget(outcome, &["state", "value"]);
            let (waits, (state, value)): (bool, (Option<String>, Option<String>)) =
                in_time(both.query_async(&mut redis)).await?;
            let value = value.unwrap_or_default();
            match state.as_deref() {
                Some("done") => return Ok(Some(Outcome::Done(value))),
                Some("failed") => return Ok(Some(Outcome::Failed(value))),
                Some(_) => return Ok(Some(Outcome::Aborted)),
                None if waits => sleep(poll).await,
                None => return Ok(None),
            }
        }
    }

    /// Says that a worker lives, for `ttl`. Call it more often than that.
    pub async fn report_health(&self, report: &str, ttl: Duration) -> RedisResult<()> {
        let mut redis = self.redis.clone();
        let ttl = ttl.as_millis().max(1) as u64;
        in_time(redis.pset_ex(self.health_key(), report, ttl)).await
    }

    /// Returns the last report, or nothing if no worker lives.
    pub async fn health(&self) -> RedisResult<Option<String>> {
        let mut redis = self.redis.clone();
        in_time(redis.get(self.health_key())).await
    }

    fn health_key(&self) -> String {
        format!("{}:health", self.name)
    }

    fn keys(&self) -> [String; 3] {
        ["due", "job:", "result:"].map(|key| format!("{}:{key}", self.name))
    }

    async fn script<T>(&self, script: &str, arguments: &[&str]) -> RedisResult<T>
    where
        T: FromRedisValue,
    {
        let script = Script::new(&(NOW.to_owned() + script));
        let mut call = script.prepare_invoke();
        call.key(&self.keys()).arg(arguments);
        let mut redis = self.redis.clone();
        in_time(call.invoke_async(&mut redis)).await
    }
}

/// A connection may have no limit, or not count the wait for a new one.
async fn in_time<T>(call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let called = timeout(CALL, call).await;
    called.unwrap_or_else(|late| Err(RedisError::from(io::Error::from(late))))
}

/// At most two thousand years, which the numbers of a script can hold.
fn millis(time: Duration) -> String {
    time.as_millis().min(1 << 46).to_string()
}

/// Adds a job under its id and waits for its outcome, as a caller; or works, as a worker:
/// `cargo run -- mail-1 ann@example.org` and `cargo run`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("REDIS_URL")
        .map_err(|_| "set REDIS_URL, for example to redis://127.0.0.1:6379")?;
    let queue = Queue {
        redis: redis::Client::open(url)?.get_connection_manager().await?,
        name: "mails".to_owned(),
        lease: Duration::from_secs(30),
        max_attempts: 5,
        max_jobs: 100_000,
        keep_result: Duration::from_secs(3600),
    };
    let poll = Duration::from_millis(100);
    let mut arguments = std::env::args().skip(1);
    if let Some(id) = arguments.next() {
        let to = arguments.next().ok_or("usage: ID ADDRESS")?;
        queue.enqueue(&id, &to, Duration::ZERO).await?;
        if queue.health().await?.is_none() {
            println!("no worker is running");
        }
        println!("{:?}", queue.wait_for_result(&id, poll).await?);
        return Ok(());
    }
    loop {
        queue.report_health("ready", CALL * 10).await?;
        match queue.claim().await? {
            Claim::Job(job) if job.payload.contains('@') => {
                queue.complete(&job, "sent").await?;
            }
            Claim::Job(job) => {
                queue.fail(&job, "no address").await?;
            }
            Claim::Empty(wait) => sleep(wait.min(poll)).await,
        }
    }
}

//@ clock: real
