//! Builds that fail or are cancelled, and leave a folder to be removed.

use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::cleanup_on_cancel::with_clean_up;

/// A file that is closed when it is dropped.
struct File(&'static str);

impl Drop for File {
    fn drop(&mut self) {
        println!("{}: file closed", self.0);
    }
}

async fn build(job: &'static str) -> Result<(), String> {
    let _file = File(job);
    sleep(Duration::from_millis(200)).await;
    Err(format!("{job} failed"))
}

async fn remove_folder(job: &'static str) {
    println!("{job}: removing the folder");
    sleep(Duration::from_millis(200)).await;
    println!("{job}: removed");
}

async fn followed_by_clean_up(job: &'static str) {
    let result = build(job).await;
    remove_folder(job).await;
    report(result);
}

async fn build_and_clean_up(job: &'static str, tasks: TaskTracker) {
    let (body, clean_up) = (build(job), remove_folder(job));
    match with_clean_up(&tasks, body, clean_up).await {
        Ok(result) => report(result),
        Err(error) => println!("{error}"),
    }
}

fn report(result: Result<(), String>) {
    if let Err(error) = result {
        println!("{error}");
    }
}

/// Cancels the task after 0.1 s, `times` times.
async fn cancel(task: JoinHandle<()>, times: u32) {
    sleep(Duration::from_millis(100)).await;
    for _ in 0..times {
        task.abort();
        sleep(Duration::from_millis(50)).await;
    }
    if task.await.is_err_and(|error| error.is_cancelled()) {
        println!("the task is cancelled");
    }
    sleep(Duration::from_millis(300)).await;
}

pub async fn run() {
    println!("The clean-up follows the body, which fails:");
    followed_by_clean_up("A").await;

    println!("The clean-up follows, and the task is cancelled:");
    cancel(tokio::spawn(followed_by_clean_up("B")), 1).await;

    println!("The clean-up follows, and the task is cancelled twice:");
    cancel(tokio::spawn(followed_by_clean_up("C")), 2).await;

    println!("The clean-up has a task of its own, and the body fails:");
    let tasks = TaskTracker::new();
    build_and_clean_up("D", tasks.clone()).await;

    println!("The clean-up has its own task; the caller is cancelled twice:");
    cancel(tokio::spawn(build_and_clean_up("E", tasks.clone())), 2).await;

    println!("The clean-up has its own task; the body's group is cancelled:");
    let mut group = JoinSet::new();
    group.spawn(build_and_clean_up("F", tasks.clone()));
    sleep(Duration::from_millis(100)).await;
    group.shutdown().await;
    sleep(Duration::from_millis(300)).await;

    println!("The program ends during the clean-up:");
    let task = tokio::spawn(build_and_clean_up("G", tasks.clone()));
    sleep(Duration::from_millis(100)).await;
    task.abort();
    tasks.close();
    tasks.wait().await;
    println!("all is clean");
}
