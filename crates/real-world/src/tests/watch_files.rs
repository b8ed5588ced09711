use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
#[cfg(target_os = "linux")]
use std::sync::mpsc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use notify::{Event, RecursiveMode, Watcher};
use tempfile::tempdir;
use tokio::time::{Instant, timeout};

use super::support::{poll_and_drop, soon};
use crate::watch_files::{Changes, FolderWatch};

const QUIET: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);

async fn next(watch: &mut FolderWatch) -> Changes {
    soon(watch.changes(QUIET, LONG)).await.expect("it watches")
}

/// Waits until each of these has been named, however many calls that takes.
async fn until_named(watch: &mut FolderWatch, mut paths: BTreeSet<PathBuf>) {
    while !paths.is_empty() {
        match next(watch).await {
            Changes::Paths(named) => paths.retain(|path| !named.contains(path)),
            Changes::Rescan => panic!("there was room"),
        }
    }
}

fn write(folder: &Path, numbers: std::ops::Range<u32>) -> BTreeSet<PathBuf> {
    let paths = numbers.map(|number| folder.join(number.to_string()));
    let paths: BTreeSet<_> = paths.collect();
    for path in &paths {
        fs::write(path, "text").expect("there is room");
    }
    paths
}

#[tokio::test]
async fn all_paths_of_bursts_of_all_sizes() {
    let folder = tempdir().expect("there is room");
    let mut watch = FolderWatch::new(folder.path(), 100_000).expect("a folder");
    let none = timeout(QUIET, watch.changes(Duration::ZERO, Duration::ZERO)).await;
    assert!(none.is_err(), "{none:?}");
    for number in [1, 31, 129, 1_000] {
        let paths = write(folder.path(), 0..number);
        until_named(&mut watch, paths).await;
    }
    // Without time to collect, there is still the first.
    let path = write(folder.path(), 0..1);
    let changes = soon(watch.changes(Duration::ZERO, Duration::ZERO)).await;
    assert_eq!(changes, Some(Changes::Paths(path)));
    write(folder.path(), 7..8);
    let changes = soon(watch.changes(QUIET, Duration::MAX)).await;
    assert!(matches!(changes, Some(Changes::Paths(_))), "{changes:?}");
}

#[tokio::test]
async fn if_paths_are_lost_it_says_so_once() {
    let folder = tempdir().expect("there is room");
    for capacity in [1, 5] {
        let mut watch = FolderWatch::new(folder.path(), capacity).expect("a folder");
        write(folder.path(), 0..100);
        assert_eq!(next(&mut watch).await, Changes::Rescan);
        // What came after the queue was full may be named again.
        while timeout(QUIET, next(&mut watch)).await.is_ok() {}
        let path = folder.path().join(format!("single {capacity}"));
        fs::write(&path, "").expect("there is room");
        assert_eq!(next(&mut watch).await, Changes::Paths([path].into()));
    }
}

/// The set of a slow reader is bounded as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_paths_than_fit_into_the_set() {
    let folder = tempdir().expect("there is room");
    let mut watch = FolderWatch::new(folder.path(), 10).expect("a folder");
    let path = folder.path().to_owned();
    let writer = tokio::task::spawn_blocking(move || {
        for number in 0..50 {
            write(&path, number..number + 1);
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    assert_eq!(next(&mut watch).await, Changes::Rescan);
    writer.await.expect("it does not panic");
}

#[tokio::test]
async fn dropped_at_each_await_no_path_is_lost() {
    let folder = tempdir().expect("there is room");
    let mut watch = FolderWatch::new(folder.path(), 1_000).expect("a folder");
    for polls in 0..20 {
        let paths = write(folder.path(), 0..20);
        let mut named = BTreeSet::new();
        while let Some(Some(changes)) =
            poll_and_drop(watch.changes(Duration::from_millis(5), LONG), polls).await
        {
            let Changes::Paths(paths) = changes else {
                panic!("there was room");
            };
            named.extend(paths);
        }
        let rest = paths.difference(&named).cloned().collect();
        // What was written last may be named a second time.
        until_named(&mut watch, rest).await;
        while timeout(QUIET, watch.changes(QUIET / 10, LONG))
            .await
            .is_ok()
        {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_never_rests_is_reported_all_the_same() {
    let folder = tempdir().expect("there is room");
    let mut watch = FolderWatch::new(folder.path(), 100_000).expect("a folder");
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, path) = (Arc::clone(&stop), folder.path().to_owned());
    let writer = tokio::task::spawn_blocking(move || {
        while !stopped.load(SeqCst) {
            write(&path, 0..1);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    for _ in 0..3 {
        let start = Instant::now();
        let changes = soon(watch.changes(LONG, QUIET)).await;
        assert!(matches!(changes, Some(Changes::Paths(_))), "{changes:?}");
        assert!(start.elapsed() < LONG);
    }
    stop.store(true, SeqCst);
    writer.await.expect("it does not panic");
}

#[test]
fn no_folder_is_an_error() {
    let error = FolderWatch::new(Path::new("/no/such/folder"), 1);
    assert!(
        error
            .expect_err("there is none")
            .to_string()
            .contains("No path")
    );
}

/// What `notify` says of a path, until it has said nothing for a while.
#[cfg(target_os = "linux")]
fn events(events: &mpsc::Receiver<notify::Result<Event>>) -> Vec<Event> {
    let next = || events.recv_timeout(QUIET).ok();
    std::iter::from_fn(next)
        .map(|event| event.expect("no error"))
        .collect()
}

/// The first trap. On Linux a watch is on the file, not on its name.
#[cfg(target_os = "linux")]
#[test]
fn a_watched_file_that_is_replaced_is_watched_no_more() {
    let folder = tempdir().expect("there is room");
    let (path, new) = (folder.path().join("a"), folder.path().join("new"));
    fs::write(&path, "1").expect("there is room");
    let (sender, receiver) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).expect("a watcher");
    watcher
        .watch(&path, RecursiveMode::NonRecursive)
        .expect("a file");
    fs::write(&path, "2").expect("there is room");
    assert!(!events(&receiver).is_empty());
    fs::write(&new, "3").expect("there is room");
    fs::rename(&new, &path).expect("it is one folder");
    events(&receiver);
    fs::write(&path, "4").expect("there is room");
    assert_eq!(events(&receiver), []);
}

/// The second trap.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn reading_is_an_event_that_is_skipped() {
    let folder = tempdir().expect("there is room");
    let path = folder.path().join("a");
    fs::write(&path, "1").expect("there is room");
    let mut watch = FolderWatch::new(folder.path(), 10).expect("a folder");
    let (sender, receiver) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).expect("a watcher");
    watcher
        .watch(folder.path(), RecursiveMode::Recursive)
        .expect("a folder");
    fs::read(&path).expect("it is there");
    let seen = events(&receiver);
    assert!(!seen.is_empty() && seen.iter().all(|event| event.kind.is_access()));
    assert!(timeout(QUIET, watch.changes(QUIET, LONG)).await.is_err());
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// What is in a folder before the watch on it begins is never named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_folder_is_told() {
    let folder = tempdir().expect("there is room");
    let mut watch = FolderWatch::new(folder.path(), 10_000).expect("a folder");
    for round in 0..10 {
        let deep = folder.path().join(format!("{round}/a/b"));
        fs::create_dir_all(&deep).expect("there is room");
        write(&deep, 0..5);
        assert_eq!(next(&mut watch).await, Changes::Rescan);
        while timeout(QUIET, next(&mut watch)).await.is_ok() {}
    }
    // A folder that is moved into it.
    let outside = tempdir().expect("there is room");
    let full = outside.path().join("full");
    fs::create_dir(&full).expect("there is room");
    write(&full, 0..5);
    fs::rename(&full, folder.path().join("full")).expect("the same file system");
    assert_eq!(next(&mut watch).await, Changes::Rescan);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_is_gone_ends_the_watch() {
    for is_removed in [true, false] {
        let outside = tempdir().expect("there is room");
        let folder = outside.path().join("folder");
        fs::create_dir(&folder).expect("there is room");
        let mut watch = FolderWatch::new(&folder, 10_000).expect("a folder");
        if is_removed {
            fs::remove_dir(&folder).expect("it is empty");
        } else {
            fs::rename(&folder, outside.path().join("other")).expect("it is there");
        }
        assert_eq!(next(&mut watch).await, Changes::Rescan);
        assert_eq!(soon(watch.changes(QUIET, LONG)).await, None);
    }
}
