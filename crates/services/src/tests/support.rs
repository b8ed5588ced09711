//! What several tests of this section need.

use std::env;
use std::future::pending;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use servers::{Kind, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};
use tokio_util::task::AbortOnDropHandle;

#[path = "../../../../tools/harness/support.rs"]
mod common;
pub use common::{child_of, poll_and_drop, soon};

/// The address of a PostgreSQL that all tests share: of DATABASE_URL, or a private one.
/// It ends with this program.
pub async fn postgres() -> String {
    shared(Kind::Postgres).await
}

/// A client of the PostgreSQL at this address, whose connection a task serves.
pub async fn connect(url: &str) -> Client {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) = connected.expect("it runs");
    tokio::spawn(connection);
    client
}

/// A client of a NATS, as [`postgres`].
pub async fn nats() -> async_nats::Client {
    let url = shared(Kind::Nats).await;
    async_nats::connect(url).await.expect("it runs")
}

/// The address of a MariaDB, as [`postgres`].
pub async fn mysql() -> String {
    shared(Kind::Mariadb).await
}

async fn shared(kind: Kind) -> String {
    static SERVERS: [OnceLock<Server>; 4] = [const { OnceLock::new() }; 4];
    if let Ok(url) = env::var(kind.variable()) {
        return url;
    }
    let url = spawn_blocking(move || {
        let start = || Server::start(kind).expect("the server starts");
        SERVERS[kind as usize].get_or_init(start).url()
    });
    url.await.expect("it does not panic")
}

/// A server of its own, for a test that attacks it.
pub async fn private(kind: Kind) -> Server {
    let server = spawn_blocking(move || Server::start(kind).expect("the server starts"));
    server.await.expect("it does not panic")
}

/// Kills the Redis. In its place somebody listens who accepts connections and says nothing.
pub fn go_silent(server: &mut Server) -> std::net::TcpListener {
    let address = server.url().replace("redis://", "");
    server.kill();
    let silent = std::net::TcpListener::bind(address.trim_end_matches('/'));
    silent.expect("the port is free")
}

/// A name that nobody else on this server has, as another program of this machine.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (process, count) = (process::id(), COUNT.fetch_add(1, Relaxed));
    format!("{name}_{process}_{count}")
}

/// As [`postgres`], of REDIS_URL.
pub async fn redis() -> String {
    shared(Kind::Redis).await
}

/// How often to attack: this often, or in full with `ATTACKS=full`.
pub fn times(quick: u32, full: u32) -> u32 {
    match env::var_os("ATTACKS") {
        Some(attacks) if attacks == "full" => full,
        Some(attacks) => panic!("ATTACKS={}, not full", attacks.display()),
        None => quick,
    }
}

/// When a server gives up a silent client, as with `tcp_keepalives_idle`. asyncpg may be
/// silent where no limit of PostgreSQL counts: `silent_after_a_parse_it_keeps_its_lock`.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Stands between clients and a server: cuts connections, slows them, and lets them go
/// silent.
pub struct CuttingProxy {
    url: String,
    faults: Arc<Faults>,
    silences: watch::Sender<()>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Faults {
    /// How many replies are still to be lost.
    cuts: AtomicU32,
    /// Half of each lost reply comes.
    halves: AtomicBool,
    /// How many milliseconds each packet takes.
    delay: AtomicU32,
}

impl CuttingProxy {
    /// Starts in front of the server at this URL.
    pub async fn start(url: &str) -> Self {
        let (_, rest) = url.split_once("://").expect("a URL");
        let server = rest.split('/').next().unwrap_or(rest);
        let server = server.rsplit('@').next().unwrap_or(server).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let faults = Arc::<Faults>::default();
        let silences = watch::Sender::new(());
        let (target, shared) = (server.clone(), Arc::clone(&faults));
        let silence = silences.clone();
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, faults) = (target.clone(), Arc::clone(&shared));
                let silence = silence.subscribe();
                connections.spawn(async move {
                    forward(client, &server, &faults, silence).await
                });
            }
        });
        Self {
            url: url.replace(&server, &address.to_string()),
            faults,
            silences,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// So many times, the server gets a request, and the connection is cut instead of the
    /// reply.
    pub fn cut(&self, replies: u32) {
        self.faults.halves.store(false, Relaxed);
        self.faults.cuts.store(replies, Relaxed);
    }

    /// As [`cut`](Self::cut), in the middle of the reply.
    pub fn cut_within(&self, replies: u32) {
        self.faults.halves.store(true, Relaxed);
        self.faults.cuts.store(replies, Relaxed);
    }

    /// From now on each packet takes so many milliseconds.
    pub fn slow(&self, millis: u32) {
        self.faults.delay.store(millis, Relaxed);
    }

    /// From now on the open connections carry nothing, and are not closed for the client,
    /// as after a failover. The server gives them up after [`KEEPALIVE`]. New ones work.
    pub fn silence(&self) {
        self.silences.send_replace(());
    }

    /// How many of them are still to come.
    pub fn left(&self) -> u32 {
        self.faults.cuts.load(Relaxed)
    }
}

impl Faults {
    fn delay(&self) -> Duration {
        Duration::from_millis(self.delay.load(Relaxed).into())
    }
}

async fn forward(
    mut client: TcpStream,
    server: &str,
    faults: &Faults,
    mut silence: watch::Receiver<()>,
) -> Option<()> {
    let mut server = TcpStream::connect(server).await.ok()?;
    let (mut request, mut reply) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            Ok(()) = silence.changed() => {
                sleep(KEEPALIVE).await;
                drop(server);
                return pending().await;
            }
            size = client.read(&mut request) => {
                let size = size.ok().filter(|size| *size > 0)?;
                sleep(faults.delay()).await;
                server.write_all(&request[..size]).await.ok()?;
            }
            size = server.read(&mut reply) => {
                let size = size.ok().filter(|size| *size > 0)?;
                sleep(faults.delay()).await;
                let less = |left: u32| left.checked_sub(1);
                if faults.cuts.fetch_update(Relaxed, Relaxed, less).is_ok() {
                    if faults.halves.load(Relaxed) {
                        client.write_all(&reply[..size / 2]).await.ok()?;
                    }
                    return None;
                }
                client.write_all(&reply[..size]).await.ok()?;
            }
        }
    }
}

/// Makes a role that may use the tables of a schema, and create none.
pub async fn role_without_create(
    client: &tokio_postgres::Client,
    schema: &str,
) -> String {
    let role = unique("role");
    let sql = format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"
    );
    client.batch_execute(&sql).await.expect("it runs");
    role
}
