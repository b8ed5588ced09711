use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::support::poll_and_drop;
use crate::debounce_and_throttle::{Debounce, Throttle};

const TICK: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn of_any_number_at_once_the_last_is_returned() {
    for number in [0_usize, 1, 31, 129, 1000] {
        for quiet in [Duration::ZERO, 5 * TICK, Duration::MAX] {
            for at_most in [Duration::ZERO, 5 * TICK, Duration::MAX] {
                let (sender, events) = mpsc::channel(number.max(1));
                (0..number).for_each(|event| sender.try_send(event).expect("room"));
                drop(sender);
                let mut debounced = Debounce::new(events, quiet, at_most);
                let mut last = None;
                while let Some(event) = debounced.next().await {
                    last = Some(event);
                }
                assert_eq!(last, number.checked_sub(1), "{quiet:?} {at_most:?}");
            }
            let (sender, events) = mpsc::channel(number.max(1));
            (0..number).for_each(|event| sender.try_send(event).expect("room"));
            drop(sender);
            let mut throttled = Throttle::new(events, quiet);
            assert_eq!(throttled.next().await, number.checked_sub(1));
            assert_eq!(throttled.next().await, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_never_pause_are_returned_in_time() {
    let (sender, events) = mpsc::channel(1);
    let flood = tokio::spawn(async move {
        for event in 0.. {
            if sender.send(event).await.is_err() {
                break;
            }
            sleep(TICK).await;
        }
    });
    let mut debounced = Debounce::new(events, 5 * TICK, 20 * TICK);
    for _ in 0..10 {
        let start = Instant::now();
        assert!(debounced.next().await.is_some());
        assert!(start.elapsed() <= 22 * TICK, "{:?}", start.elapsed());
    }
    drop(debounced);
    timeout(10 * TICK, flood)
        .await
        .expect("it ends")
        .expect("it does not panic");
}

#[tokio::test(start_paused = true)]
async fn of_a_full_channel_the_newest_event_is_returned_in_time() {
    for at_most in [Duration::ZERO, TICK, 5 * TICK] {
        let (sender, events) = mpsc::channel(1000);
        (0..1000).for_each(|event| sender.try_send(event).expect("room"));
        let mut debounced = Debounce::new(events, 5 * TICK, at_most);
        let start = Instant::now();
        assert_eq!(debounced.next().await, Some(999));
        assert_eq!(start.elapsed(), at_most);
    }
}

/// The other arm of a `select!` takes longer than the quiet time, again and again.
#[tokio::test(start_paused = true)]
async fn a_caller_who_was_away_gets_no_event_in_the_middle_of_a_burst() {
    let (sender, events) = mpsc::channel(100);
    let writer = tokio::spawn(async move {
        for event in 1..=20 {
            sender.send(event).await.expect("room");
            sleep(10 * TICK).await;
        }
        sleep(100 * TICK).await;
    });
    let mut debounced = Debounce::new(events, 25 * TICK, Duration::MAX);
    let mut requests = tokio::time::interval(45 * TICK);
    let event = loop {
        tokio::select! {
            biased;
            event = debounced.next() => break event,
            _ = requests.tick() => sleep(40 * TICK).await,
        }
    };
    assert_eq!(event, Some(20), "the last of the burst");
    writer.abort();
}

#[tokio::test(start_paused = true)]
async fn a_throttle_does_not_slow_its_senders_down() {
    for capacity in [1, 8, 64] {
        let (sender, events) = mpsc::channel(capacity);
        let mut throttled = Throttle::new(events, 100 * TICK);
        let worker = tokio::spawn(async move {
            let start = Instant::now();
            for step in 0..200 {
                sleep(TICK).await;
                sender.send(step).await.expect("somebody reads");
            }
            start.elapsed()
        });
        let mut shown = Vec::new();
        while let Some(step) = throttled.next().await {
            shown.push(step);
        }
        assert_eq!(worker.await.expect("it ends"), 200 * TICK);
        // One for each interval, at most a tick old, and the last.
        assert!(matches!(shown[..], [0, 99 | 100, 199]), "{shown:?}");
    }
}

/// Senders on other threads that keep up do not hold a thread of the reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_from_several_threads_ends_in_each_interval() {
    let (sender, events) = mpsc::channel(100_000);
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let sender = sender.clone();
        flood.spawn(async move { while sender.send(1).await.is_ok() {} });
    }
    drop(sender);
    let mut throttled = Throttle::new(events, TICK);
    for _ in 0..20 {
        assert_eq!(super::support::soon(throttled.next()).await, Some(1));
    }
    drop(throttled);
    flood.join_all().await;
}

/// An event that sends another one when it is dropped, as a sender on another thread
/// may do at each moment.
struct Repeated {
    dropped: Arc<AtomicUsize>,
    sender: mpsc::WeakSender<Repeated>,
}

impl Drop for Repeated {
    fn drop(&mut self) {
        let (dropped, sender) = (Arc::clone(&self.dropped), self.sender.clone());
        if dropped.fetch_add(1, SeqCst) < 10_000
            && let Some(strong) = sender.upgrade()
        {
            let _ = strong.try_send(Repeated { dropped, sender });
        }
    }
}

/// However many events come during a call, a call takes those that waited at its start.
#[tokio::test(start_paused = true)]
async fn senders_that_keep_up_with_the_reader_do_not_hold_it() {
    let full = |dropped: &Arc<AtomicUsize>| {
        let (sender, events) = mpsc::channel(8);
        for _ in 0..8 {
            let (dropped, sender) = (Arc::clone(dropped), sender.downgrade());
            let event = Repeated { dropped, sender };
            let strong = event.sender.upgrade().expect("it is there");
            assert!(strong.try_send(event).is_ok());
        }
        (sender, events)
    };
    let dropped = Arc::<AtomicUsize>::default();
    let (_sender, events) = full(&dropped);
    let mut throttled = Throttle::new(events, TICK);
    let _event = throttled.next().await;
    // From now on none is repeated.
    assert_eq!(dropped.swap(usize::MAX / 2, SeqCst), 7);

    let dropped = Arc::<AtomicUsize>::default();
    let (_sender, events) = full(&dropped);
    let mut debounced = Debounce::new(events, Duration::ZERO, TICK);
    let _event = debounced.next().await;
    assert_eq!(dropped.swap(usize::MAX / 2, SeqCst), 7);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_loses_nothing() {
    for polls in 1..20 {
        let (sender, events) = mpsc::channel(8);
        let mut debounced = Debounce::new(events, 5 * TICK, 50 * TICK);
        sender.send(1).await.expect("room");
        let first = poll_and_drop(debounced.next(), polls).await;
        let event = match first {
            Some(event) => event,
            None => debounced.next().await,
        };
        assert_eq!(event, Some(1), "{polls} polls");

        let (sender, events) = mpsc::channel(8);
        let mut throttled = Throttle::new(events, 5 * TICK);
        sender.send(1).await.expect("room");
        assert_eq!(throttled.next().await, Some(1));
        sender.send(2).await.expect("room");
        let second = poll_and_drop(throttled.next(), polls).await;
        let event = match second {
            Some(event) => event,
            None => throttled.next().await,
        };
        assert_eq!(event, Some(2), "{polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn between_two_throttled_events_the_interval_passes() {
    let (sender, events) = mpsc::channel(2);
    let flood = tokio::spawn(async move {
        while sender.send(Instant::now()).await.is_ok() {
            sleep(TICK).await;
        }
    });
    let mut throttled = Throttle::new(events, 10 * TICK);
    let start = Instant::now();
    for number in 0..10 {
        let sent = throttled.next().await.expect("events");
        assert_eq!(start.elapsed(), number * 10 * TICK);
        // The channel holds two events, the third waits for room.
        assert!(sent.elapsed() <= 10 * TICK, "{:?}", sent.elapsed());
    }
    flood.abort();
}

/// The trap: with no longest delay.
#[tokio::test(start_paused = true)]
async fn events_without_a_pause_are_held_back_forever_unless_at_most_ends_that() {
    const HOUR: Duration = Duration::from_secs(3600);
    for (at_most, returned) in [(Duration::MAX, false), (HOUR / 2, true)] {
        let (sender, events) = mpsc::channel(1);
        let flood = tokio::spawn(async move {
            while sender.send(()).await.is_ok() {
                sleep(900 * TICK).await;
            }
        });
        let mut debounced = Debounce::new(events, 1000 * TICK, at_most);
        let event = timeout(HOUR, debounced.next()).await;
        assert_eq!(event.is_ok(), returned, "{at_most:?}");
        flood.abort();
    }
}

/// While nobody calls `next`, the channel fills up.
#[tokio::test(start_paused = true)]
async fn a_sender_waits_only_while_nobody_calls_next() {
    let (sender, events) = mpsc::channel(2);
    let mut debounced = Debounce::new(events, 5 * TICK, Duration::MAX);
    let worker = async {
        let start = Instant::now();
        for step in 0..200 {
            sender.send(step).await.expect("somebody reads");
            sleep(TICK).await;
        }
        (start.elapsed(), sender)
    };
    let ((took, sender), event) = tokio::join!(worker, debounced.next());
    assert_eq!((took, event), (200 * TICK, Some(199)));
    for step in 0..2 {
        assert!(timeout(TICK, sender.send(step)).await.is_ok());
    }
    let third = timeout(1000 * TICK, sender.send(2)).await;
    assert!(third.is_err(), "two events wait");
}
