//! Cases after the tests of tower's `Buffer`, whose worker is an actor.

use std::ops::ControlFlow;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::support::tasks;
use crate::actor::{Actor, Address, Ended, start};

const SECOND: Duration = Duration::from_secs(1);

/// Takes a second for each request, and notes them.
#[derive(Default)]
struct Service(Vec<u32>);

enum Request {
    Get(u32, oneshot::Sender<u32>),
    Ignore(oneshot::Sender<u32>),
    Stop,
    Panic,
}

impl Actor for Service {
    type Message = Request;

    async fn handle(&mut self, request: Request) -> ControlFlow<()> {
        sleep(SECOND).await;
        match request {
            Request::Get(number, reply) => {
                self.0.push(number);
                let _ = reply.send(number * 10);
            }
            Request::Ignore(reply) => drop(reply),
            Request::Stop => return ControlFlow::Break(()),
            Request::Panic => panic!("scheduled"),
        }
        ControlFlow::Continue(())
    }
}

fn service(mailbox: usize) -> (Address<Request>, JoinHandle<Service>) {
    start(Service::default(), mailbox)
}

async fn get(address: &Address<Request>, number: u32) -> Result<u32, Ended> {
    address.ask(|reply| Request::Get(number, reply)).await
}

/// Returns the requests that were handled, when all addresses are gone.
async fn handled(address: Address<Request>, task: JoinHandle<Service>) -> Vec<u32> {
    drop(address);
    task.await.expect("no panic").0
}

#[tokio::test(start_paused = true)]
async fn tower_a_request_and_its_response() {
    let (address, task) = service(1);
    assert_eq!(get(&address, 7).await, Ok(70));
    assert_eq!(handled(address, task).await, [7]);
}

#[tokio::test(start_paused = true)]
async fn tower_each_request_has_its_own_response() {
    let (address, task) = service(4);
    let responses = join_all((0..31).map(|number| get(&address, number))).await;
    assert!((0..31).map(|number| Ok(number * 10)).eq(responses));
    assert!(handled(address, task).await.into_iter().eq(0..31));
}

#[tokio::test(start_paused = true)]
async fn tower_clones_share_the_service() {
    let (address, task) = service(1);
    let other = address.clone();
    let both = tokio::join!(get(&address, 1), get(&other, 2));
    assert_eq!(both, (Ok(10), Ok(20)));
    drop(other);
    assert_eq!(handled(address, task).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn tower_a_full_buffer_makes_its_callers_wait() {
    let (address, _task) = service(2);
    let mut asks: Vec<_> = (0..3)
        .map(|number| Box::pin(get(&address, number)))
        .collect();
    for ask in &mut asks {
        assert!(ask.as_mut().now_or_never().is_none());
    }
    // Two are in the mailbox, and the third is not: dropped, it is never handled.
    asks.pop();
    assert_eq!(join_all(asks).await, [Ok(0), Ok(10)]);
    assert_eq!(handled(address, _task).await, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn tower_a_cancelled_request_in_the_buffer_is_handled_differs() {
    let (address, task) = service(4);
    let slow = get(&address, 1);
    let gone = timeout(SECOND / 2, get(&address, 2));
    let both = tokio::join!(slow, gone);
    assert_eq!(both.0, Ok(10));
    assert!(both.1.is_err());
    assert_eq!(handled(address, task).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn tower_when_the_service_fails_all_waiting_requests_fail() {
    let (address, task) = service(4);
    address.tell(Request::Panic).await.expect("there is room");
    let responses = join_all((0..6).map(|number| get(&address, number))).await;
    // Those in the mailbox may have been handled, those before it were not.
    assert_eq!(responses[..3], [Err(Ended::Meanwhile); 3]);
    assert!(responses.iter().all(Result::is_err));
    assert!(task.await.is_err_and(|error| error.is_panic()));
}

#[tokio::test(start_paused = true)]
async fn tower_after_a_failure_each_request_fails_immediately() {
    let (address, task) = service(4);
    address.tell(Request::Panic).await.expect("there is room");
    assert!(task.await.is_err());
    for number in 0..3 {
        let failed = get(&address, number).now_or_never();
        assert_eq!(failed, Some(Err(Ended::Before)));
    }
}

#[tokio::test(start_paused = true)]
async fn tower_a_response_that_is_dropped_is_an_error() {
    let (address, _task) = service(1);
    let ignored = address.ask(Request::Ignore).await;
    assert_eq!(ignored, Err(Ended::Meanwhile));
    assert_eq!(get(&address, 1).await, Ok(10), "it goes on");
}

#[tokio::test(start_paused = true)]
async fn tower_the_worker_ends_with_the_last_handle() {
    let (address, task) = service(1);
    let other = address.clone();
    drop(address);
    sleep(SECOND).await;
    assert!(!task.is_finished());
    drop(other);
    assert!(task.await.is_ok());
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn tower_what_is_in_the_buffer_is_handled_before_the_worker_ends() {
    let (address, task) = service(4);
    for number in 0..4 {
        let (reply, _answer) = oneshot::channel();
        let told = address.tell(Request::Get(number, reply)).await;
        assert!(told.is_ok());
    }
    assert_eq!(handled(address, task).await, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn tower_stopped_it_drops_what_is_in_the_buffer() {
    let (address, task) = service(4);
    address.tell(Request::Stop).await.expect("there is room");
    let after = get(&address, 1).await;
    assert_eq!(after, Err(Ended::Meanwhile));
    assert!(handled(address, task).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn tower_requests_are_handled_one_after_the_other() {
    let (address, _task) = service(9);
    let start = Instant::now();
    join_all((0..9).map(|number| get(&address, number))).await;
    assert_eq!(start.elapsed(), 9 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn tower_an_aborted_worker_is_a_closed_service() {
    let (address, task) = service(4);
    let abort = async {
        sleep(SECOND / 2).await;
        task.abort();
    };
    let (asked, ()) = tokio::join!(get(&address, 1), abort);
    assert_eq!(asked, Err(Ended::Meanwhile));
    assert_eq!(get(&address, 2).await, Err(Ended::Before));
}

#[tokio::test(start_paused = true)]
async fn tower_a_caller_that_waits_for_room_is_woken_by_the_end() {
    let (address, task) = service(1);
    address.tell(Request::Panic).await.expect("there is room");
    sleep(SECOND / 2).await;
    address.tell(Request::Stop).await.expect("there is room");
    let waits = timeout(60 * SECOND, get(&address, 1)).await;
    assert_eq!(waits, Ok(Err(Ended::Before)));
    assert!(task.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn tower_a_message_that_is_refused_comes_back() {
    let (address, task) = service(1);
    task.abort();
    assert!(task.await.is_err());
    let refused = address.tell(Request::Stop).await.expect_err("it has ended");
    assert!(matches!(refused.0, Request::Stop));
}
