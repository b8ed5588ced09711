//! Simulate a network and its partitions with turmoil, on simulated time, from a seed.
//!
//! The crate `turmoil` runs the client and the server of a program on one thread, each in
//! its own runtime with a paused clock. The seed, a number, decides how long each message
//! takes. Try seed after seed; a seed that finds a bug finds it again in each run.
//!
//! turmoil has its own sockets, which take the place of Tokio's sockets in the
//! simulation. So make your functions generic over `AsyncRead + AsyncWrite`, the traits
//! (of `tokio::io`) that both kinds of sockets have. To an HTTP client of the crate
//! `hyper`, pass a connector that opens its connections on turmoil's sockets. Call
//! turmoil's `run` from a plain `fn`: in a runtime it panics with "Cannot start a runtime
//! from within a runtime".
//!
//! Trap: If you cut the network with `turmoil::partition`, messages are lost for good,
//! but real TCP sends them again when the network is back. To simulate an outage, call
//! `turmoil::hold`, which keeps the messages back, and later `release`, which delivers
//! them.
//!
//! Trap: If your code depends on the order of a `HashMap`, on the system's clock, or on a
//! `select!` without `biased`, the same seed may give another result. Use a `BTreeMap`,
//! the clock of `tokio::time`, and `biased`, with which `select!` tries the arms in the
//! order written. Without `biased`, `select!` begins with a random arm, and this choice
//! has a seed only under `--cfg tokio_unstable`.
//!
//! See also: `property_test`, `model_checking`, `test_timeouts_and_retries`.
//!
//! asyncio: asyncio.open_connection, asyncio.start_server, asyncio.timeout

use std::collections::HashSet;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::Builder;
use turmoil::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error>;

/// The state of the server. It outlives the simulation, as a disk would.
#[derive(Debug, Default)]
struct Ledger {
    total: u32,
    seen: HashSet<u32>,
}

/// The parameters of one simulation.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Decides how long each message takes.
    pub seed: u64,
    /// Whether the server ignores a payment that it has seen before.
    pub deduplicates: bool,
    /// How long the client waits for a reply, and the server for a payment.
    pub reply_timeout: Duration,
    /// Whether to print each step.
    pub verbose: bool,
}

pub const PAYMENTS: u32 = 3;

/// A client makes its payments, and the network is cut for a while. Returns how many
/// payments the server has counted.
///
/// # Errors
///
/// If the client has not finished after three simulated seconds.
///
/// # Panics
///
/// Inside of a runtime.
pub fn simulate(setup: Setup) -> Result<u32, String> {
    let mut sim = Builder::new()
        .rng_seed(setup.seed)
        .tick_duration(Duration::from_millis(10))
        .min_message_latency(Duration::from_millis(10))
        .max_message_latency(Duration::from_millis(100))
        .simulation_duration(Duration::from_secs(3))
        .build();
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let of_server = Arc::clone(&ledger);
    sim.host("server", move || serve(setup, Arc::clone(&of_server)));
    sim.client("client", async move {
        for payment in 1..=PAYMENTS {
            pay(setup, payment).await;
        }
        Ok(())
    });
    sim.client("network", async move {
        sleep(Duration::from_millis(350)).await;
        setup.log("the network is cut");
        turmoil::hold("client", "server");
        sleep(Duration::from_millis(400)).await;
        setup.log("the network is healed");
        turmoil::release("client", "server");
        Ok(())
    });
    sim.run().map_err(|error| error.to_string())?;
    let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(ledger.total)
}

async fn serve(setup: Setup, ledger: Arc<Mutex<Ledger>>) -> Result<(), Failure> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (connection, _) = listener.accept().await?;
        let answer = confirm(setup, Arc::clone(&ledger), connection);
        tokio::spawn(timeout(setup.reply_timeout, answer));
    }
}

async fn confirm(
    setup: Setup,
    ledger: Arc<Mutex<Ledger>>,
    mut connection: TcpStream,
) -> io::Result<()> {
    let payment = connection.read_u32().await?;
    {
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = ledger.seen.insert(payment);
        if is_new || !setup.deduplicates {
            ledger.total += 1;
        }
        setup.log(&format!(
            "server: payment {payment}, total {}",
            ledger.total
        ));
    }
    connection.write_u32(payment).await
}

/// Sends the payment until the server has confirmed it.
async fn pay(setup: Setup, payment: u32) {
    loop {
        match timeout(setup.reply_timeout, try_to_pay(payment)).await {
            Ok(Ok(())) => {
                setup.log(&format!("client: payment {payment} is confirmed"));
                return;
            }
            Ok(Err(error)) => setup.log(&format!("client: {}", error.kind())),
            Err(_) => setup.log(&format!("client: no answer to payment {payment}")),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn try_to_pay(payment: u32) -> io::Result<()> {
    let mut connection = TcpStream::connect("server:80").await?;
    connection.write_u32(payment).await?;
    connection.read_u32().await?;
    Ok(())
}

impl Setup {
    fn log(&self, text: &str) {
        if self.verbose {
            let time = turmoil::sim_elapsed().unwrap_or_default();
            println!("{:>5} ms: {text}", time.as_millis());
        }
    }
}

/// Runs the seeds in turn up to the first unexpected outcome, and returns all outcomes.
pub fn search(setup: Setup, seeds: u64) -> Vec<(u64, Result<u32, String>)> {
    let mut outcomes = Vec::new();
    for seed in 1..=seeds {
        let outcome = simulate(Setup { seed, ..setup });
        let is_expected = outcome == Ok(PAYMENTS);
        outcomes.push((seed, outcome));
        if !is_expected {
            break;
        }
    }
    outcomes
}

/// Tries seeds, and prints the steps of the first that fails: `cargo run -- 1000`.
pub fn main() -> Result<(), Box<dyn Error>> {
    let seeds: u64 = std::env::args().nth(1).ok_or("usage: SEEDS")?.parse()?;
    let setup = Setup {
        seed: 0,
        deduplicates: true,
        reply_timeout: Duration::from_millis(300),
        verbose: false,
    };
    match search(setup, seeds).last() {
        Some(&(seed, ref outcome)) if *outcome != Ok(PAYMENTS) => {
            let again = Setup {
                seed,
                verbose: true,
                ..setup
            };
            println!("seed {seed}: {:?}", simulate(again)?);
        }
        _ => println!("{seeds} seeds pass"),
    }
    Ok(())
}

//@ clock: real
//@ twin: none (asyncio has no simulated network)
//@ try: 20 -> 20 seeds pass
