//! Services that count, check, crash, cannot connect, and do not listen.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::background_services::{End, NameTaken, Restarts, Supervisor};

/// Counts every 200 ms, and saves the sum before it ends.
async fn metrics(stop: CancellationToken) -> Result<(), String> {
    let mut ticks = interval(Duration::from_millis(200));
    let mut requests = 0;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        requests += 5;
        println!("metrics: {requests} requests");
    }
    println!("metrics: saving");
    sleep(Duration::from_millis(100)).await;
    println!("metrics: {requests} saved");
    Ok(())
}

/// Checks every 300 ms. A check that has begun is finished.
async fn health_check(stop: CancellationToken) -> Result<(), String> {
    let mut ticks = interval(Duration::from_millis(300));
    // After a check that took too long, do not make up for those that were missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut check = 0;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        check += 1;
        println!("health check {check} begins");
        sleep(Duration::from_millis(100)).await;
        println!("health check {check} completed");
    }
    Ok(())
}

/// Sends a mail every 100 ms, and cannot send the third.
async fn mailer(stop: CancellationToken) -> Result<(), String> {
    let mut ticks = interval(Duration::from_millis(100));
    let mut mail = 0;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        mail += 1;
        assert!(mail < 3, "no template for mail {mail}");
        println!("mail {mail} sent");
    }
    Ok(())
}

/// Tries to connect for 100 ms.
async fn exporter(_stop: CancellationToken) -> Result<(), String> {
    sleep(Duration::from_millis(100)).await;
    Err("connection refused".to_string())
}

/// Does not look at its token.
async fn poller(_stop: CancellationToken) -> Result<(), String> {
    loop {
        sleep(Duration::from_secs(1)).await;
        println!("polled");
    }
}

fn report((name, end): (String, End)) {
    match end {
        End::Done => println!("{name} is done"),
        End::Failed(failure) => println!("{name} is down: it {failure}"),
        End::Aborted => println!("{name} was aborted"),
        End::Blocked => println!("{name} cannot be aborted"),
    }
}

pub async fn run() -> Result<(), NameTaken> {
    let millis = Duration::from_millis;
    let restarts = Restarts {
        limit: 3,
        pause: millis(100),
        longest_pause: millis(300),
        good_run: millis(150),
    };
    let log = |name: &str, failure: &str, pause: Duration| {
        println!("{name} {failure}; again in {pause:?}");
    };
    let grace = millis(200);
    // Each part begins at its time, however late the one before it ended.
    let start = Instant::now();

    println!("Nobody supervises it:");
    tokio::spawn(mailer(CancellationToken::new()));
    sleep_until(start + millis(500)).await;
    println!("no mail for a while, and nobody knows why");

    println!("Two services, stopped in the middle of a check:");
    let mut supervisor = Supervisor::new(restarts, log);
    supervisor.start("metrics", metrics)?;
    sleep(millis(50)).await;
    supervisor.start("health check", health_check)?;
    sleep(millis(650)).await;
    println!("stopping");
    supervisor.stop(grace).await.into_iter().for_each(report);

    sleep_until(start + millis(1500)).await;
    println!("One fails each time, one crashes after a good run:");
    let mut supervisor = Supervisor::new(restarts, log);
    supervisor.start("exporter", exporter)?;
    sleep(millis(50)).await;
    supervisor.start("mailer", mailer)?;
    if let Some(end) = supervisor.next().await {
        report(end);
    }
    sleep(millis(100)).await;
    println!("stopping");
    supervisor.stop(grace).await.into_iter().for_each(report);

    sleep_until(start + millis(3000)).await;
    println!("Stop while one service waits for its restart and one ignores the token:");
    let mut supervisor = Supervisor::new(restarts, log);
    supervisor.start("exporter", exporter)?;
    supervisor.start("poller", poller)?;
    sleep(millis(150)).await;
    println!("stopping");
    supervisor
        .stop(grace / 2)
        .await
        .into_iter()
        .for_each(report);
    Ok(())
}
