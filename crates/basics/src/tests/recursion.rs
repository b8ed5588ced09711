//! How soon an error is told, and trees of many folders.

use std::time::Duration;

use tokio::time::Instant;

use crate::recursion::{Folder, total_size, total_size_at_once};

fn folder(name: &'static str, size: u32, folders: Vec<Folder>) -> Folder {
    Folder {
        name,
        size,
        folders,
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_error_is_told_at_once_however_many_folders_there_are() {
    for count in [0, 1, 31, 129, 1000] {
        // The last one fails after 10 ms; the others take an hour.
        let mut folders: Vec<_> = (0..count)
            .map(|_| folder("slow", 3_600_000, vec![]))
            .collect();
        folders.push(folder("deep", 0, vec![folder("secret", 10, vec![])]));
        let root = folder("root", 0, folders);
        let start = Instant::now();
        assert!(total_size_at_once(&root).await.is_err());
        assert!(start.elapsed() < Duration::from_secs(1), "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_find_the_same_size() {
    for count in [0, 1, 31, 129, 1000] {
        let folders = (1..=count).map(|size| folder("", size, vec![]));
        let root = folder("root", 7, folders.collect());
        let expected = Ok(7 + (1..=count).sum::<u32>());
        assert_eq!(total_size(&root).await, expected);
        assert_eq!(total_size_at_once(&root).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_spawned_task() {
    let root = folder("root", 7, vec![folder("inner", 1, vec![])]);
    let task = tokio::spawn(async move { total_size_at_once(&root).await });
    assert_eq!(task.await.expect("no panic"), Ok(8));
}

/// What the header advises for a function that spawns itself.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` does not promise `Send`"
)]
fn count_down(number: u32) -> impl Future<Output = u32> + Send {
    async move {
        match number {
            0 => 0,
            _ => {
                1 + tokio::spawn(count_down(number - 1))
                    .await
                    .expect("no panic")
            }
        }
    }
}

#[tokio::test]
async fn a_function_that_spawns_itself() {
    assert_eq!(count_down(31).await, 31);
}
