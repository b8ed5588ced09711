use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, Config, NoTls};

use super::support::{poll_and_drop, postgres, soon, unique};
use crate::pg_cron_once::{CronError, Run, Schedule, Turn, create_table};

const TENTH: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);

/// Tables in a schema of their own.
struct Office {
    name: String,
    client: Client,
}

async fn connect_to(name: &str) -> Client {
    let mut config: Config = postgres().await.parse().expect("a URL");
    config.options(format!("-c search_path={name}"));
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    client
}

impl Office {
    async fn new() -> Self {
        let name = unique("cron");
        let client = connect_to(&name).await;
        let sql = format!(
            "CREATE SCHEMA {name}; CREATE TABLE {name}.effects (tick TIMESTAMPTZ)"
        );
        client.batch_execute(&sql).await.expect("it runs");
        create_table(&client).await.expect("it runs");
        Self { name, client }
    }

    async fn connect(&self) -> Client {
        connect_to(&self.name).await
    }

    /// How often each tick had its effect.
    async fn effects(&self) -> BTreeMap<SystemTime, i64> {
        let sql = "SELECT tick, count(*) FROM effects GROUP BY tick";
        let rows = self.client.query(sql, &[]).await.expect("it runs");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.name);
        self.client.batch_execute(&sql).await.expect("it runs");
    }
}

/// Of a tick each hour, the last one at most an hour ago.
fn hourly() -> Schedule {
    Schedule {
        name: "report".to_owned(),
        first: UNIX_EPOCH,
        interval: 60 * MINUTE,
        lease: MINUTE,
        max_attempts: 3,
    }
}

async fn run(schedule: &Schedule, client: &Client) -> Run {
    match schedule.turn(client).await.expect("it runs") {
        Turn::Run(run) => run,
        Turn::Wait(wait) => panic!("wait {wait:?}"),
    }
}

async fn wait(schedule: &Schedule, client: &Client) -> Duration {
    match schedule.turn(client).await.expect("it runs") {
        Turn::Wait(wait) => wait,
        Turn::Run(run) => panic!("{run:?}"),
    }
}

async fn store(
    client: &mut Client,
    schedule: &Schedule,
    run: &Run,
) -> Result<(), CronError> {
    let transaction = client.transaction().await?;
    schedule.finish(&transaction, run).await?;
    let sql = "INSERT INTO effects VALUES ($1)";
    transaction.execute(sql, &[&run.tick]).await?;
    Ok(transaction.commit().await?)
}

/// Some machines die in the middle, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn each_tick_of_many_machines_has_one_effect() {
    let office = Office::new().await;
    let schedule = Schedule {
        interval: TENTH / 5,
        max_attempts: i32::MAX,
        ..hourly()
    };
    let mut machines = JoinSet::new();
    for machine in 0..6_u64 {
        let (name, schedule) = (office.name.clone(), schedule.clone());
        machines.spawn(async move {
            for round in 0.. {
                let mut client = connect_to(&name).await;
                let works = async {
                    loop {
                        match schedule.turn(&client).await.expect("it runs") {
                            Turn::Wait(wait) => sleep(wait).await,
                            Turn::Run(run) => {
                                store(&mut client, &schedule, &run)
                                    .await
                                    .expect("its own");
                            }
                        }
                    }
                };
                let lives = Duration::from_millis(5 + (machine * 7 + round) % 40);
                let _: Result<(), _> =
                    timeout(if machine % 2 == 0 { MINUTE } else { lives }, works).await;
            }
        });
    }
    let many = async {
        while office.effects().await.len() < 50 {
            sleep(TENTH).await;
        }
    };
    soon(many).await;
    drop(machines);
    let effects = office.effects().await;
    assert!(effects.values().all(|count| *count == 1), "{effects:?}");
    for tick in effects.keys() {
        let since = tick.duration_since(UNIX_EPOCH).expect("it is later");
        assert_eq!(since.as_micros() % schedule.interval.as_micros(), 0);
    }
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_tick_whose_machine_died_runs_after_the_lease() {
    let office = Office::new().await;
    let (mut schedule, mut client) = (hourly(), office.connect().await);
    schedule.lease = 5 * TENTH;
    let start = Instant::now();
    let died = run(&schedule, &office.client).await;
    assert_eq!(died.attempt, 1);
    let waits = wait(&schedule, &client).await;
    assert!(waits <= schedule.lease, "{waits:?}");
    let next = async {
        loop {
            match schedule.turn(&client).await.expect("it runs") {
                Turn::Wait(wait) => sleep(wait).await,
                Turn::Run(run) => return run,
            }
        }
    };
    let next = soon(next).await;
    assert!(start.elapsed() >= schedule.lease, "it did not wait");
    assert_eq!((next.tick, next.attempt), (died.tick, 2));
    // The first one was only slow.
    let late = store(&mut client, &schedule, &died).await;
    assert!(matches!(late, Err(CronError::LeaseLost)), "{late:?}");
    store(&mut client, &schedule, &next).await.expect("its own");
    let again = store(&mut client, &schedule, &next).await;
    assert!(matches!(again, Err(CronError::LeaseLost)), "{again:?}");
    assert_eq!(Vec::from_iter(office.effects().await.into_values()), [1]);
    // Now nothing is due for the rest of the hour.
    let waits = wait(&schedule, &client).await;
    let next = died.tick + schedule.interval;
    let left = next.duration_since(SystemTime::now()).unwrap_or_default();
    assert!(waits.abs_diff(left) < MINUTE, "{waits:?} of {left:?}");
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_tick_that_always_fails_is_left_after_max_attempts() {
    let office = Office::new().await;
    let over = "UPDATE cron_runs SET lease_until = statement_timestamp()";
    for attempt in 1..=3 {
        assert_eq!(run(&hourly(), &office.client).await.attempt, attempt);
        office.client.execute(over, &[]).await.expect("it runs");
    }
    wait(&hourly(), &office.client).await;
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn nothing_is_due_before_the_first_tick_and_schedules_have_their_own() {
    let office = Office::new().await;
    let later = Schedule {
        first: SystemTime::now() + MINUTE,
        ..hourly()
    };
    let waits = wait(&later, &office.client).await;
    assert!(waits <= MINUTE, "{waits:?}");
    run(&hourly(), &office.client).await;
    let other = Schedule {
        name: "backup".to_owned(),
        ..hourly()
    };
    run(&other, &office.client).await;
    office.end().await;
}

/// Of one that hangs, the server ends the transaction after the lease.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_machine_that_hangs_in_its_transaction_is_replaced() {
    let office = Office::new().await;
    let mut schedule = hourly();
    schedule.lease = 5 * TENTH;
    let hangs = run(&schedule, &office.client).await;
    let mut hanging = office.connect().await;
    let transaction = hanging.transaction().await.expect("it runs");
    schedule
        .finish(&transaction, &hangs)
        .await
        .expect("its own");
    let next = async {
        loop {
            match schedule.turn(&office.client).await {
                Ok(Turn::Run(run)) => return run,
                Ok(Turn::Wait(wait)) => sleep(wait).await,
                // It waits for the row.
                Err(CronError::Timeout(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    assert_eq!(soon(next).await.attempt, 2);
    transaction
        .commit()
        .await
        .expect_err("the server has ended it");
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_a_tick_runs_once_or_comes_again() {
    let office = Office::new().await;
    for polls in 0..20 {
        let schedule = Schedule {
            name: format!("polls {polls}"),
            lease: TENTH,
            max_attempts: 100,
            ..hourly()
        };
        let mut client = office.connect().await;
        let whole = async {
            let run = run(&schedule, &client).await;
            store(&mut client, &schedule, &run).await
        };
        drop(poll_and_drop(whole, polls).await);
        drop(client);
        let mut client = office.connect().await;
        let again = async {
            loop {
                match schedule.turn(&client).await {
                    Ok(Turn::Wait(wait)) if wait > schedule.lease => return,
                    Ok(Turn::Wait(wait)) => sleep(wait).await,
                    Ok(Turn::Run(run)) => {
                        // Its lease may be over, on a busy machine.
                        let _ = store(&mut client, &schedule, &run).await;
                    }
                    Err(CronError::Timeout(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        soon(again).await;
    }
    let sql = "SELECT count(*) FROM effects";
    let effects = office.client.query_one(sql, &[]).await.expect("it runs");
    assert_eq!(effects.get::<_, i64>(0), 20);
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn of_many_missed_ticks_only_the_newest_runs_however_late() {
    let mut office = Office::new().await;
    // Ten ticks were missed, the last one half an hour ago.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = Duration::from_secs(now.expect("it is later").as_secs());
    let schedule = Schedule {
        first: UNIX_EPOCH + now - 630 * MINUTE,
        ..hourly()
    };
    let run = run(&schedule, &office.client).await;
    assert_eq!(run.tick, schedule.first + 10 * schedule.interval);
    store(&mut office.client, &schedule, &run)
        .await
        .expect("its own");
    let waits = wait(&schedule, &office.client).await;
    assert!(waits.abs_diff(30 * MINUTE) < 5 * MINUTE, "{waits:?}");
    assert_eq!(office.effects().await.len(), 1);
    office.end().await;
}
