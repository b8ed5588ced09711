use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use jiff::civil::{Time, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::support::poll_and_drop;
use crate::cron::{next_daily, run_on_schedule};

const HOUR: Duration = Duration::from_secs(3600);
const THREE: Time = time(3, 0, 0, 0);

fn zoned(text: &str) -> Zoned {
    text.parse().expect("a time with its zone")
}

fn next(after: &str, at: Time) -> String {
    let next = next_daily(&zoned(after), at).expect("before the year 10000");
    next.strftime("%Y-%m-%dT%H:%M%:z").to_string()
}

/// A wall clock that goes as Tokio's, and can be set.
#[derive(Clone)]
struct Clock(Arc<Mutex<(Zoned, Instant)>>);

impl Clock {
    fn new(shows: &str) -> Self {
        Self(Arc::new(Mutex::new((zoned(shows), Instant::now()))))
    }

    fn set(&self, shows: &str) {
        *self.0.lock().expect("nobody panics") = (zoned(shows), Instant::now());
    }

    fn now(&self) -> Zoned {
        let set = self.0.lock().expect("nobody panics");
        &set.0 + set.1.elapsed()
    }
}

/// The moments of the runs, as the wall clock showed them.
#[derive(Clone, Default)]
struct Runs(Arc<Mutex<Vec<String>>>);

impl Runs {
    fn add(&self, clock: &Clock) {
        let now = clock.now().strftime("%d %H:%M:%S").to_string();
        self.0.lock().expect("nobody panics").push(now);
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("nobody panics"))
    }
}

fn daily(after: &Zoned) -> Result<Zoned, jiff::Error> {
    next_daily(after, THREE)
}

/// Runs a job every night that takes so long, for some days.
async fn run_for(days: u32, clock: &Clock, takes: Duration) -> Vec<String> {
    let runs = Runs::default();
    let stop = CancellationToken::new();
    let job = |_| {
        runs.add(clock);
        sleep(takes)
    };
    let running = run_on_schedule(|| clock.now(), daily, &stop, job);
    assert!(timeout(days * 24 * HOUR, running).await.is_err());
    runs.taken()
}

#[test]
fn the_next_is_later_and_shows_the_time() {
    let cases = [
        (
            "2026-05-01T02:59:59.999[Europe/Berlin]",
            "2026-05-01T03:00+02:00",
        ),
        ("2026-05-01T03:00[Europe/Berlin]", "2026-05-02T03:00+02:00"),
        ("2026-12-31T23:00[Europe/Berlin]", "2027-01-01T03:00+01:00"),
        ("2028-02-28T12:00[Asia/Kathmandu]", "2028-02-29T03:00+05:45"),
        // In Lord Howe the clocks change by half an hour.
        (
            "2026-04-04T12:00[Australia/Lord_Howe]",
            "2026-04-05T03:00+10:30",
        ),
        // Samoa had no 30th of December.
        ("2011-12-29T12:00[Pacific/Apia]", "2011-12-31T03:00+14:00"),
        ("2011-12-31T03:00[Pacific/Apia]", "2012-01-01T03:00+14:00"),
    ];
    for (after, expected) in cases {
        assert_eq!(next(after, THREE), expected, "{after}");
    }
}

#[test]
fn a_skipped_time_comes_later_and_a_double_one_once() {
    let half_past_two = time(2, 30, 0, 0);
    for (after, expected) in [
        ("2026-03-29T00:00[Europe/Berlin]", "2026-03-29T03:30+02:00"),
        ("2026-03-29T03:15[Europe/Berlin]", "2026-03-29T03:30+02:00"),
        ("2026-03-29T03:30[Europe/Berlin]", "2026-03-30T02:30+02:00"),
        ("2026-10-25T00:00[Europe/Berlin]", "2026-10-25T02:30+02:00"),
        // Between the two, and after the second one.
        (
            "2026-10-25T02:30+02:00[Europe/Berlin]",
            "2026-10-26T02:30+01:00",
        ),
        (
            "2026-10-25T02:29+01:00[Europe/Berlin]",
            "2026-10-26T02:30+01:00",
        ),
        (
            "2026-10-25T02:31+01:00[Europe/Berlin]",
            "2026-10-26T02:30+01:00",
        ),
    ] {
        assert_eq!(next(after, half_past_two), expected, "{after}");
    }
}

#[test]
fn over_years_each_date_has_one_run() {
    let at = time(2, 30, 0, 0);
    for zone in [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "UTC",
    ] {
        let mut last = zoned(&format!("2020-01-01T12:00[{zone}]"));
        for _ in 0..3_000 {
            let next = next_daily(&last, at).expect("before the year 10000");
            assert_eq!(last.date().tomorrow().expect("there is one"), next.date());
            let hours = next.duration_since(&last).as_hours();
            assert!(last.hour() == 12 || (22..=26).contains(&hours), "{next}");
            last = next;
        }
    }
}

#[test]
fn at_the_end_of_time_there_is_none() {
    let last = jiff::Timestamp::MAX.to_zoned(TimeZone::UTC);
    assert!(next_daily(&last, Time::MIN).is_err());
}

#[tokio::test(start_paused = true)]
async fn nights_on_a_clock_that_changes() {
    let clock = Clock::new("2026-03-27T12:00[Europe/Berlin]");
    let runs = run_for(4, &clock, Duration::ZERO).await;
    assert_eq!(
        runs,
        ["28 03:00:00", "29 03:00:00", "30 03:00:00", "31 03:00:00"]
    );
}

#[tokio::test(start_paused = true)]
async fn runs_never_overlap_and_are_not_made_up_for() {
    let clock = Clock::new("2026-05-01T00:00[Europe/Berlin]");
    let runs = run_for(7, &clock, 50 * HOUR).await;
    assert_eq!(runs, ["01 03:00:00", "04 03:00:00", "07 03:00:00"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_ahead_is_seen_within_a_minute() {
    let clock = Clock::new("2026-05-01T12:00[Europe/Berlin]");
    let setting = async {
        sleep(HOUR).await;
        // The computer has slept.
        clock.set("2026-05-02T03:20[Europe/Berlin]");
    };
    let (runs, ()) = tokio::join!(run_for(1, &clock, HOUR), setting);
    assert_eq!(runs.len(), 1);
    assert!(
        ("02 03:20:00"..="02 03:21:00").contains(&&*runs[0]),
        "{runs:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_repeats_no_run() {
    let clock = Clock::new("2026-05-01T02:00[Europe/Berlin]");
    let setting = async {
        sleep(HOUR * 3 / 2).await;
        clock.set("2026-05-01T02:30[Europe/Berlin]");
    };
    let (runs, ()) = tokio::join!(run_for(2, &clock, Duration::ZERO), setting);
    assert_eq!(runs, ["01 03:00:00", "02 03:00:00"]);
}

#[tokio::test(start_paused = true)]
async fn stopped_it_ends_at_once_or_after_the_run() {
    for (minutes, ends) in [(0, 0), (30, 30), (59, 59), (60, 60), (61, 90), (89, 90)] {
        let clock = Clock::new("2026-05-01T02:00[Europe/Berlin]");
        let (start, stop) = (Instant::now(), CancellationToken::new());
        let runs = Runs::default();
        let job = |_| {
            runs.add(&clock);
            sleep(HOUR / 2)
        };
        let running = run_on_schedule(|| clock.now(), daily, &stop, job);
        let stopping = async {
            sleep(minutes * HOUR / 60).await;
            stop.cancel();
        };
        // In this order, so that a stop at the moment of a run comes first.
        let ((), ended) = tokio::join!(biased; stopping, running);
        ended.expect("it is a schedule");
        assert_eq!(start.elapsed(), ends * HOUR / 60, "{minutes}");
        assert_eq!(runs.taken().len(), usize::from(ends == 90), "{minutes}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_no_run_begins_again() {
    for polls in 0..8 {
        let clock = Clock::new("2026-05-01T02:59:59.998[Europe/Berlin]");
        let (runs, stop) = (Runs::default(), CancellationToken::new());
        let job = |_| {
            runs.add(&clock);
            sleep(HOUR)
        };
        let running = run_on_schedule(|| clock.now(), daily, &stop, job);
        assert!(poll_and_drop(running, polls).await.is_none());
        assert!(runs.taken().len() <= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_and_a_panic_end_the_schedule() {
    let clock = Clock::new("2026-05-01T02:00[Europe/Berlin]");
    let stop = CancellationToken::new();
    let failing = |_: &Zoned| Err("no more nights");
    let ended = run_on_schedule(|| clock.now(), failing, &stop, async |_| ()).await;
    assert_eq!(ended, Err("no more nights"));

    let panicking = run_on_schedule(
        || clock.now(),
        daily,
        &stop,
        |_| async { panic!("scheduled") },
    );
    let ended = AssertUnwindSafe(panicking).catch_unwind().await;
    assert!(ended.is_err());
}

/// A schedule whose next moment has passed does not hold up others.
#[tokio::test(start_paused = true)]
async fn any_schedule_and_any_error() {
    let clock = Clock::new("2026-05-01T02:00[Europe/Berlin]");
    let stop = CancellationToken::new();
    let mut runs = 0;
    let minutes =
        |after: &Zoned| Ok::<_, Infallible>(after + SignedDuration::from_mins(1));
    let running = run_on_schedule(
        || clock.now(),
        minutes,
        &stop,
        |due| {
            runs += 1;
            if runs == 100 {
                assert_eq!(due, zoned("2026-05-01T03:40[Europe/Berlin]"));
                stop.cancel();
            }
            async {}
        },
    );
    let Ok(()) = running.await;
    assert_eq!(runs, 100);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_during_a_run_repeats_no_run() {
    let clock = Clock::new("2026-05-01T02:00[Europe/Berlin]");
    let (runs, stop) = (Runs::default(), CancellationToken::new());
    let job = |due: Zoned| {
        runs.add(&clock);
        if due.day() == 1 {
            clock.set("2026-05-01T02:30[Europe/Berlin]");
        }
        async {}
    };
    let running = run_on_schedule(|| clock.now(), daily, &stop, job);
    assert!(timeout(60 * HOUR, running).await.is_err());
    assert_eq!(runs.taken(), ["01 03:00:00", "02 03:00:00", "03 03:00:00"]);
}

/// A computer without a battery begins years ahead, until it has asked a time server.
#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_at_the_start_does_not_stop_the_schedule() {
    for ahead in ["2026-05-02T12:00", "2027-05-01T12:00", "2040-01-01T00:00"] {
        let clock = Clock::new(&format!("{ahead}[Europe/Berlin]"));
        let setting = async {
            sleep(HOUR).await;
            clock.set("2026-05-01T12:00[Europe/Berlin]");
        };
        let (runs, ()) = tokio::join!(run_for(3, &clock, Duration::ZERO), setting);
        assert_eq!(
            runs,
            ["02 03:00:00", "03 03:00:00", "04 03:00:00"],
            "{ahead}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_for_a_while_runs_once_more_and_then_as_usual() {
    let clock = Clock::new("2026-05-01T12:00[Europe/Berlin]");
    let setting = async {
        sleep(HOUR).await;
        clock.set("2027-05-01T13:00[Europe/Berlin]");
        sleep(HOUR).await;
        clock.set("2026-05-01T14:00[Europe/Berlin]");
    };
    let (runs, ()) = tokio::join!(run_for(2, &clock, Duration::ZERO), setting);
    assert_eq!(runs.len(), 3);
    assert_eq!(runs[1..], ["02 03:00:00", "03 03:00:00"]);
}

/// An hour ahead and back again: nothing runs twice.
#[tokio::test(start_paused = true)]
async fn a_clock_that_was_ahead_by_an_hour_repeats_no_run() {
    let clock = Clock::new("2026-05-01T03:30[Europe/Berlin]");
    let setting = async {
        sleep(HOUR / 60).await;
        clock.set("2026-05-01T02:31[Europe/Berlin]");
    };
    let (runs, ()) = tokio::join!(run_for(1, &clock, Duration::ZERO), setting);
    assert_eq!(
        runs, [""; 0],
        "the run at three was that of the wrong clock"
    );
}

#[test]
fn apscheduler_the_gap_of_lord_howe_is_half_an_hour() {
    let at = time(2, 15, 0, 0);
    let after = "2026-10-04T00:00[Australia/Lord_Howe]";
    assert_eq!(next(after, at), "2026-10-04T02:45+11:00");
}

#[test]
fn croniter_a_time_in_the_gap_comes_at_gap_and_offset_differs() {
    // croniter takes the end of the gap, 03:00.
    let after = "2026-03-08T00:00[America/New_York]";
    assert_eq!(next(after, time(2, 30, 0, 0)), "2026-03-08T03:30-04:00");
}

#[test]
fn croniter_a_time_that_comes_twice_fires_once_differs() {
    // croniter and APScheduler fire twice.
    let after = "2026-11-01T00:00[America/New_York]";
    let at = time(1, 30, 0, 0);
    assert_eq!(next(after, at), "2026-11-01T01:30-04:00");
    let after = "2026-11-01T01:30-04:00[America/New_York]";
    assert_eq!(next(after, at), "2026-11-02T01:30-05:00");
}

#[test]
fn apscheduler_a_leap_day() {
    assert_eq!(
        next("2024-02-28T04:00[UTC]", THREE),
        "2024-02-29T03:00+00:00"
    );
    assert_eq!(
        next("2023-02-28T04:00[UTC]", THREE),
        "2023-03-01T03:00+00:00"
    );
}

#[test]
fn croniter_midnight_of_a_zone_whose_gap_is_at_midnight() {
    // In Cairo the clocks go from 00:00 to 01:00.
    let after = "2026-04-23T12:00[Africa/Cairo]";
    assert_eq!(next(after, Time::MIN), "2026-04-24T01:00+03:00");
}

#[test]
fn croniter_the_next_of_a_moment_that_fires_is_the_day_after() {
    let mut last = zoned("2026-05-01T03:00[Asia/Kathmandu]");
    for day in 2..=31 {
        last = next_daily(&last, THREE).expect("before the year 10000");
        assert_eq!((last.day(), last.hour()), (day, 3));
    }
}
