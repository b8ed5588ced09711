//! A price from two hosts, and a card that is charged twice.

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::hedged_request::{BothFailed, hedged};

/// Prints when it is closed, after an answer or by a drop.
struct Connection(&'static str);

impl Connection {
    fn open(host: &'static str) -> Self {
        println!("{host} is asked");
        Self(host)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        println!("{} closed", self.0);
    }
}

/// What a host says, and after how many milliseconds.
type Script = (u64, Result<u32, &'static str>);

async fn ask(host: &'static str, (millis, answer): Script) -> Result<String, String> {
    let _connection = Connection::open(host);
    sleep(Duration::from_millis(millis)).await;
    match answer {
        Ok(price) => Ok(format!("{price} from {host}")),
        Err(error) => Err(format!("{host}: {error}")),
    }
}

/// The same service on two hosts.
pub struct Prices {
    delay: Duration,
    hosts: [(&'static str, Script); 2],
}

impl Prices {
    /// Sends the first attempt to the first host, and the second to the other.
    async fn price(&self) -> Result<String, BothFailed<String>> {
        let mut hosts = self.hosts.into_iter();
        let request = || {
            let (host, script) = hosts.next().expect("there are at most two attempts");
            ask(host, script)
        };
        hedged(self.delay, request).await
    }
}

/// Asks a server to charge a card. It does so in its own task, as servers do.
async fn charge(
    servers: &TaskTracker,
    host: &'static str,
    millis: u64,
) -> Result<String, JoinError> {
    let server = servers.spawn(async move {
        sleep(Duration::from_millis(millis)).await;
        println!("the card is charged by {host}");
        format!("receipt from {host}")
    });
    server.await
}

pub async fn run() {
    let delay = Duration::from_millis(200);
    let scripts: [(&str, Script, Script); 6] = [
        ("The first answers in time:", (100, Ok(7)), (0, Ok(9))),
        ("The second is quicker:", (500, Ok(7)), (100, Ok(9))),
        (
            "The first is late and still quicker:",
            (300, Ok(7)),
            (200, Ok(9)),
        ),
        ("The first fails:", (100, Err("unreachable")), (100, Ok(9))),
        ("The second fails:", (400, Ok(7)), (100, Err("busy"))),
        ("Both fail:", (400, Err("unreachable")), (100, Err("busy"))),
    ];
    for (phase, first, second) in scripts {
        println!("{phase}");
        let hosts = [("alpha", first), ("beta", second)];
        match (Prices { delay, hosts }).price().await {
            Ok(price) => println!("{price}"),
            Err(error) => println!("{error}"),
        }
    }

    println!("The caller times out after 0.3 s:");
    let hosts = [("alpha", (500, Ok(7))), ("beta", (500, Ok(9)))];
    let prices = Prices { delay, hosts };
    let limit = Duration::from_millis(300);
    if timeout(limit, prices.price()).await.is_err() {
        println!("timed out");
    }

    println!("A request that is not idempotent:");
    let servers = TaskTracker::new();
    let mut hosts = [("alpha", 400), ("beta", 100)].into_iter();
    let request = || {
        let (host, millis) = hosts.next().expect("there are at most two attempts");
        charge(&servers, host, millis)
    };
    match hedged(delay, request).await {
        Ok(receipt) => println!("{receipt}"),
        Err(error) => println!("{error}"),
    }
    servers.close();
    servers.wait().await;
}
