use std::cell::Cell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::support::{all_wait, assert_linear, poll_and_drop};
use crate::actor::{Actor, Address, Ended, start};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// Counts how often it has handled each number, and takes some ticks for each.
#[derive(Default)]
struct Counter {
    seen: HashMap<u32, u32>,
    ticks: u32,
}

enum Message {
    Count(u32, oneshot::Sender<u32>),
    Ignore(oneshot::Sender<u32>),
    Stop,
    Panic,
}

impl Actor for Counter {
    type Message = Message;

    async fn handle(&mut self, message: Message) -> ControlFlow<()> {
        match self.ticks {
            0 => {}
            ticks => sleep(ticks * TICK).await,
        }
        match message {
            Message::Count(number, reply) => {
                *self.seen.entry(number).or_default() += 1;
                let _ = reply.send(number);
            }
            Message::Ignore(reply) => drop(reply),
            Message::Stop => return ControlFlow::Break(()),
            Message::Panic => panic!("scheduled"),
        }
        ControlFlow::Continue(())
    }
}

fn counter(ticks: u32, mailbox: usize) -> (Address<Message>, JoinHandle<Counter>) {
    let seen = HashMap::new();
    start(Counter { seen, ticks }, mailbox)
}

async fn count(address: &Address<Message>, number: u32) -> Result<u32, Ended> {
    let asked = address.ask(|reply| Message::Count(number, reply));
    timeout(HOUR, asked).await.expect("it is answered")
}

/// The actor, which ends as nobody has its address any more.
async fn last(task: JoinHandle<Counter>) -> Counter {
    let end = timeout(HOUR, task).await.expect("it ends");
    end.expect("it does not panic")
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    // Idle, busy, mailbox full, and others who wait for room.
    for before in 0..6 {
        let mut completed = false;
        for polls in 1..60 {
            let (address, task) = counter(5, 2);
            let mut others = JoinSet::new();
            for number in 0..before {
                let address = address.clone();
                others.spawn(async move { count(&address, number).await });
                tokio::task::yield_now().await;
            }
            let asked = poll_and_drop(count(&address, 100), polls).await;
            completed |= asked.is_some();
            assert_eq!(asked.unwrap_or(Ok(100)), Ok(100));
            assert_eq!(count(&address, 101).await, Ok(101), "the next gets through");
            let mut others = others.join_all().await;
            others.sort_by_key(|other| other.unwrap_or_default());
            assert!(others.into_iter().eq((0..before).map(Ok)), "each its own");
            drop(address);
            let mut seen = last(task).await.seen;
            let handled = seen.remove(&100).unwrap_or_default();
            // The others fill the mailbox until the actor has handled some of them.
            let sent = polls as u32 > 5 * before.saturating_sub(2) + 2;
            assert!(handled <= 1 && (handled == 1 || asked.is_none()));
            assert!(handled == 1 || !sent, "sent is handled: {before}, {polls}");
            assert!(seen.values().all(|times| *times == 1));
            assert_eq!(seen.len() as u32, before + 1);
        }
        assert!(completed, "60 polls are enough");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_while_it_ends() {
    for polls in 1..20 {
        for end in [Message::Stop, Message::Panic] {
            let (address, task) = counter(5, 2);
            assert!(address.tell(end).await.is_ok());
            let asked = poll_and_drop(count(&address, 100), polls).await;
            assert!(matches!(asked, None | Some(Err(Ended::Meanwhile))));
            assert!(asked.is_some() || polls < 10);
            let _ = timeout(HOUR, task).await.expect("it ends");
            let asked = poll_and_drop(count(&address, 101), polls).await;
            assert_eq!(asked, Some(Err(Ended::Before)), "at the first poll");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let (address, task) = counter(0, 4);
    let mut set = JoinSet::new();
    for number in 0..10_000 {
        let address = address.clone();
        let asking = set.spawn(async move {
            let asked = address.ask(|reply| Message::Count(number, reply));
            match number % 3 {
                0 => timeout(Duration::from_micros(300), asked).await.ok(),
                _ => Some(asked.await),
            }
        });
        if number % 10 == 9 {
            asking.abort();
        }
    }
    drop(address);
    let mut replies = Vec::new();
    let mut gave_up = 0;
    let all = async {
        while let Some(outcome) = set.join_next().await {
            match outcome {
                Ok(Some(reply)) => replies.push(reply.expect("it has not ended")),
                Ok(None) => gave_up += 1,
                Err(error) => gave_up += usize::from(error.is_cancelled()),
            }
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody hangs");
    assert_eq!(replies.len() + gave_up, 10_000);
    let end = timeout(Duration::from_secs(60), task)
        .await
        .expect("it ends");
    let mut seen = end.expect("it does not panic").seen;
    assert!(seen.values().all(|times| *times == 1), "nothing twice");
    for number in replies {
        assert!(
            seen.remove(&number).is_some(),
            "{number} twice, or never seen"
        );
    }
    assert!(seen.len() <= gave_up, "the rest is of those who gave up");
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let none = std::panic::catch_unwind(|| start(Counter::default(), 0));
    assert!(none.is_err(), "no mailbox");

    let (address, task) = counter(5, 1);
    // One is being handled, one is in the mailbox, one waits.
    for number in 0..2 {
        let (reply, _) = oneshot::channel();
        let told = timeout(TICK, address.tell(Message::Count(number, reply))).await;
        assert!(matches!(told, Ok(Ok(()))));
        tokio::task::yield_now().await;
    }
    let (reply, _) = oneshot::channel();
    let third = timeout(TICK, address.tell(Message::Count(2, reply))).await;
    assert!(third.is_err(), "it is full");
    let ignored = timeout(HOUR, address.ask(Message::Ignore)).await;
    assert_eq!(ignored, Ok(Err(Ended::Meanwhile)), "the reply was dropped");
    assert_eq!(count(&address, 3).await, Ok(3), "and the actor goes on");
    drop(address);
    let seen = last(task).await.seen;
    assert_eq!(seen, HashMap::from([(0, 1), (1, 1), (3, 1)]));
}

#[tokio::test(start_paused = true)]
async fn all_messages_are_handled_before_it_ends() {
    let (address, task) = counter(1, 10);
    for number in 0..10 {
        let (reply, _) = oneshot::channel();
        assert!(address.tell(Message::Count(number, reply)).await.is_ok());
    }
    drop(address);
    assert_eq!(last(task).await.seen.len(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_end_wakes_all_who_wait() {
    for end in [Message::Stop, Message::Panic] {
        let (address, task) = counter(5, 2);
        assert!(address.tell(end).await.is_ok());
        let mut set = JoinSet::new();
        for number in 0..6 {
            let address = address.clone();
            set.spawn(async move { count(&address, number).await });
            tokio::task::yield_now().await;
        }
        let mut ends = set.join_all().await;
        ends.sort_by_key(|end| *end == Err(Ended::Before));
        // Two in the mailbox, and four who wait for room.
        let (meanwhile, before) = (Err(Ended::Meanwhile), Err(Ended::Before));
        assert_eq!(ends[..2], [meanwhile, meanwhile]);
        assert_eq!(ends[2..], [before; 4]);
        let _ = task.await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_itself_waits_for_ever() {
    enum Step {
        Learn(Address<Step>),
        Ask(oneshot::Sender<()>),
    }
    struct Learner(Option<Address<Step>>);

    impl Actor for Learner {
        type Message = Step;

        async fn handle(&mut self, step: Step) -> ControlFlow<()> {
            match (step, &self.0) {
                (Step::Learn(address), _) => self.0 = Some(address),
                (Step::Ask(reply), None) => drop(reply.send(())),
                (Step::Ask(_reply), Some(own)) => drop(own.ask(Step::Ask).await),
            }
            ControlFlow::Continue(())
        }
    }

    let (address, _) = start(Learner(None), 1);
    assert_eq!(timeout(HOUR, address.ask(Step::Ask)).await, Ok(Ok(())));
    assert!(address.tell(Step::Learn(address.clone())).await.is_ok());
    assert!(timeout(HOUR, address.ask(Step::Ask)).await.is_err());

    // And so do two who ask each other.
    let ((first, _), (second, _)) = (start(Learner(None), 1), start(Learner(None), 1));
    assert!(first.tell(Step::Learn(second.clone())).await.is_ok());
    assert!(timeout(HOUR, first.ask(Step::Ask)).await.is_ok());
    assert!(second.tell(Step::Learn(first.clone())).await.is_ok());
    assert!(timeout(HOUR, first.ask(Step::Ask)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_tells_itself_waits_for_ever_when_its_mailbox_is_full() {
    /// Tells itself two messages when it is started.
    struct Twice(Option<Address<Again>>);
    enum Again {
        Learn(Address<Again>),
        Start(oneshot::Sender<()>),
        Note,
    }

    impl Actor for Twice {
        type Message = Again;

        async fn handle(&mut self, message: Again) -> ControlFlow<()> {
            match (message, &self.0) {
                (Again::Learn(own), _) => self.0 = Some(own),
                (Again::Start(reply), Some(own)) => {
                    let _ = own.tell(Again::Note).await;
                    let _ = own.tell(Again::Note).await;
                    let _ = reply.send(());
                }
                (Again::Start(_) | Again::Note, _) => {}
            }
            ControlFlow::Continue(())
        }
    }

    for (mailbox, replied) in [(2, true), (1, false)] {
        let (address, _) = start(Twice(None), mailbox);
        assert!(address.tell(Again::Learn(address.clone())).await.is_ok());
        let asked = timeout(HOUR, address.ask(Again::Start)).await;
        assert_eq!(asked.is_ok(), replied);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_back_when_the_actor_has_ended() {
    let (address, task) = counter(5, 1);
    assert!(address.tell(Message::Stop).await.is_ok());
    tokio::task::yield_now().await;
    let (reply, answer) = oneshot::channel();
    assert!(address.tell(Message::Ignore(reply)).await.is_ok());
    let (reply, _) = oneshot::channel();
    // It waits for room when the actor ends.
    let told = timeout(HOUR, address.tell(Message::Count(7, reply))).await;
    assert!(matches!(told, Ok(Err(SendError(Message::Count(7, _))))));
    assert!(answer.await.is_err(), "what was in the mailbox is dropped");
    last(task).await;
    let told = timeout(HOUR, address.tell(Message::Stop)).await;
    assert!(matches!(told, Ok(Err(SendError(Message::Stop)))));
}

#[tokio::test(start_paused = true)]
async fn a_reply_tells_that_nobody_waits_any_more() {
    struct Slow(Vec<bool>);

    impl Actor for Slow {
        type Message = oneshot::Sender<()>;

        async fn handle(&mut self, reply: Self::Message) -> ControlFlow<()> {
            sleep(5 * TICK).await;
            self.0.push(reply.is_closed());
            let _ = reply.send(());
            ControlFlow::Continue(())
        }
    }

    let (address, task) = start(Slow(Vec::new()), 1);
    assert!(timeout(TICK, address.ask(|reply| reply)).await.is_err());
    assert_eq!(timeout(HOUR, address.ask(|reply| reply)).await, Ok(Ok(())));
    drop(address);
    assert_eq!(task.await.expect("it does not panic").0, [true, false]);
}

#[tokio::test]
async fn in_a_struct_in_a_task_with_what_is_only_send() {
    struct Purse(Cell<u32>);

    impl Actor for Purse {
        type Message = (Cell<u32>, oneshot::Sender<Cell<u32>>);

        async fn handle(&mut self, (coins, reply): Self::Message) -> ControlFlow<()> {
            self.0.set(self.0.get() + coins.get());
            let _ = reply.send(coins);
            ControlFlow::Continue(())
        }
    }

    struct Service {
        purse: Address<<Purse as Actor>::Message>,
    }
    let (purse, task) = start(Purse(Cell::new(0)), 1);
    let service = Arc::new(Service { purse });
    let tasks = (0..4).map(|coins| {
        let service = Arc::clone(&service);
        tokio::spawn(
            async move { service.purse.ask(|reply| (Cell::new(coins), reply)).await },
        )
    });
    for (coins, task) in (0..4).zip(tasks.collect::<Vec<_>>()) {
        let reply = timeout(Duration::from_secs(60), task)
            .await
            .expect("it ends");
        assert_eq!(reply.expect("it is Send"), Ok(Cell::new(coins)));
    }
    drop(service);
    assert_eq!(task.await.expect("it does not panic").0.get(), 6);
}

#[test]
fn ten_times_as_many_that_ask_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let (address, task) = counter(0, 1);
        let asking = all_wait(number, |number| {
            let address = address.clone();
            async move { count(&address, number).await }
        });
        let answers = asking.await.join_all().await;
        assert!(answers.iter().all(Result::is_ok));
        drop(address);
        assert_eq!(last(task).await.seen.len(), number as usize);
    });
}

#[tokio::test]
#[should_panic = "MAX_PERMITS"]
async fn a_mailbox_of_usize_max_is_refused() {
    let _ = counter(0, usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_owns_its_own_address_does_not_end_by_itself() {
    enum Step {
        Learn(Address<Step>),
        Forget,
    }
    struct Own(Option<Address<Step>>);

    impl Actor for Own {
        type Message = Step;

        async fn handle(&mut self, step: Step) -> ControlFlow<()> {
            self.0 = match step {
                Step::Learn(own) => Some(own),
                Step::Forget => None,
            };
            ControlFlow::Continue(())
        }
    }

    let (address, mut task) = start(Own(None), 1);
    assert!(address.tell(Step::Learn(address.clone())).await.is_ok());
    drop(address);
    assert!(timeout(1000 * HOUR, &mut task).await.is_err());

    let (address, task) = start(Own(None), 1);
    assert!(address.tell(Step::Learn(address.clone())).await.is_ok());
    assert!(address.tell(Step::Forget).await.is_ok());
    drop(address);
    assert!(timeout(HOUR, task).await.is_ok());
}
