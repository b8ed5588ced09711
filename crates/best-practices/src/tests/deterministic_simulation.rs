use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::Builder;
use turmoil::net::{TcpListener, TcpStream};

use crate::deterministic_simulation::{PAYMENTS, Setup, search, simulate};

const KNOWS: Setup = Setup {
    seed: 0,
    deduplicates: true,
    reply_timeout: Duration::from_millis(300),
    verbose: false,
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
        deduplicates: false,
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

/// A cut that heals loses nothing: TCP sends again. A client that waits gets its reply.
#[test]
fn a_patient_client_survives_the_cut() {
    let reply_timeout = Duration::from_secs(60);
    let start = Instant::now();
    for seed in 1..50 {
        let outcome = simulate(Setup {
            seed,
            reply_timeout,
            ..KNOWS
        });
        assert_eq!(outcome, Ok(PAYMENTS), "seed {seed}");
    }
    // More than a second of simulated time for each seed.
    assert!(start.elapsed() < Duration::from_secs(40));
}

#[tokio::test]
#[should_panic(expected = "Cannot start a runtime from within a runtime")]
async fn in_a_test_of_tokio() {
    simulate(KNOWS).expect("it has panicked before");
}

/// What `# Errors` says: no answer comes within a millisecond.
#[test]
fn a_client_that_has_not_finished_after_three_seconds_is_an_error() {
    let reply_timeout = Duration::from_millis(1);
    let outcome = simulate(Setup {
        seed: 1,
        reply_timeout,
        ..KNOWS
    });
    let error = outcome.expect_err("it never finishes");
    assert!(error.contains("3s"), "{error}");
}

/// Sends a number while the network is cut, and returns whether the reply ever comes.
fn is_answered(cut: fn(IpAddr, IpAddr), heal: fn(IpAddr, IpAddr)) -> bool {
    let mut simulation = Builder::new()
        .simulation_duration(Duration::from_secs(60))
        .build();
    let is_answered = Arc::new(AtomicBool::new(false));
    let answered = Arc::clone(&is_answered);
    simulation.host("server", async || {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let (mut connection, _) = listener.accept().await?;
        let number = connection.read_u32().await?;
        connection.write_u32(number).await?;
        std::future::pending().await
    });
    simulation.client("client", async move {
        let [client, server] = ["client", "server"].map(turmoil::lookup);
        let mut connection = TcpStream::connect("server:80").await?;
        cut(client, server);
        connection.write_u32(7).await?;
        sleep(Duration::from_secs(1)).await;
        heal(client, server);
        let answer = timeout(Duration::from_secs(30), connection.read_u32()).await;
        answered.store(answer.is_ok_and(|answer| answer.is_ok()), SeqCst);
        Ok(())
    });
    simulation.run().expect("the client ends");
    is_answered.load(SeqCst)
}

/// The trap.
#[test]
fn a_partition_loses_messages_for_good_and_a_hold_delivers_them_later() {
    assert!(!is_answered(turmoil::partition, turmoil::repair));
    assert!(is_answered(turmoil::hold, turmoil::release));
}
