use std::time::{Duration, Instant};

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
