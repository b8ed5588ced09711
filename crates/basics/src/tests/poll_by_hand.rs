use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::future::select;

use crate::poll_by_hand::{Sleep, run_all};

type Task = Pin<Box<dyn Future<Output = ()>>>;

#[test]
fn each_future_runs_to_its_end() {
    for number in [0, 1, 31, 129, 1000] {
        let ended = Rc::new(Cell::new(0));
        let task = |_| -> Task {
            let ended = Rc::clone(&ended);
            Box::pin(async move {
                Sleep::until(Instant::now() + Duration::from_millis(2)).await;
                Sleep::until(Instant::now()).await;
                ended.set(ended.get() + 1);
            })
        };
        run_all((0..number).map(task).collect());
        assert_eq!(ended.get(), number);
    }
}

#[test]
fn a_task_is_polled_only_when_it_is_woken() {
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    let mut sleep = Sleep::until(Instant::now() + Duration::from_millis(50));
    let counts: Task = Box::pin(poll_fn(move |context| {
        counted.set(counted.get() + 1);
        Pin::new(&mut sleep).poll(context)
    }));
    let busy: Task = Box::pin(async {
        for _ in 0..20 {
            Sleep::until(Instant::now() + Duration::from_millis(1)).await;
        }
    });
    run_all(vec![counts, busy]);
    assert_eq!(polls.get(), 2);
}

/// A sleep that is polled ten times, next to short ones, wakes its task once.
#[test]
fn a_sleep_that_is_polled_again_keeps_one_timer() {
    let after = |millis| Sleep::until(Instant::now() + Duration::from_millis(millis));
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    let task: Task = Box::pin(async move {
        let mut sleep = after(30);
        for _ in 0..10 {
            select(&mut sleep, after(1)).await;
        }
        sleep.await;
        let mut rest = after(30);
        poll_fn(|context| {
            counted.set(counted.get() + 1);
            Pin::new(&mut rest).poll(context)
        })
        .await;
    });
    run_all(vec![task]);
    // Two, or some more if a timer became due just before its task was polled.
    assert!(polls.get() <= 4, "{} polls", polls.get());
}

#[test]
fn another_thread_wakes_it_without_a_timer() {
    let wakers = Arc::new(Mutex::new(None::<Waker>));
    let kept = Arc::clone(&wakers);
    let mut woken = false;
    let waits: Task = Box::pin(poll_fn(move |context| {
        if woken {
            return Poll::Ready(());
        }
        woken = true;
        *kept.lock().expect("no panic") = Some(context.waker().clone());
        Poll::Pending
    }));
    let other = thread::spawn(move || {
        loop {
            if let Some(waker) = wakers.lock().expect("no panic").take() {
                // Twice: a task that has ended is not polled again.
                waker.wake_by_ref();
                return waker.wake();
            }
            thread::yield_now();
        }
    });
    run_all(vec![waits]);
    other.join().expect("no panic");
}

#[test]
fn once_with_a_waker_that_does_nothing() {
    let mut context = Context::from_waker(Waker::noop());
    let late = pin!(Sleep::until(Instant::now() + Duration::from_secs(60)));
    assert!(late.poll(&mut context).is_pending());
    assert!(pin!(async { 7 }).poll(&mut context).is_ready());
}

/// The trap: this loop is no runtime of Tokio.
#[test]
#[should_panic(expected = "there is no reactor running")]
fn a_sleep_of_tokio_panics_in_this_loop() {
    let sleeps: Task = Box::pin(async {
        tokio::time::sleep(Duration::from_millis(1)).await;
    });
    run_all(vec![sleeps]);
}

/// On a separate thread, as the loop would wait forever for a timer that is lost.
#[test]
fn timers_that_are_due_at_the_same_moment_all_wake_their_tasks() {
    let (ended, has_ended) = mpsc::channel();
    thread::spawn(move || {
        let due = Instant::now() + Duration::from_millis(20);
        let sleeps = (0..31).map(|_| -> Task { Box::pin(Sleep::until(due)) });
        run_all(sleeps.collect());
        ended.send(()).expect("it is received");
    });
    let limit = Duration::from_secs(60);
    assert!(has_ended.recv_timeout(limit).is_ok());
}
