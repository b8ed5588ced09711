//! Simulate a network and its partitions with turmoil, on simulated time, from a seed.
//!
//! turmoil runs the hosts of a program on one thread, each on a paused runtime of its
//! own, and delays or drops their messages as the seed says. So an unlucky network is
//! searched for, seed by seed, and the seed that finds a bug repeats it step by step. Its
//! sockets stand in for Tokio's: write what talks over any `AsyncRead + AsyncWrite`, and
//! give hyper or tonic a connector. The traps: it knows nothing of what takes chance
//! elsewhere (`select!` without `biased`, a `HashMap`'s order, the system's clock). It
//! sends nothing again, so who waits without a timeout waits for ever, as with a cable
//! that is cut. Its `run` panics inside of a runtime ("Cannot start a runtime from within
//! a runtime"), and `spawn_blocking` is the way out. The milliseconds in the lines are
//! simulated.
//!
//! asyncio: asyncio.open_connection, asyncio.start_server, asyncio.timeout
//! clock: real
//! twin: none (asyncio has no simulated network)

use std::collections::HashSet;
use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, interval_at, sleep, timeout};
use turmoil::Builder;
use turmoil::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error>;

/// What the server keeps. It is outside of the simulation, as a disk would be.
#[derive(Debug, Default)]
struct Ledger {
    total: u32,
    seen: HashSet<u32>,
}

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Where the delays of the messages come from.
    pub seed: u64,
    /// Whether the server looks whether it has seen a payment before.
    pub knows_repeats: bool,
    /// How long the client waits for an answer.
    pub patience: Duration,
    /// Whether each step is printed.
    pub told: bool,
}

const PAYMENTS: u32 = 3;

/// A client makes its payments, and the network is cut for a while. Returns how many the
/// server has counted.
///
/// # Errors
///
/// When the client is not done after three simulated seconds.
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
        setup.say("the network is cut");
        turmoil::partition("client", "server");
        sleep(Duration::from_millis(400)).await;
        setup.say("the network is healed");
        turmoil::repair("client", "server");
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
        tokio::spawn(timeout(setup.patience, answer));
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
        if is_new || !setup.knows_repeats {
            ledger.total += 1;
        }
        setup.say(&format!(
            "server: payment {payment}, total {}",
            ledger.total
        ));
    }
    connection.write_u32(payment).await
}

/// Pays until the server has confirmed it.
async fn pay(setup: Setup, payment: u32) {
    loop {
        match timeout(setup.patience, try_to_pay(payment)).await {
            Ok(Ok(())) => {
                setup.say(&format!("client: payment {payment} is confirmed"));
                return;
            }
            Ok(Err(error)) => setup.say(&format!("client: {}", error.kind())),
            Err(_) => setup.say(&format!("client: no answer to payment {payment}")),
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
    fn say(&self, text: &str) {
        if self.told {
            let time = turmoil::sim_elapsed().unwrap_or_default();
            println!("{:>5} ms: {text}", time.as_millis());
        }
    }
}

/// Whatever comes of it, for each seed up to one that is not as expected.
fn search(setup: Setup, seeds: u64) -> Vec<(u64, Result<u32, String>)> {
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

pub async fn run() -> Result<(), JoinError> {
    // Each part is shown at its time, however long the simulations took.
    let pause = Duration::from_millis(400);
    let mut part = interval_at(Instant::now() + pause, pause);
    let naive = Setup {
        seed: 0,
        knows_repeats: false,
        patience: Duration::from_millis(300),
        told: false,
    };

    let outcomes = spawn_blocking(move || search(naive, 20)).await?;
    part.tick().await;
    println!("A server that counts what comes:");
    for (seed, outcome) in &outcomes {
        println!("seed {seed}: {outcome:?}");
    }

    part.tick().await;
    let seed = outcomes.len() as u64;
    println!("Seed {seed} again:");
    let told = Setup {
        seed,
        told: true,
        ..naive
    };
    let again = spawn_blocking(move || simulate(told)).await?;
    println!("{again:?}");

    let knows_repeats = Setup {
        knows_repeats: true,
        ..naive
    };
    let outcomes = spawn_blocking(move || search(knows_repeats, seed)).await?;
    part.tick().await;
    println!("A server that knows a payment again:");
    if let Some((seed, outcome)) = outcomes.last() {
        println!("up to seed {seed}: {outcome:?}");
    }

    let patience = Duration::from_secs(60);
    let no_timeout = Setup {
        seed,
        patience,
        ..knows_repeats
    };
    let outcome = spawn_blocking(move || simulate(no_timeout)).await?;
    part.tick().await;
    println!("A client that waits for a minute:");
    println!("seed {seed}: {outcome:?}");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{PAYMENTS, Setup, search, simulate};

    const KNOWS: Setup = Setup {
        seed: 0,
        knows_repeats: true,
        patience: Duration::from_millis(300),
        told: false,
    };

    #[test]
    fn no_seed_makes_it_wrong() {
        let outcomes = search(KNOWS, 200);
        assert_eq!(outcomes.last(), Some(&(200, Ok(PAYMENTS))));
    }

    #[test]
    fn a_seed_repeats_itself() {
        let naive = |seed| Setup {
            seed,
            knows_repeats: false,
            ..KNOWS
        };
        let totals = |_| {
            (1..20)
                .map(|seed| simulate(naive(seed)))
                .collect::<Vec<_>>()
        };
        let [first, second] = [(); 2].map(totals);
        assert_eq!(first, second);
        assert!(first.contains(&Ok(PAYMENTS)) && first.contains(&Ok(PAYMENTS + 1)));
    }

    #[test]
    fn simulated_time_takes_no_time() {
        let patience = Duration::from_secs(60);
        let start = Instant::now();
        let error = simulate(Setup {
            seed: 10,
            patience,
            ..KNOWS
        });
        assert!(error.is_err_and(|text| text.starts_with("Ran for duration: 3s")));
        assert!(start.elapsed() < Duration::from_secs(3));
    }

    #[tokio::test]
    #[should_panic(expected = "Cannot start a runtime from within a runtime")]
    async fn in_a_test_of_tokio() {
        simulate(KNOWS).expect("it has panicked before");
    }
}
