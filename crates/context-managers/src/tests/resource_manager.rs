use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::resource_manager::{Connection, Manager, NotClosed, Resource, ServerIsGone};

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(50);

/// What closing this does.
enum Close {
    Nothing,
    Panic,
    Hang,
}

impl Resource for Close {
    type Error = ServerIsGone;

    fn name(&self) -> &str {
        "it"
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn close(&self) -> Result<(), ServerIsGone> {
        match self {
            Close::Nothing => Ok(()),
            Close::Panic => panic!("scheduled"),
            Close::Hang => pending().await,
        }
    }
}

/// The reports on one that does this and on another.
async fn close_two(one: Close) -> [Result<(), NotClosed<ServerIsGone>>; 2] {
    let manager = Manager::new(MOMENT);
    for resource in [one, Close::Nothing] {
        manager.add(resource);
    }
    let reports = timeout(HOUR, manager.close_forgotten()).await;
    assert_eq!(manager.open(), 0, "neither is tried again");
    let reports = reports.expect("it ends").into_iter();
    let outcomes: Vec<_> = reports.map(|(_, outcome)| outcome).collect();
    outcomes.try_into().expect("there are two")
}

#[tokio::test(start_paused = true)]
async fn a_close_that_panics_stops_no_other() {
    let outcomes = close_two(Close::Panic).await;
    assert_eq!(outcomes, [Err(NotClosed::Panicked), Ok(())]);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_hangs_stops_no_other() {
    let outcomes = close_two(Close::Hang).await;
    assert_eq!(outcomes, [Err(NotClosed::TimedOut), Ok(())]);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_is_dropped_leaves_the_rest_to_the_next() {
    let manager = Manager::new(HOUR);
    for number in [1, 3] {
        manager.add(Connection::open(number));
    }
    assert!(timeout(MOMENT, manager.close_forgotten()).await.is_err());
    assert_eq!(manager.open(), 2);
    let reports = manager.close_forgotten().await;
    let name = |number| format!("Resource-{number}");
    let failed = Err(NotClosed::Failed(ServerIsGone));
    let expected = [(name(1), Ok(())), (name(3), failed)];
    assert_eq!(reports, expected);
    assert_eq!(manager.open(), 0);
    assert!(manager.close_all().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_sweeps_at_once_report_it_once() {
    let manager = Arc::new(Manager::new(HOUR));
    manager.add(Connection::open(1));
    let other = Arc::clone(&manager);
    let second = tokio::spawn(async move {
        sleep(MOMENT).await;
        other.close_forgotten().await
    });
    assert_eq!(manager.close_forgotten().await.len(), 1);
    assert_eq!(second.await.expect("it does not panic").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn its_user_closes_it_at_the_same_time() {
    let manager = Manager::new(HOUR);
    let resource = manager.add(Connection::open(1));
    let (closed, reports) = tokio::join!(resource.close(), manager.close_all());
    assert_eq!(closed, Ok(()));
    assert_eq!(reports.len(), 1);
    assert_eq!(manager.open(), 0);
}
