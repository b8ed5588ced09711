//! Searches a disk for a file, with a task for each folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::{sleep, timeout};

use crate::structured_scope::{Scope, scope};

/// A folder, which takes some time to list.
struct Folder {
    path: &'static str,
    millis: u64,
    file: Result<&'static str, Unreadable>,
    folders: Vec<Arc<Folder>>,
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0} cannot be read")]
struct Unreadable(&'static str);

/// The path of the file, or `None` if it is nowhere.
type Found = Option<String>;

#[derive(Default)]
struct Search {
    file: &'static str,
    cancelled: AtomicU32,
}

/// Counts itself if it is dropped before its end.
struct Listing<'a> {
    search: &'a Search,
    ended: bool,
}

impl Drop for Listing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.search.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Lists a folder, and spawns a task for each folder in it. In a box, as an `async fn`
/// cannot contain itself.
fn list(
    folder: Arc<Folder>,
    search: Arc<Search>,
    scope: Scope<Found, Unreadable>,
) -> BoxFuture<'static, Result<(), Unreadable>> {
    let list = async move {
        let ended = false;
        let mut listing = Listing {
            search: &search,
            ended,
        };
        sleep(Duration::from_millis(folder.millis)).await;
        listing.ended = true;
        let file = folder.file?;
        println!("{} listed", folder.path);
        if file == search.file {
            scope.end(Some(format!("{}/{file}", folder.path)));
        }
        for inner in &folder.folders {
            let (inner, search) = (Arc::clone(inner), Arc::clone(&search));
            scope.spawn(list(inner, search, scope.clone()));
        }
        Ok(())
    };
    list.boxed()
}

async fn find(disk: Arc<Folder>, search: Arc<Search>) -> Result<Found, Unreadable> {
    scope(async |scope| {
        list(disk, search, scope).await?;
        Ok(None)
    })
    .await
}

/// A disk, in which one file can be read or not.
fn disk(todo: Result<&'static str, Unreadable>) -> Arc<Folder> {
    let folder = |path, millis, file, folders| {
        Arc::new(Folder {
            path,
            millis,
            file,
            folders,
        })
    };
    let ann = folder("/home/ann", 100, Ok("notes"), vec![]);
    let bob = folder("/home/bob", 300, todo, vec![]);
    let log = folder("/var/log", 200, Ok("errors"), vec![]);
    let home = folder("/home", 200, Ok("readme"), vec![ann, bob]);
    let var = folder("/var", 400, Ok("pid"), vec![log]);
    folder("/", 100, Ok("fstab"), vec![home, var])
}

async fn report(file: &'static str, todo: Result<&'static str, Unreadable>) {
    let search = Arc::new(Search {
        file,
        ..Search::default()
    });
    match find(disk(todo), Arc::clone(&search)).await {
        Ok(Some(path)) => println!("found {path}"),
        Ok(None) => println!("{file} is nowhere"),
        Err(error) => println!("{error}"),
    }
    let cancelled = search.cancelled.load(Ordering::SeqCst);
    println!("listings cancelled: {cancelled}");
}

pub async fn run() {
    println!("Waits for all tasks, also for those that tasks have spawned:");
    report("letters", Ok("todo")).await;

    println!("Ended early by a task:");
    report("notes", Ok("todo")).await;

    println!("Ended by an error:");
    report("errors", Err(Unreadable("/home/bob"))).await;

    println!("Ended by a time limit of 0.25 s:");
    let limit = Duration::from_millis(250);
    if timeout(limit, report("notes", Ok("todo"))).await.is_err() {
        println!("timed out");
    }
    // The drop does not wait until the tasks have ended.
    sleep(limit).await;
}
