//! A store that is asked, told, left, stopped, and that panics.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::actor::{Actor, Address, start};

struct Store {
    apples: u32,
}

enum Order {
    Deliver(u32),
    Take(u32, oneshot::Sender<Result<u32, String>>),
    Audit(oneshot::Sender<()>),
    Close,
}

impl Actor for Store {
    type Message = Order;

    async fn handle(&mut self, order: Order) -> ControlFlow<()> {
        sleep(Duration::from_millis(200)).await;
        match order {
            Order::Deliver(count) => self.apples += count,
            Order::Take(count, reply) => {
                let left = self.apples.checked_sub(count);
                self.apples = left.unwrap_or(self.apples);
                println!("{} apples in the store", self.apples);
                let _ = reply.send(left.ok_or_else(|| format!("{count} are too many")));
            }
            Order::Audit(_reply) => panic!("the ledger is torn"),
            Order::Close => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}

/// Takes apples, and says what came of it.
async fn take(store: &Address<Order>, count: u32) -> String {
    match store.ask(|reply| Order::Take(count, reply)).await {
        Ok(Ok(left)) => format!("took {count}, which leaves {left}"),
        Ok(Err(error)) => format!("took none: {error}"),
        Err(ended) => format!("took none: {ended}"),
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let moment = Duration::from_millis(100);

    println!("Asked and answered:");
    let (store, task) = start(Store { apples: 5 }, 2);
    println!("{}", take(&store, 2).await);
    println!("{}", take(&store, 4).await);

    println!("Two messages fit into the mailbox, a third waits:");
    let deliver_later = async {
        sleep(moment).await;
        for count in [10, 20, 30] {
            store.tell(Order::Deliver(count)).await?;
            println!("{count} on the way");
        }
        Ok::<_, SendError<Order>>(())
    };
    let (took, delivered) = tokio::join!(take(&store, 1), deliver_later);
    delivered?;
    println!("{took}");

    println!("A caller gives up after 0.1 s:");
    sleep(7 * moment).await;
    match timeout(moment, take(&store, 3)).await {
        Ok(took) => println!("{took}"),
        Err(_) => println!("gave up"),
    }

    println!("The last caller leaves:");
    drop(store);
    let store = task.await?;
    println!("the store ends with {} apples", store.apples);

    println!("Stopped by a message, with one more in the mailbox and one that waits:");
    let (store, task) = start(store, 1);
    store.tell(Order::Close).await?;
    let take_later = async {
        sleep(moment).await;
        take(&store, 1).await
    };
    let (first, second) = tokio::join!(take(&store, 1), take_later);
    println!("{first}");
    println!("{second}");
    println!("the store ends with {} apples", task.await?.apples);

    println!("Stopped by a panic:");
    let (store, task) = start(Store { apples: 5 }, 1);
    if let Err(ended) = store.ask(Order::Audit).await {
        println!("no audit: {ended}");
    }
    if task.await.is_err_and(|error| error.is_panic()) {
        println!("the actor panicked");
    }
    println!("{}", take(&store, 1).await);
    Ok(())
}
