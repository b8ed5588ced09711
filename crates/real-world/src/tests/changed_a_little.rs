//! The changes that readers make first, tried on the public items: into a struct that is
//! shared and printed, into a spawned task, an error type of one's own, generic, and one
//! item more. Nothing runs here: the check is that it compiles.
#![expect(dead_code, reason = "it only has to compile")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::Hash;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use jiff::Zoned;
use jiff::civil::Time;
use reqwest::{Client, RequestBuilder, Url};
use rusqlite::Params;
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::{AcquireError, mpsc};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api_server::Jobs;
use crate::async_sqlite::{self, Closed};
use crate::background_services::{self, Restarts, Supervisor};
use crate::blocking_in_threads::BlockingPool;
use crate::chat_room::{Refused, Room, Seat};
use crate::connection_limits::{LimitedClient, LimitedResponse};
use crate::cron::{next_daily, run_on_schedule};
use crate::download_to_file::{self, DownloadError, download};
use crate::file_processor::{self, Convert, process};
use crate::graceful_shutdown::{Signals, Unfinished};
use crate::http_requests::{self, fetch_json};
use crate::http_server;
use crate::https_server;
use crate::job_queue::{Database, Job, JobQueue, QueueError};
use crate::job_workers::{Claim, Ended, Failure, Queue, Workers};
use crate::line_protocol::{self, LineDecoder};
use crate::multipart_form::{self, FormError, receive};
use crate::page_fetcher::{self, Pages};
use crate::pagination::{PageError, Source};
use crate::progress_bar::{Progress, counted};
use crate::protocols::Connection;
use crate::reconnecting_client;
use crate::reload_config::{ConfigError, ConfigFile};
use crate::request_handler::{ApiError, CallCache};
use crate::resume_download::{self, Part};
use crate::robots_txt::{Robots, RobotsError};
use crate::router::{Users, routes};
use crate::rpc_over_one_connection;
use crate::run_subprocess::{self, Group, RunError, run_to_end, spawn_merged};
use crate::scheduler::{NameTaken, Scheduler};
use crate::semaphore_rate_limiter::RateLimiter;
use crate::servers::{Server, bind};
use crate::sliding_window::{self, SlidingWindow};
use crate::sockets_by_hand::Reader;
use crate::sqlite_batch_insert::{BatchWriter, InsertError};
use crate::sqlite_pool::{PoolError, SqlitePool};
use crate::stdin_with_timeout::Lines;
use crate::subprocess_protocol::Process;
use crate::tls;
use crate::token_bucket::{InsufficientCapacity, RetryAfter, TokenBucket};
use crate::ttl_cache::{LoadError, TtlCache};
use crate::udp_ping::{PingError, Pinger};
use crate::upload::{UploadError, upload};
use crate::upload_server::UploadStore;
use crate::watch_files::FolderWatch;
use crate::web_scraper::{self, Crawl};
use crate::websocket_server;
use crate::write_whole_file::write_whole;

const SECOND: Duration = Duration::from_secs(1);

static BUCKET: LazyLock<TokenBucket> = LazyLock::new(|| TokenBucket::new(9, SECOND));
static CACHE: LazyLock<TtlCache<String, u32, Arc<AppError>>> =
    LazyLock::new(|| TtlCache::new(100, SECOND));
static USERS: LazyLock<Arc<Users>> = LazyLock::new(Arc::default);

#[derive(Debug)]
struct Clients {
    limited: LimitedClient,
    progress: Progress,
    response: Option<LimitedResponse>,
    pages: Pages,
    source: Source,
    part: Part,
    robots: HashMap<String, Robots>,
    calls: CallCache,
    pinger: Pinger,
    caller: rpc_over_one_connection::Client,
    connected: reconnecting_client::Client,
    bucket: TokenBucket,
    window: SlidingWindow,
    limiter: RateLimiter,
    cache: TtlCache<String, u32, Arc<AppError>>,
}

#[derive(Debug)]
struct Stores {
    owner: async_sqlite::Database,
    pool: SqlitePool,
    queue: JobQueue,
    jobs: Database,
    rows: BatchWriter<(String, u32)>,
    uploads: UploadStore,
    watch: FolderWatch,
    threads: BlockingPool,
    config: ConfigFile<HashMap<String, String>>,
}

#[derive(Debug)]
struct Servers {
    server: Server,
    lines: line_protocol::Server,
    decoder: LineDecoder,
    room: Arc<Room<String>>,
    seat: Seat<String>,
    connection: Connection,
    socket: websocket_server::Connection<TcpStream>,
    reader: Reader,
    input: Lines,
    process: Process,
    group: Group,
    signals: Signals,
    limits: (http_server::Limits, tls::Limits, websocket_server::Limits),
    https: (https_server::Certificate, https_server::Limits),
    workers: Workers<Stores>,
}

/// These hold closures, and have no `Debug`.
struct Running {
    jobs: Arc<Jobs>,
    scheduler: Scheduler,
    supervisor: Supervisor,
    crawl: Arc<tokio::sync::Mutex<Crawl<u32, AppError>>>,
    merged: BoxStream<'static, io::Result<run_subprocess::Line>>,
}

fn shared<T: Send + Sync + 'static>(value: T) -> Arc<T> {
    Arc::new(value)
}

fn share(clients: Clients, stores: Stores, servers: Servers, supervisor: Supervisor) {
    shared((clients, stores, servers));
    shared(supervisor);
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("a task has ended")]
    Task(#[from] JoinError),
    #[error(transparent)]
    Certificate(#[from] https_server::CertificateError),
    #[error(transparent)]
    Call(#[from] rpc_over_one_connection::CallError),
    #[error(transparent)]
    Request(#[from] reconnecting_client::RequestError),
    #[error("a file")]
    File(#[from] io::Error),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error(transparent)]
    Watch(#[from] notify::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Schedule(#[from] jiff::Error),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Fetch(#[from] http_requests::FetchError),
    #[error(transparent)]
    Page(#[from] page_fetcher::FetchError),
    #[error(transparent)]
    Pages(#[from] PageError),
    #[error(transparent)]
    Download(#[from] DownloadError),
    #[error(transparent)]
    Resume(#[from] resume_download::DownloadError),
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error(transparent)]
    Robots(#[from] RobotsError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Ping(#[from] PingError),
    #[error(transparent)]
    Retry(#[from] RetryAfter),
    #[error(transparent)]
    RetryLater(#[from] sliding_window::RetryAfter),
    #[error(transparent)]
    Tokens(#[from] InsufficientCapacity),
    #[error(transparent)]
    Stopped(#[from] AcquireError),
    #[error(transparent)]
    Load(#[from] LoadError<Arc<AppError>>),
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("no account has that")]
    Pool(#[from] PoolError<Box<AppError>>),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Insert(#[from] InsertError),
    #[error(transparent)]
    Chat(#[from] Refused),
    #[error(transparent)]
    Line(#[from] line_protocol::Failure),
    #[error(transparent)]
    Name(#[from] NameTaken),
    #[error(transparent)]
    Service(#[from] background_services::NameTaken),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    #[error(transparent)]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl Clients {
    fn get(&self, url: &str) -> RequestBuilder {
        self.source.client.get(url)
    }

    async fn limited(&self, url: &str) -> Result<u32, AppError> {
        BUCKET.acquire_many(2).await?;
        self.limiter.acquire().await?;
        self.window.try_acquire()?;
        self.bucket.try_acquire()?;
        let response = self.limited.execute(self.get(url).build()?).await?;
        let (key, length) = (url.to_owned(), response.text().await?.len());
        let load = async move { u32::try_from(length).map_err(|_| Arc::new(long())) };
        let length = self.cache.get_or_load(key.clone(), load).await?;
        CACHE.insert(key, length);
        Ok(length)
    }

    async fn all(&mut self, url: Url, folder: PathBuf) -> Result<usize, AppError> {
        let robots = Robots::fetch(&self.source.client, &url, "me").await?;
        self.robots.insert(url.to_string(), robots);
        while let Some((_, _, page)) = self.pages.next().await {
            page?;
        }
        self.part
            .fetch(self.get(url.as_str()), 1 << 20, |_, _| ())
            .await?;
        let call = async { Ok("a page".into()) };
        let page = self.calls.get(url.path(), call).await?;
        self.pinger.ping().await?;
        let limits = download_to_file::Limits {
            max_bytes: 1 << 30,
            stall: SECOND,
            max_time: SECOND,
        };
        let (request, target) = (self.get(url.as_str()), folder.join("page"));
        download(request, &target, &limits, |_, _| ()).await?;
        upload(self.get(url.as_str()), &target, SECOND, |_| ()).await?;
        write_whole(target, page.to_string()).await?;
        Ok(page.len())
    }
}

fn long() -> AppError {
    AppError::File(io::ErrorKind::FileTooLarge.into())
}

impl Stores {
    async fn store(&self, name: &str) -> Result<i64, AppError> {
        let (first, second) = (name.to_owned(), name.to_owned());
        let sql = "SELECT count(*) FROM users WHERE name = ?1";
        let count = self
            .owner
            .call(move |db| db.query_row(sql, [first], |row| row.get(0)));
        let count: i64 = count.await??;
        let refuse = move |db: &mut rusqlite::Connection| {
            let found = db.query_row(sql, [second], |row| row.get(0));
            let found: i64 = found.map_err(|error| Box::new(error.into()))?;
            if found > 9 {
                Err(Box::new(long()))
            } else {
                Ok(found)
            }
        };
        let found = self.pool.writer.run(refuse).await?;
        self.rows.insert((name.to_owned(), 1)).await?;
        let (queue, payload) = (self.queue, name.to_owned());
        let add = move |db: &rusqlite::Transaction<'_>| {
            queue.enqueue(db, &payload, Duration::ZERO)
        };
        self.jobs.transaction(add).await?;
        let blocks = self.threads.run(|| std::fs::read("log")).await?;
        Ok(found + count + i64::try_from(blocks?.len()).map_err(|_| long())?)
    }
}

/// The queue of the stores, for the workers.
impl Queue for Stores {
    type Job = Job;
    type Output = u32;
    type Failure = Failure;
    type Error = QueueError;

    async fn claim(&self) -> Result<Claim<Job>, QueueError> {
        let queue = self.queue;
        let job = self.jobs.transaction(move |db| queue.claim(db)).await?;
        Ok(job.map_or(Claim::Empty(SECOND), Claim::Job))
    }

    async fn extend(&self, job: &Job) -> Result<bool, QueueError> {
        let (queue, job) = (self.queue, job.clone());
        let extended = self.jobs.transaction(move |db| queue.extend(db, &job));
        match extended.await {
            Err(QueueError::LeaseLost) => Ok(false),
            extended => extended.map(|()| true),
        }
    }

    async fn complete(&self, job: &Job, _: u32) -> Result<(), QueueError> {
        let (queue, job) = (self.queue, job.clone());
        self.jobs
            .transaction(move |db| queue.complete(db, &job))
            .await
    }

    async fn fail(
        &self,
        job: &Job,
        ended: Ended<Failure, QueueError>,
    ) -> Result<(), QueueError> {
        let (queue, job, error) = (self.queue, job.clone(), ended.to_string());
        self.jobs
            .transaction(move |db| queue.fail(db, &job, &error))
            .await
    }

    fn report(&self, error: QueueError) {
        eprintln!("{error}");
    }

    fn lost(&self, job: &Job) {
        eprintln!("job {} is lost", job.id);
    }
}

async fn handle(job: Job) -> anyhow::Result<u32> {
    Ok(job.payload.parse()?)
}

impl Servers {
    async fn work(self: Arc<Self>, stop: CancellationToken) {
        self.workers
            .work(&stop, async |job| Ok(handle(job).await?))
            .await;
    }

    async fn talk(&mut self) -> anyhow::Result<()> {
        while let Some(line) = self.input.next().await? {
            self.room.tell(line);
            self.process.next().await?;
        }
        let another = self.room.join("another")?;
        drop((another, self.signals.next().await));
        self.connection.write_and_drain(b"bye".to_vec()).await?;
        self.server.close().await;
        Ok(())
    }
}

impl Running {
    fn start(&mut self, name: &str) -> Result<(), AppError> {
        let (first, skip) = (Duration::ZERO, MissedTickBehavior::Skip);
        let client = Client::new();
        let visit = move |url: Url| {
            let client = client.clone();
            async move { Ok::<_, AppError>(client.get(url).send().await?.status()) }
        };
        let url: Arc<str> = name.into();
        self.scheduler.add(name, first, SECOND, skip, move || {
            let (url, visit) = (Arc::clone(&url), visit.clone());
            async move { visit(url.parse().map_err(|_| long())?).await.map(drop) }
        })?;
        self.supervisor.start(name, |stop| async move {
            stop.cancelled().await;
            anyhow::Ok(())
        })?;
        self.jobs.submit(name.to_owned()).map_err(|_| long())?;
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<u32>, AppError> {
        self.merged.try_next().await?;
        let page = self.crawl.lock().await.next().await;
        page.map(|(_, page)| page).transpose()
    }
}

type Both = (Servers, Running);

fn spawn_methods(clients: Arc<Clients>, mut own: Clients, stores: Arc<Stores>, url: Url) {
    let text = url.to_string();
    tokio::spawn(async move { clients.limited(&text).await });
    tokio::spawn(async move { own.all(url, PathBuf::new()).await });
    tokio::spawn(async move { stores.store("name").await });
}

fn spawn_servers(servers: Arc<Servers>, (mut own, mut running): Both) {
    tokio::spawn(servers.work(CancellationToken::new()));
    tokio::spawn(async move {
        own.talk().await?;
        running.start("name")?;
        running.next().await?;
        anyhow::Ok(running.supervisor.stop(SECOND).await.len())
    });
}

fn spawn_processes(limits: run_subprocess::Limits, mut command: Command) {
    tokio::spawn(async move {
        let (_group, mut lines) = spawn_merged(&mut command)?;
        while let Some(line) = lines.try_next().await? {
            drop(line);
        }
        let status = run_to_end(&mut command, Vec::new(), limits, |_| ()).await?;
        Ok::<_, AppError>(status)
    });
}

/// Each server with a state that all connections share.
fn serve_with_state(
    listeners: [TcpListener; 2],
    limits: (http_server::Limits, tls::Limits, websocket_server::Limits),
    config: Arc<tokio_rustls::rustls::ServerConfig>,
) -> Result<Server, AppError> {
    let (count, stop) = (Arc::new(Mutex::new(0)), CancellationToken::new());
    let [first, second] = listeners;
    let app = routes(Arc::clone(&USERS)).route("/more", axum::routing::get("more"));
    tokio::spawn(http_server::serve(first, app, limits.0, stop.clone()));
    let seen = Arc::clone(&count);
    let handle = move |mut stream: tokio_rustls::server::TlsStream<TcpStream>| {
        let seen = Arc::clone(&seen);
        async move {
            if let Ok(mut seen) = seen.lock() {
                *seen += 1;
            }
            stream.write_all(b"hello").await
        }
    };
    tokio::spawn(tls::serve(second, config, limits.1, stop, handle));
    let sockets = bind(&[([127, 0, 0, 1], 0).into()], false)?;
    Ok(Server::start_serving(sockets, 9, move |stream| {
        let count = Arc::clone(&count);
        async move { drop((stream, count)) }
    })?)
}

fn serve_websockets(
    listener: TcpListener,
    limits: websocket_server::Limits,
    room: Arc<Room<tokio_tungstenite::tungstenite::Utf8Bytes>>,
) -> JoinHandle<()> {
    let handle = move |mut connection: websocket_server::Connection<TcpStream>| {
        let room = Arc::clone(&room);
        async move {
            let Ok(name) = connection.next().await else {
                return;
            };
            let Ok(mut seat) = room.join(name.as_str()) else {
                return;
            };
            let voice = seat.voice();
            connection
                .converse(&mut seat.messages, |text| voice(text.as_str()))
                .await;
        }
    };
    let stop = CancellationToken::new();
    tokio::spawn(websocket_server::serve(listener, limits, stop, handle))
}

/// With a state that all connections share, and a certificate that is renewed.
fn serve_https(
    listener: TcpListener,
    certificate: https_server::Certificate,
    limits: https_server::Limits,
) -> JoinHandle<Result<(), AppError>> {
    let certificate = Arc::new(certificate);
    let (app, stop) = (routes(Arc::clone(&USERS)), CancellationToken::new());
    tokio::spawn(https_server::serve(
        listener,
        Arc::clone(&certificate),
        app,
        limits,
        stop,
    ));
    tokio::spawn(async move { Ok(certificate.reload()?) })
}

/// Calls and requests of a generic type, in tasks, with an error of one's own.
fn spawn_calls<T>(
    caller: rpc_over_one_connection::Client,
    connected: Arc<reconnecting_client::Client>,
    value: T,
) -> JoinHandle<Result<usize, AppError>>
where
    T: Into<Vec<u8>> + Send + 'static,
{
    tokio::spawn(async move {
        let value: Vec<u8> = value.into();
        let reply = caller.call(value.into()).await?;
        let text = connected.request(String::new()).await?;
        Ok(reply.len() + text.len())
    })
}

/// Each call may use what all connections share.
fn spawn_answer(stream: TcpStream, limits: rpc_over_one_connection::Limits) {
    let count = Arc::new(Mutex::new(0));
    tokio::spawn(rpc_over_one_connection::answer(
        stream,
        limits,
        move |request| {
            let count = Arc::clone(&count);
            async move {
                if let Ok(mut count) = count.lock() {
                    *count += request.len();
                }
                request
            }
        },
    ));
}

/// Converts with a client, and fails with its own error.
struct Translate(Client);

impl Convert for Translate {
    async fn convert(
        &self,
        input: File,
        output: &mut BufWriter<File>,
    ) -> Result<(), file_processor::Failure> {
        if input.metadata().await?.len() > 9 {
            return Err(long().into());
        }
        let text = self.0.get("http://localhost/").send().await?.text().await?;
        Ok(output.write_all(text.as_bytes()).await?)
    }
}

fn spawn_conversions<C: Convert>(converter: Arc<C>, files: Vec<PathBuf>) {
    let (from, to) = (PathBuf::from("in"), PathBuf::from("out"));
    tokio::spawn(process(converter, from, to, files, 9).collect::<Vec<_>>());
}

fn spawn_items<T: DeserializeOwned + Send + 'static>(source: Source, url: String) {
    let request = source.client.get(url);
    tokio::spawn(async move {
        let first: T = fetch_json(request).await?;
        let all = source
            .items::<T>()
            .map_err(AppError::from)
            .try_collect::<Vec<_>>();
        Ok::<_, AppError>((first, all.await?))
    });
}

async fn cached<K, V, Fut>(
    cache: &TtlCache<K, V, Infallible>,
    key: K,
    load: Fut,
) -> Option<V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
    Fut: Future<Output = V> + Send + 'static,
{
    cache.get_or_load(key, async { Ok(load.await) }).await.ok()
}

async fn inserted<P: Params + Send + 'static>(
    writer: &BatchWriter<P>,
    rows: Vec<P>,
) -> Result<(), InsertError> {
    for row in rows {
        writer.clone().insert(row).await?;
    }
    Ok(())
}

/// A crawl of anything, into a channel.
fn spawn_crawl<T, F>(
    visit: impl Fn(Url) -> F + Send + 'static,
    limits: web_scraper::Limits,
) -> mpsc::Receiver<T>
where
    T: Send + 'static,
    F: Future<Output = web_scraper::Visit<T, AppError>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut crawl = Crawl::new(Vec::new(), limits, visit);
        while let Some((_, Ok(value))) = crawl.next().await {
            if sender.send(value).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Forms for a router with any state, and an error of one's own.
fn receive_forms<S: Clone + Send + Sync + 'static>(
    folder: PathBuf,
    limits: multipart_form::Limits,
) -> Router<S> {
    let count = move |request: Request| {
        let folder = folder.clone();
        async move {
            let form = receive(request, &folder, limits).await?;
            for file in form.files {
                let target = folder.join(fastrand::u64(..).to_string());
                file.store(target).await?;
            }
            Ok::<_, FormError>(form.fields.len().to_string())
        }
    };
    Router::new().route("/", post(count))
}

/// Watches and counts in a task.
fn spawn_watch(folder: PathBuf, progress: Progress) -> JoinHandle<Result<(), AppError>> {
    tokio::spawn(async move {
        let mut watch = FolderWatch::new(&folder, 9)?;
        let bar = progress.add("changes", None);
        while let Some(changes) = watch.changes(SECOND, SECOND).await {
            let bytes =
                futures::stream::iter([Ok::<_, AppError>(format!("{changes:?}"))]);
            counted(bytes, bar.clone()).try_collect::<Vec<_>>().await?;
        }
        Ok(())
    })
}

/// Runs anything each midnight, with an error of one's own.
fn spawn_nightly<F>(
    clock: Arc<dyn Fn() -> Zoned + Send + Sync>,
    stop: CancellationToken,
    job: impl FnMut(Zoned) -> F + Send + 'static,
) -> JoinHandle<Result<(), AppError>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let next = |after: &Zoned| Ok(next_daily(after, Time::MIN)?);
    tokio::spawn(async move { run_on_schedule(|| clock(), next, &stop, job).await })
}

/// Reloads values of any type when somebody asks.
fn spawn_reloads<T: DeserializeOwned + Send + Sync + 'static>(
    mut config: ConfigFile<T>,
    mut asked: mpsc::Receiver<()>,
) -> JoinHandle<Result<(), AppError>> {
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            config.reload().await?;
        }
        Ok(())
    })
}

fn supervised(restarts: Restarts, log: mpsc::UnboundedSender<String>) -> Supervisor {
    Supervisor::new(restarts, move |name, failure, _| {
        let _ = log.send(format!("{name}: {failure}"));
    })
}
