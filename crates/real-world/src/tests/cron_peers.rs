//! Further cases after the tests of APScheduler's triggers and of croniter.

use std::cell::RefCell;
use std::convert::Infallible;
use std::time::Duration;

use jiff::civil::{Time, time};
use jiff::{ToSpan, Zoned};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cron::{next_daily, run_on_schedule};

const HOUR: Duration = Duration::from_secs(3600);

fn zoned(text: &str) -> Zoned {
    text.parse().expect("a time with its zone")
}

/// The next three moments, each as date, hour and offset.
fn three(after: &str, at: Time) -> [String; 3] {
    let mut last = zoned(after);
    std::array::from_fn(|_| {
        last = next_daily(&last, at).expect("before the year 10000");
        last.strftime("%m-%d %H:%M%:z").to_string()
    })
}

#[test]
fn apscheduler_a_time_later_today_is_today() {
    let next = three("2026-05-01T02:00[Europe/Berlin]", time(3, 0, 0, 0));
    assert_eq!(next[0], "05-01 03:00+02:00");
}

#[test]
fn apscheduler_a_time_that_has_passed_is_tomorrow() {
    let next = three("2026-05-01T04:00[Europe/Berlin]", time(3, 0, 0, 0));
    assert_eq!(next[0], "05-02 03:00+02:00");
}

#[test]
fn apscheduler_over_the_change_to_summer_time_the_hour_stays() {
    let next = three("2026-03-28T00:00[Europe/Berlin]", time(8, 0, 0, 0));
    assert_eq!(
        next,
        [
            "03-28 08:00+01:00",
            "03-29 08:00+02:00",
            "03-30 08:00+02:00"
        ]
    );
}

#[test]
fn apscheduler_over_the_change_to_winter_time_the_hour_stays() {
    let next = three("2026-10-24T00:00[Europe/Berlin]", time(8, 0, 0, 0));
    assert_eq!(
        next,
        [
            "10-24 08:00+02:00",
            "10-25 08:00+01:00",
            "10-26 08:00+01:00"
        ]
    );
}

#[test]
fn apscheduler_a_microsecond_before_the_time_is_still_before_it() {
    let next = three(
        "2026-05-01T02:59:59.999999[America/New_York]",
        time(3, 0, 0, 0),
    );
    assert_eq!(next[0], "05-01 03:00-04:00");
}

#[tokio::test(start_paused = true)]
async fn apscheduler_missed_runs_are_one_run_at_most() {
    // Each run takes two and a half periods of an hour.
    let (origin, start) = (zoned("2026-05-01T00:00[UTC]"), Instant::now());
    let now = || &origin + start.elapsed();
    let next = |after: &Zoned| Ok::<_, Infallible>(after + 1.hour());
    let (stop, runs) = (CancellationToken::new(), RefCell::new(Vec::new()));
    let job = |due: Zoned| {
        runs.borrow_mut().push(due.hour());
        sleep(HOUR * 5 / 2)
    };
    let running = run_on_schedule(now, next, &stop, job);
    assert!(timeout(9 * HOUR, running).await.is_err());
    assert_eq!(runs.borrow().len(), 3, "{runs:?}");
}

#[test]
fn croniter_the_turn_of_a_year() {
    let next = three("2026-12-30T12:00[UTC]", time(0, 0, 0, 0));
    assert_eq!(
        next,
        [
            "12-31 00:00+00:00",
            "01-01 00:00+00:00",
            "01-02 00:00+00:00"
        ]
    );
}

#[test]
fn croniter_in_a_year_that_is_no_leap_year_march_follows() {
    let next = three("2026-02-27T12:00[UTC]", time(6, 0, 0, 0));
    assert_eq!(next[..2], ["02-28 06:00+00:00", "03-01 06:00+00:00"]);
}

#[test]
fn croniter_each_date_of_ten_years_once() {
    let mut last = zoned("2026-01-01T00:00[America/Sao_Paulo]");
    let mut date = last.date();
    for _ in 0..3652 {
        last = next_daily(&last, time(2, 30, 0, 0)).expect("in range");
        assert_eq!(last.date(), date);
        date = date.tomorrow().expect("in range");
    }
}
