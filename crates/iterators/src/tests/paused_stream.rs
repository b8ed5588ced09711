use std::pin::pin;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::{IntervalStream, ReceiverStream};

use super::support::{SIZES, unknown_size};
use crate::paused_stream::pausable;

const TICK: Duration = Duration::from_millis(1);

/// A controller that toggles all the time, next to a producer, each in a task.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_however_often_it_is_paused() {
    for size in SIZES {
        let (controller, paused) = watch::channel(false);
        let (sender, receiver) = mpsc::channel(7);
        let items = pausable(ReceiverStream::new(receiver), paused);
        let collected = tokio::spawn(items.collect::<Vec<u32>>());
        let producer = tokio::spawn(async move {
            for item in 0..size {
                sender.send(item).await.expect("it is received");
                yield_now().await;
            }
        });
        let toggle = tokio::spawn(async move {
            for toggle in 0..2 * size {
                controller.send_replace(toggle % 2 == 0);
                yield_now().await;
            }
        });
        let collected = collected.await.expect("no panic");
        assert!(collected.into_iter().eq(0..size));
        producer.await.expect("no panic");
        toggle.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn while_it_is_paused_the_items_stay_in_the_source() {
    let (controller, paused) = watch::channel(true);
    let (sender, receiver) = mpsc::channel(2);
    let mut source = ReceiverStream::new(receiver);
    {
        let mut items = pin!(pausable(&mut source, paused));
        sender.try_send(1).expect("there is room");
        assert!(timeout(TICK, items.next()).await.is_err(), "not started");
        assert_eq!(sender.capacity(), 1, "not taken");
        controller.send_replace(false);
        assert_eq!(items.next().await, Some(1));

        // It waits for an item when the pause begins.
        assert_eq!(items.next().now_or_never(), None);
        controller.send_replace(true);
        sender.try_send(2).expect("there is room");
        sender.try_send(3).expect("there is room");
        assert!(timeout(TICK, items.next()).await.is_err(), "paused");
        assert_eq!(sender.capacity(), 0, "none was taken");
    }
    assert_eq!(source.next().await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn dropped_after_each_poll_it_leaves_the_rest() {
    for size in [0, 1, 5] {
        for polls in 0..2 * size + 2 {
            let (controller, paused) = watch::channel(false);
            let mut source =
                Box::pin(stream::iter(unknown_size(0..size)).then(async |item| {
                    sleep(TICK).await;
                    item
                }));
            let mut taken = Vec::new();
            {
                let mut items = pin!(pausable(&mut source, paused));
                for poll in 0..polls {
                    controller.send_replace(poll % 2 == 1);
                    if let Some(Some(item)) = items.next().now_or_never() {
                        taken.push(item);
                    }
                    sleep(TICK).await;
                }
            }
            let rest: Vec<u32> = source.collect().await;
            assert!(taken.into_iter().chain(rest).eq(0..size), "{polls} polls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_controller_it_runs_on() {
    for value in [false, true] {
        let (controller, paused) = watch::channel(value);
        let ended = async {
            sleep(TICK).await;
            drop(controller);
        };
        let items = pausable(stream::iter(0..1_000), paused);
        let (items, ()) = tokio::join!(items.collect::<Vec<u32>>(), ended);
        assert!(items.into_iter().eq(0..1_000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_during_a_pause_ends_after_it() {
    let (controller, paused) = watch::channel(true);
    let mut items = pin!(pausable(stream::empty::<()>(), paused).fuse());
    assert!(timeout(TICK, items.next()).await.is_err());
    controller.send_replace(false);
    assert_eq!(items.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn one_controller_pauses_several_streams() {
    let (controller, paused) = watch::channel(true);
    let streams = (0..129_u32).map(|number| {
        let numbers = stream::iter([number]);
        pausable(numbers, paused.clone()).boxed()
    });
    let mut all = stream::select_all(streams);
    assert!(timeout(TICK, all.next()).await.is_err());
    controller.send_replace(false);
    assert_eq!(all.count().await, 129);
}

/// The trap, and what the header says against it.
#[tokio::test(start_paused = true)]
async fn an_interval_has_missed_ticks() {
    for (behavior, at_once) in [
        (MissedTickBehavior::Burst, 11),
        (MissedTickBehavior::Delay, 1),
        (MissedTickBehavior::Skip, 1),
    ] {
        let (controller, paused) = watch::channel(true);
        let mut ticks = interval(10 * TICK);
        ticks.set_missed_tick_behavior(behavior);
        let mut ticks = pin!(pausable(IntervalStream::new(ticks), paused));
        sleep(105 * TICK).await;
        controller.send_replace(false);
        let resumed = Instant::now();
        let mut count = 0;
        while ticks.next().await.is_some() && resumed.elapsed() < TICK {
            count += 1;
        }
        assert_eq!(count, at_once, "{behavior:?}");
    }
}
