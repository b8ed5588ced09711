//! A job queue on a Redis stream: workers take over the jobs of dead workers.
//!
//! A stream is a list that Redis keeps, and a consumer group gives each entry (a job)
//! to one of its workers. The job is pending until the worker acknowledges it. If a
//! worker dies, another worker takes its pending job after `min_idle`, by the command
//! `XAUTOCLAIM`. So each job runs at least once: make its effect idempotent, for
//! example by the job's id.
//!
//! The server needs the settings `appendonly yes` and `maxmemory-policy noeviction`:
//! otherwise a crash or a full memory loses jobs. The function `risks` returns which of
//! them is missing.
//!
//! Bounds: At most `max_jobs` jobs are in the queue; then adding one fails. If Redis does
//! not answer a call within one second, the constant `CALL`, the call fails. A worker
//! waits at most `block` for a new job; if Redis has not answered after `block` and
//! `CALL` together, this call fails too.
//!
//! Trap: If workers share a connection, one worker that waits for a job (with `BLOCK`)
//! blocks the calls of all others. And if the connection's response timeout is shorter
//! than `BLOCK`, the wait ends with an error. Here each worker has its own connection.
//!
//! Trap: If you call `XAUTOCLAIM` with `COUNT 1` and always start at `0`, it looks at
//! the first ten entries only. The jobs of ten busy workers then hide the job of a dead
//! worker, which is never run. Continue at the cursor that the command returns.
//!
//! In production: Take connections from the example `redis_reconnect`, with a limit
//! longer than the wait for a job. The `ConnectionManager` of the crate redis keeps a
//! connection whose server no longer answers, and then each call times out.
//!
//! See also: `job_workers`, `redis_job_queue`, `redis_reconnect`.
//!
//! asyncio: asyncio.Queue.put, asyncio.Queue.get, asyncio.Queue.task_done

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, InfoDict, RedisError, RedisResult, Script};
use redis::{Value, from_redis_value};
use tokio::time::timeout;

/// How long a call may take that does not block.
pub const CALL: Duration = Duration::from_secs(1);

/// Fails if the queue is full.
const ENQUEUE: &str = r"
    if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then
        return redis.error_reply('FULL the queue is full')
    end
    return redis.call('XADD', KEYS[1], '*', 'payload', ARGV[2])";

/// A script, as a full server refuses each command of a MULTI.
const COMPLETE: &str = r"
    redis.call('XDEL', KEYS[1], ARGV[2])
    return redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])";

/// Makes the group if it is missing, and takes over a job of another worker. Returns the
/// cursor, and the job's id, fields and attempt, which is 0 if there is none.
const TAKE_OVER: &str = r"
    local stream, group, name = KEYS[1], ARGV[1], ARGV[2]
    redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
    local claim = {'XAUTOCLAIM', stream, group, name, ARGV[3], ARGV[4], 'COUNT', 1}
    local claimed = redis.call(unpack(claim))
    local entry = claimed[2][1]
    if not entry then return {claimed[1], '', {}, 0} end
    local id, fields = entry[1], entry[2]
    local attempt = redis.call('XPENDING', stream, group, id, id, 1)[1][4]
    if attempt <= tonumber(ARGV[5]) then return {claimed[1], id, fields, attempt} end
    -- A full server refuses this only as the first change of a script.
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '*', unpack(fields))
    redis.call('XACK', stream, group, id)
    redis.call('XDEL', stream, id)
    return {claimed[1], '', {}, 0}";

/// Returns which settings of the server may lose jobs.
pub async fn risks(redis: &mut impl ConnectionLike) -> RedisResult<Vec<String>> {
    let info = redis::cmd("INFO");
    let info: InfoDict = in_time(CALL, info.query_async(redis)).await?;
    let needed = [("aof_enabled", "1"), ("maxmemory_policy", "noeviction")];
    let is = |name| info.get::<String>(name).unwrap_or_default();
    let missing = needed.iter().filter(|(name, value)| is(name) != *value);
    let says = missing.map(|(name, value)| format!("{name} is not {value}"));
    Ok(says.collect())
}

/// A queue: a stream, and a group of workers. Each job goes to one of them.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The name of the stream.
    pub stream: String,
    /// The name of the group.
    pub group: String,
    /// How long a job may be pending. A worker needs a shorter `timeout`, or another
    /// worker gets its job while it works.
    pub min_idle: Duration,
    /// How often a job is delivered, before it goes to the stream `NAME:dead`.
    pub max_attempts: u32,
    /// The most jobs in the queue. Of about as many dead ones, the oldest are dropped.
    pub max_jobs: u32,
}

/// A job that was delivered to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The id, which is the same in each attempt.
    pub id: String,
    /// What to do.
    pub payload: String,
    /// How often the job was delivered, from 1 on.
    pub attempt: u32,
}

impl Queue {
    /// Appends a job and returns its id. Fails if the queue is full. After another error,
    /// the job may be in the queue.
    pub async fn enqueue(
        &self,
        redis: &mut impl ConnectionLike,
        payload: &str,
    ) -> RedisResult<String> {
        let script = Script::new(ENQUEUE);
        let mut call = script.key(&self.stream);
        call.arg(self.max_jobs).arg(payload);
        in_time(CALL, call.invoke_async(redis)).await
    }
}

/// Gets jobs, under a name that no other worker of the group has. Redis keeps each name:
/// after a restart, use the same one.
#[derive(Debug)]
pub struct Worker<C> {
    redis: C,
    queue: Queue,
    name: String,
    block: Duration,
    /// Where to continue the search for jobs of dead workers.
    cursor: String,
}

impl<C: ConnectionLike + Send + Sync> Worker<C> {
    /// Returns a worker, which waits up to `block` for a job. Nobody else uses its
    /// connection, whose limit for a reply is at least `block + CALL`.
    pub fn new(redis: C, queue: Queue, name: &str, block: Duration) -> Self {
        Self {
            redis,
            queue,
            name: name.to_owned(),
            block,
            cursor: "0-0".to_owned(),
        }
    }

    /// Returns a job of a dead worker, or waits for a new one. Returns nothing after
    /// `block`: call it again.
    ///
    /// If it fails or is dropped, a job may be delivered. It is pending then, and
    /// delivered again after `min_idle`, as its next attempt. It also fails for an entry
    /// without a payload in UTF-8. After its last attempt that is among the dead.
    pub async fn next(&mut self) -> RedisResult<Option<Job>> {
        let Queue { stream, group, .. } = &self.queue;
        let script = Script::new(TAKE_OVER);
        let mut call = script.key(stream);
        call.key(format!("{stream}:dead"))
            .arg(group)
            .arg(&self.name);
        call.arg(millis(self.queue.min_idle)).arg(&self.cursor);
        call.arg(self.queue.max_attempts).arg(self.queue.max_jobs);
        let claimed = in_time(CALL, call.invoke_async(&mut self.redis)).await?;
        let (cursor, id, fields, attempt): (_, _, _, u32) = claimed;
        self.cursor = cursor;
        if attempt > 0 {
            return job(id, fields, attempt).map(Some);
        }
        let options = StreamReadOptions::default();
        let options = options.group(group, &self.name).count(1);
        // 0 would block forever.
        let options = options.block(millis(self.block).max(1));
        let (keys, new) = ([stream], [">"]);
        let reading = self.redis.xread_options(&keys, &new, &options);
        let reply: Option<StreamReadReply> = in_time(self.block + CALL, reading).await?;
        let keys = reply.into_iter().flat_map(|reply| reply.keys);
        let entry = keys.flat_map(|key| key.ids).next();
        entry.map(|entry| job(entry.id, entry.map, 1)).transpose()
    }

    /// Removes the job from the queue. Returns whether it was still there. If not,
    /// another worker has completed it, or it is among the dead.
    ///
    /// # Errors
    ///
    /// If Redis fails or is late. The job may be delivered again then.
    pub async fn complete(&mut self, job: &Job) -> RedisResult<bool> {
        let Queue { stream, group, .. } = &self.queue;
        let script = Script::new(COMPLETE);
        let mut call = script.key(stream);
        call.arg(group).arg(&job.id);
        in_time(CALL, call.invoke_async(&mut self.redis)).await
    }
}

fn job(id: String, mut fields: HashMap<String, Value>, attempt: u32) -> RedisResult<Job> {
    let payload = fields.remove("payload").unwrap_or(Value::Nil);
    Ok(Job {
        payload: from_redis_value(payload)?,
        id,
        attempt,
    })
}

/// A connection may have no limit, or not count the wait for a new one.
async fn in_time<T>(
    limit: Duration,
    call: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let called = timeout(limit, call).await;
    called.unwrap_or_else(|late| Err(RedisError::from(io::Error::from(late))))
}

fn millis(time: Duration) -> usize {
    time.as_millis() as usize
}

/// Enqueues jobs, and works until none is left: `cargo run -- ann tea cake`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL")
        .map_err(|_| "set REDIS_URL, for example to redis://127.0.0.1:6379")?;
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: WORKER JOB...")?;
    let queue = Queue {
        stream: "jobs".to_owned(),
        group: "workers".to_owned(),
        min_idle: Duration::from_secs(60),
        max_attempts: 5,
        max_jobs: 100_000,
    };
    let client = redis::Client::open(url)?;
    let mut redis = client.get_connection_manager().await?;
    for risk in risks(&mut redis).await? {
        eprintln!("jobs may be lost: {risk}");
    }
    for payload in arguments {
        queue.enqueue(&mut redis, &payload).await?;
    }
    let block = Duration::from_millis(100);
    let config = redis::aio::ConnectionManagerConfig::new()
        .set_response_timeout(Some(block + CALL));
    let own = client.get_connection_manager_with_config(config).await?;
    let mut worker = Worker::new(own, queue, &name, block);
    while let Some(job) = worker.next().await? {
        println!("{name}: {}, attempt {}", job.payload, job.attempt);
        worker.complete(&job).await?;
    }
    println!("{name}: no more jobs");
    Ok(())
}

//@ clock: real
//@ try: ann -> no more jobs
