//! Groups that succeed, whose task fails, and whose body fails.

use std::error::Error;
use std::time::Duration;

use tokio::time::sleep;

use crate::task_group::task_group;

/// Prints when it is dropped.
struct CleanUp(&'static str);

impl Drop for CleanUp {
    fn drop(&mut self) {
        println!("{}: cleaned up", self.0);
    }
}

async fn worker(name: &'static str, millis: u64, fails: bool) -> Result<String, String> {
    let _clean_up = CleanUp(name);
    sleep(Duration::from_millis(millis)).await;
    if fails {
        return Err(format!("Worker {name} failed"));
    }
    Ok(format!("Success: {name}"))
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("All succeed:");
    let (task1, task2) = task_group(async |group| {
        let task1 = group.spawn(worker("A", 200, false));
        let task2 = group.spawn(worker("B", 100, false));
        Ok((task1, task2))
    })
    .await?;
    println!("{}, {}", task1.await?, task2.await?);

    println!("A task fails:");
    let result = task_group(async |group| {
        group.spawn(worker("A", 100, false));
        group.spawn(worker("B", 1000, false));
        let text = group.spawn(worker("C", 200, true)).await;
        println!("Not reached, as the body is stopped too: {text:?}");
        Ok(())
    })
    .await;
    if let Err(errors) = result {
        println!("{errors}");
    }

    println!("The body fails:");
    let result = task_group(async |group| {
        group.spawn(worker("D", 1000, false));
        sleep(Duration::from_millis(100)).await;
        Err::<(), _>(String::from("The body failed"))
    })
    .await;
    if let Err(errors) = result {
        println!("{errors}");
    }
    Ok(())
}
