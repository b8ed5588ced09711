//! Two orders, of which one hangs with the lock that the other needs.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::task_dump::{Running, Tasks, step};

const TENTH: Duration = Duration::from_millis(100);

/// A bank that never answers.
async fn charge() {
    step("look_up", sleep(TENTH)).await;
    step("connect", pending::<()>()).await;
}

async fn place_order(stock: Arc<Mutex<u32>>) {
    let mut stock = step("reserve", stock.lock()).await;
    step("charge", charge()).await;
    *stock -= 1;
}

/// As `Display` does, with a bound in place of the age, which is not the same each time.
fn print_with_bounds(running: &Running, indent: usize) {
    let tenths = if running.age >= TENTH { 1 } else { 0 };
    println!("{:indent$}{} (0.{tenths} s or more)", "", running.name);
    for step in &running.steps {
        print_with_bounds(step, indent + 2);
    }
}

pub async fn run() -> io::Result<()> {
    let (tasks, dumped) = (Tasks::default(), Arc::new(Notify::new()));
    let is_dumped = Arc::clone(&dumped);
    let report = move |dump: Vec<Running>| {
        for task in dump {
            print_with_bounds(&task, 0);
        }
        is_dumped.notify_one();
    };
    #[cfg(unix)]
    crate::task_dump::dump_on_signal(tasks.clone(), report)?;
    let stock = Arc::new(Mutex::new(10));
    let mut orders = JoinSet::new();
    orders.spawn(tasks.track("order 1", place_order(Arc::clone(&stock))));
    sleep(TENTH).await;
    orders.spawn(tasks.track("order 2", place_order(stock)));
    sleep(2 * TENTH).await;

    println!("What the tasks wait for:");
    #[cfg(unix)]
    rustix::process::kill_process(
        rustix::process::getpid(),
        rustix::process::Signal::USR1,
    )?;
    #[cfg(not(unix))]
    report(tasks.dump());
    dumped.notified().await;
    orders.shutdown().await;
    println!("Tasks after the end: {}", tasks.dump().len());
    Ok(())
}
