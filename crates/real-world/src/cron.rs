//! Cron: run a job every night at three in a time zone, across changes of the clocks.
//!
//! After each run, compute the next one from the date and the time zone: the next night
//! at three may be 23 or 25 hours away. When the clocks go forward and skip that time,
//! the job runs later by the hour that they skip. When the clocks go back and the time
//! comes twice, the job runs the first time only. Runs never overlap: a run that is due
//! while the job runs is left out. A test can pass its own clock.
//!
//! Bounds: One run at a time. Unbounded: The time of a run. Put a `timeout` into the job.
//!
//! Trap: If you sleep until three in one `sleep`, the job runs too late after the
//! computer was suspended, because on Linux and macOS Tokio's clock then stands still.
//! Sleep for at most a minute, then read the wall clock again.
//!
//! Trap: If you rely on the system's time zone, the job runs at three in UTC in most
//! containers. If you name a zone, a container without time zones fails: "failed to find
//! time zone". Name the zone, and put the database of zones into your program by the
//! feature `tzdb-bundle-always` of the crate `jiff`, which is used here for dates.
//!
//! In production: The crate `croner` reads cron expressions. It uses the types of the
//! crate chrono.
//!
//! See also: `scheduler` (every n seconds), `pg_cron_once` (one of several servers).
//!
//! asyncio: asyncio.sleep, asyncio.timeout, asyncio.Event, loop.time

use std::future::Future;
use std::time::Duration;

use jiff::civil::Time;
use jiff::{SignedDuration, Zoned};
use tokio::select;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The longest sleep before the wall clock is read again.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// If the clock is set back by more than this, it was wrong before.
const LONGEST_STEP_BACK: SignedDuration = SignedDuration::from_hours(3);

/// Returns the first moment after `after` at which clocks in its zone show `time`.
///
/// # Errors
///
/// If the moment is after the year 9999.
pub fn next_daily(after: &Zoned, time: Time) -> Result<Zoned, jiff::Error> {
    let mut date = after.date();
    loop {
        let next = date.to_datetime(time).to_zoned(after.time_zone().clone())?;
        if next > *after {
            return Ok(next);
        }
        date = date.tomorrow()?;
    }
}

/// Runs the job at each moment that `next` returns, until the token is cancelled. Then
/// waits for the end of the current run.
///
/// `now` reads the wall clock. `next` gets a moment, and returns the next one at which
/// the job is due. The job gets that moment. Runs that were due while the program did not
/// run are not made up for.
///
/// If the clock is set back by up to three hours, no run is repeated. If it is set back
/// further, the schedule continues from the new time.
///
/// Dropping the future drops the current run. A panic of the job ends the schedule.
///
/// # Errors
///
/// The first error of `next`.
pub async fn run_on_schedule<F, E>(
    now: impl Fn() -> Zoned,
    next: impl Fn(&Zoned) -> Result<Zoned, E>,
    stop: &CancellationToken,
    mut job: impl FnMut(Zoned) -> F,
) -> Result<(), E>
where
    F: Future<Output = ()>,
{
    let mut last = now();
    let mut due = next(&last)?;
    loop {
        let time = now();
        if last.duration_since(&time) > LONGEST_STEP_BACK {
            last = time.clone();
            due = next(&last)?;
        }
        let left = due.duration_since(&time);
        if left.is_positive() {
            select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = sleep(left.unsigned_abs().min(LONGEST_SLEEP)) => continue,
            }
        }
        if stop.is_cancelled() {
            return Ok(());
        }
        job(due.clone()).await;
        last = now().max(due);
        due = next(&last)?;
    }
}

/// Runs a command every day until Ctrl-C:
/// `cargo run -- 03:00 Europe/Berlin sh backup.sh`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let usage = "usage: HH:MM ZONE COMMAND [ARGUMENT...]";
    let mut arguments = std::env::args().skip(1);
    let time: Time = arguments.next().ok_or(usage)?.parse()?;
    let zone = jiff::tz::TimeZone::get(&arguments.next().ok_or(usage)?)?;
    let mut command = tokio::process::Command::new(arguments.next().ok_or(usage)?);
    command.args(arguments);
    let stop = CancellationToken::new();
    let running = run_on_schedule(
        || jiff::Timestamp::now().to_zoned(zone.clone()),
        |after| next_daily(after, time),
        &stop,
        |due| {
            let run = command.status();
            async move {
                match run.await {
                    Ok(status) => println!("{due}: {status}"),
                    Err(error) => eprintln!("{due}: {error}"),
                }
            }
        },
    );
    let stopping = async {
        tokio::signal::ctrl_c().await?;
        stop.cancel();
        Ok(())
    };
    tokio::try_join!(async { Ok(running.await?) }, stopping).map(|_| ())
}

//@ try: 03:00 Europe/Atlantis true -> failed to find time zone
