//! Nights around the changes of the clocks. Nobody waits for a night: after each run, the
//! clock is set to just before the next one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::civil::{Time, time};
use jiff::{SignedDuration, Zoned};
use tokio::join;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::cron::{next_daily, run_on_schedule};

const MOMENT: Duration = Duration::from_millis(100);

/// A wall clock that can be set.
#[derive(Clone)]
struct Clock(Arc<Mutex<(Zoned, Instant)>>);

impl Clock {
    fn new(shows: &Zoned) -> Self {
        Self(Arc::new(Mutex::new((shows.clone(), Instant::now()))))
    }

    fn set(&self, shows: Zoned) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (shows, Instant::now());
    }

    fn now(&self) -> Zoned {
        let set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (shows, at) = &*set;
        shows + at.elapsed()
    }
}

fn show(moment: &Zoned) -> String {
    moment.strftime("%Y-%m-%d %H:%M %:z").to_string()
}

/// Runs a job for some nights, each time a moment after the clock was set.
async fn nights(evening: &str, at: Time, nights: u32) -> Result<(), jiff::Error> {
    let mut last: Zoned = evening.parse()?;
    let next = move |after: &Zoned| next_daily(after, at);
    let clock = Clock::new(&(&next(&last)? - MOMENT));
    let stop = CancellationToken::new();
    let mut night = 0;
    run_on_schedule(
        || clock.now(),
        next,
        &stop,
        |due| {
            let passed = due.duration_since(&last);
            match night {
                0 => println!("{}", show(&due)),
                _ => println!("{}, {} hours later", show(&due), passed.as_hours()),
            }
            night += 1;
            last = due.clone();
            let (clock, stop) = (clock.clone(), stop.clone());
            async move {
                match next(&due) {
                    Ok(next) if night < nights => clock.set(&next - MOMENT),
                    _ => stop.cancel(),
                }
            }
        },
    )
    .await
}

/// Runs a job once an hour before midnight, and calls `during` while it runs.
async fn one_night(
    during: impl Fn(&Clock, &Zoned, &CancellationToken),
) -> Result<(), jiff::Error> {
    let at = time(23, 0, 0, 0);
    let evening: Zoned = "2026-05-01T22:59:59.9[Europe/Berlin]".parse()?;
    let (clock, stop) = (Clock::new(&evening), CancellationToken::new());
    let scheduled = run_on_schedule(
        || clock.now(),
        |after| next_daily(after, at),
        &stop,
        |due| {
            println!("{}: begins", show(&due));
            during(&clock, &due, &stop);
            async move {
                sleep(MOMENT).await;
                println!("{}: is done", show(&due));
            }
        },
    );
    let stopping = async {
        sleep(MOMENT * 5).await;
        stop.cancel();
    };
    let (ended, ()) = join!(scheduled, stopping);
    println!("stopped");
    ended
}

pub async fn run() -> Result<(), jiff::Error> {
    println!("Every night at three, in Berlin:");
    nights("2026-03-27T12:00[Europe/Berlin]", time(3, 0, 0, 0), 4).await?;
    println!("At half past two, which the clocks skip on the 29th:");
    nights("2026-03-27T12:00[Europe/Berlin]", time(2, 30, 0, 0), 3).await?;
    println!("At half past two, which comes twice on the 25th:");
    nights("2026-10-23T12:00[Europe/Berlin]", time(2, 30, 0, 0), 3).await?;

    println!("A run that takes two days:");
    one_night(|clock, due, _| {
        let long = SignedDuration::from_hours(48);
        if due.day() == 1 {
            clock.set(due + long - MOMENT * 2);
        }
    })
    .await?;
    println!("The clock is set back during a run:");
    one_night(|clock, due, _| clock.set(due - MOMENT * 2)).await?;
    println!("Stopped during a run:");
    one_night(|_, _, stop| stop.cancel()).await
}
