//! Reports that run over time, mails that fail, and jobs that are removed and stopped.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, sleep};

use crate::scheduler::{NameTaken, Scheduler};

/// A run of a job.
async fn work(name: &str, number: u32, millis: u64) -> Result<(), String> {
    println!("{name} {number} begins");
    sleep(Duration::from_millis(millis)).await;
    println!("{name} {number} is done");
    Ok(())
}

async fn send_mail(number: u32) -> Result<(), String> {
    assert!(number != 3, "no template for mail {number}");
    if number == 2 {
        return Err("no address".to_owned());
    }
    println!("mail {number} sent");
    Ok(())
}

pub async fn run() -> Result<(), NameTaken> {
    let millis = Duration::from_millis;
    let period = millis(200);
    let mut scheduler = Scheduler::new(|name, failure| println!("{name} {failure}"));

    for missed in [
        MissedTickBehavior::Burst,
        MissedTickBehavior::Delay,
        MissedTickBehavior::Skip,
    ] {
        println!("{missed:?}, each 200 ms, and the second run takes 450:");
        let mut number = 0;
        scheduler.add("report", Duration::ZERO, period, missed, move || {
            number += 1;
            work("report", number, if number == 2 { 450 } else { 20 })
        })?;
        sleep(millis(950)).await;
        scheduler.remove("report").await;
    }

    println!("A run that fails, one that crashes, and another job:");
    let skip = MissedTickBehavior::Skip;
    let mut mail = 0;
    scheduler.add("mail", Duration::ZERO, period, skip, move || {
        mail += 1;
        send_mail(mail)
    })?;
    sleep(millis(100)).await;
    scheduler.add("backup", Duration::ZERO, period, skip, async || {
        println!("backup");
        Ok::<(), String>(())
    })?;
    sleep(millis(550)).await;
    scheduler.remove("mail").await;
    scheduler.remove("backup").await;

    println!("Run now, between two ticks:");
    scheduler.add("backup", Duration::ZERO, period, skip, async || {
        println!("backup");
        Ok::<(), String>(())
    })?;
    sleep(millis(100)).await;
    scheduler.run_now("backup");
    sleep(millis(150)).await;
    scheduler.remove("backup").await;

    println!("Removed while it runs:");
    scheduler.add("report", Duration::ZERO, period, skip, || {
        work("report", 1, 300)
    })?;
    sleep(millis(100)).await;
    if let Err(error) = scheduler.add("report", Duration::ZERO, period, skip, || {
        work("report", 2, 300)
    }) {
        println!("{error}");
    }
    for _ in 0..2 {
        if scheduler.remove("report").await {
            println!("removed")
        } else {
            println!("there is no job named report")
        }
    }

    println!("Stopped, with 200 ms for what runs:");
    scheduler.add("short", Duration::ZERO, period, skip, || {
        work("short", 1, 350)
    })?;
    sleep(millis(100)).await;
    scheduler.add("long", Duration::ZERO, period, skip, || {
        work("long", 1, 5000)
    })?;
    sleep(millis(150)).await;
    let unfinished = scheduler.stop(millis(200)).await;
    println!("aborted: {}", unfinished.join(", "));
    Ok(())
}
