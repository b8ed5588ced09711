//! Job queue on a Redis stream: a consumer group, whose workers take over from dead ones.
//!
//! A job that a worker gets is pending until it is acknowledged. After `min_idle`,
//! `XAUTOCLAIM` gives it to another worker. So each job runs at least once: make its
//! effect idempotent, for example by the job's id.
//!
//! Bounds: a call takes at most `CALL`, in addition to `block`. unbounded: waiting jobs.
//!
//! Trap: a blocking read blocks all calls that share its connection. A response timeout
//! shorter than `BLOCK` ends it. Each worker has a connection of its own here.
//!
//! Trap: with `COUNT 1`, `XAUTOCLAIM` looks at ten entries. If it starts at `0` each
//! time, ten busy workers hide the job of a dead one. Go on at the returned cursor.
//!
//! See also: `job_queue`, `job_workers`, `redis_pub_sub`.
//!
//! asyncio: asyncio.Queue.put, asyncio.Queue.get, asyncio.Queue.task_done

use std::io;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Client, IntoConnectionInfo, ProtocolVersion};
use redis::{RedisError, RedisResult, Script};
use tokio::time::timeout;

/// How long a call may take that does not block.
const CALL: Duration = Duration::from_secs(1);

/// Makes the group if it is missing, and takes over a job of another worker. Returns the
/// cursor, and the job's id, payload and attempt, which is 0 if there is none.
const TAKE_OVER: &str = r"
    local stream, group, name = KEYS[1], ARGV[1], ARGV[2]
    redis.pcall('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM')
    local claim = {'XAUTOCLAIM', stream, group, name, ARGV[3], ARGV[4], 'COUNT', 1}
    local claimed = redis.call(unpack(claim))
    local entry = claimed[2][1]
    if not entry then return {claimed[1], '', '', 0} end
    local id, payload = entry[1], entry[2][2]
    local attempt = redis.call('XPENDING', stream, group, id, id, 1)[1][4]
    if attempt <= tonumber(ARGV[5]) then return {claimed[1], id, payload, attempt} end
    redis.call('XADD', KEYS[2], '*', 'payload', payload)
    redis.call('XACK', stream, group, id)
    redis.call('XDEL', stream, id)
    return {claimed[1], '', '', 0}";

/// Connects to the server at a `redis://` URL. Clones share the connection.
///
/// A call fails if its connection is lost, and is not repeated. The manager connects
/// again. With RESP3 it notices a closed connection at once, otherwise by the next call.
///
/// # Errors
///
/// If there is no connection within about twice the `limit`.
pub async fn connect(url: &str, limit: Duration) -> RedisResult<ConnectionManager> {
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone();
    let settings = settings.set_protocol(ProtocolVersion::RESP3);
    let client = Client::open(info.set_redis_settings(settings))?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(limit))
        .set_response_timeout(Some(limit))
        // Calls wait for all retries. By default there are six: ten seconds and more.
        .set_number_of_retries(1);
    ConnectionManager::new_with_config(client, config).await
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
    /// Appends a job and returns its id. If the call fails, the job may be in the queue.
    pub async fn enqueue(
        &self,
        redis: &ConnectionManager,
        payload: &str,
    ) -> RedisResult<String> {
        let mut redis = redis.clone();
        let entry = [("payload", payload)];
        in_time(CALL, redis.xadd(&self.stream, "*", &entry)).await
    }
}

/// Gets jobs, under a name that no other worker of the group has.
#[derive(Debug)]
pub struct Worker {
    redis: ConnectionManager,
    queue: Queue,
    name: String,
    block: Duration,
    /// Where to go on with the search for jobs of dead workers.
    cursor: String,
}

impl Worker {
    /// Connects a worker, which waits up to `block` for a job.
    pub async fn connect(
        url: &str,
        queue: Queue,
        name: &str,
        block: Duration,
    ) -> RedisResult<Self> {
        Ok(Self {
            redis: connect(url, block + CALL).await?,
            queue,
            name: name.to_owned(),
            block,
            cursor: "0-0".to_owned(),
        })
    }

    /// Returns a job of a dead worker, or waits for a new one. Returns nothing after
    /// `block`: call it again.
    ///
    /// If it fails or is dropped, a job may be delivered. It is pending then, and
    /// delivered again after `min_idle`, as its next attempt.
    pub async fn next(&mut self) -> RedisResult<Option<Job>> {
        let Queue { stream, group, .. } = &self.queue;
        let script = Script::new(TAKE_OVER);
        let mut call = script.key(stream);
        call.key(format!("{stream}:dead"))
            .arg(group)
            .arg(&self.name);
        call.arg(millis(self.queue.min_idle)).arg(&self.cursor);
        call.arg(self.queue.max_attempts);
        let claimed = in_time(CALL, call.invoke_async(&mut self.redis)).await?;
        let (cursor, id, payload, attempt): (_, _, _, u32) = claimed;
        self.cursor = cursor;
        if attempt > 0 {
            return Ok(Some(Job {
                id,
                payload,
                attempt,
            }));
        }
        let options = StreamReadOptions::default();
        let options = options.group(group, &self.name).count(1);
        // 0 would block for ever.
        let options = options.block(millis(self.block).max(1));
        let (keys, new) = ([stream], [">"]);
        let reading = self.redis.xread_options(&keys, &new, &options);
        let reply: Option<StreamReadReply> = in_time(self.block + CALL, reading).await?;
        let keys = reply.into_iter().flat_map(|reply| reply.keys);
        let Some(entry) = keys.flat_map(|key| key.ids).next() else {
            return Ok(None);
        };
        let payload = entry.get("payload").unwrap_or_default();
        let (id, attempt) = (entry.id, 1);
        Ok(Some(Job {
            id,
            payload,
            attempt,
        }))
    }

    /// Removes the job from the queue. Returns whether it was still there. If not,
    /// another worker has completed it, or it is among the dead.
    ///
    /// # Errors
    ///
    /// If Redis fails or is late. The job may be delivered again then.
    pub async fn complete(&mut self, job: &Job) -> RedisResult<bool> {
        let Queue { stream, group, .. } = &self.queue;
        let ids = [&job.id];
        let mut both = redis::pipe();
        both.atomic().xack(stream, group, &ids).xdel(stream, &ids);
        let done = in_time(CALL, both.query_async(&mut self.redis)).await?;
        let (acknowledged, _deleted): (u32, u32) = done;
        Ok(acknowledged == 1)
    }
}

/// The limits of the connection do not count the wait for a new one.
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
    };
    let redis = connect(&url, CALL).await?;
    for payload in arguments {
        queue.enqueue(&redis, &payload).await?;
    }
    let block = Duration::from_millis(100);
    let mut worker = Worker::connect(&url, queue, &name, block).await?;
    while let Some(job) = worker.next().await? {
        println!("{name}: {}, attempt {}", job.payload, job.attempt);
        worker.complete(&job).await?;
    }
    println!("{name}: no more jobs");
    Ok(())
}

//@ clock: real
//@ try: ann -> no more jobs
