//! Watch files: react once to a burst of changes in a folder, with a bounded queue.
//!
//! The crate `notify` calls a function on a thread of its own. The function must not
//! wait, so it calls `try_send`. `changes` collects paths until nothing has changed for a
//! while. If paths were lost, it returns `Rescan`: read the folder again. Python has
//! `watchfiles`, which is made of the same crate.
//!
//! Bounds: `capacity` paths in the queue, and as many in the set.
//!
//! Trap: an editor writes a new file and renames it. A watch on the old file then sees
//! nothing more. Watch its folder.
//!
//! Trap: opening a file is an event as well, of the kind `Access`. A program that reads a
//! file at each event never comes to rest. Skip these.
//!
//! See also: `reload_config`, `spawn_from_a_thread`, `debounce_and_throttle`.
//!
//! asyncio: loop.call_soon_threadsafe, async for

use std::collections::BTreeSet;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These were created, changed, renamed or removed.
    Paths(BTreeSet<PathBuf>),
    /// Too many to name: anything may have changed.
    Rescan,
}

/// Watches a folder and all folders in it. Dropping it ends the watching.
#[derive(Debug)]
pub struct FolderWatch {
    // Dropped first: then no more paths come.
    _watcher: RecommendedWatcher,
    paths: mpsc::Receiver<PathBuf>,
    pending: BTreeSet<PathBuf>,
    lost: Arc<AtomicBool>,
}

impl FolderWatch {
    /// Starts to watch. Blocks while it lists the folders.
    ///
    /// # Errors
    ///
    /// If there is no such folder, or the system's limit is reached.
    ///
    /// # Panics
    ///
    /// If `capacity` is zero.
    pub fn new(folder: &Path, capacity: usize) -> notify::Result<Self> {
        let (sender, paths) = mpsc::channel(capacity);
        let lost = Arc::new(AtomicBool::new(false));
        let (lose, root) = (Arc::clone(&lost), folder.to_owned());
        let handle = move |event: notify::Result<Event>| {
            let paths = match event {
                Ok(event) if event.need_rescan() => None,
                Ok(event) if event.kind.is_access() => return,
                Ok(event) => Some(event.paths),
                Err(_) => None,
            };
            if paths.is_none() {
                lose.store(true, SeqCst);
            }
            // Without paths, the folder itself wakes the receiver.
            for path in paths.unwrap_or_else(|| vec![root.clone()]) {
                if sender.try_send(path).is_err() {
                    lose.store(true, SeqCst);
                }
            }
        };
        let mut watcher = notify::recommended_watcher(handle)?;
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(Self {
            _watcher: watcher,
            paths,
            pending: BTreeSet::new(),
            lost,
        })
    }

    /// Waits for a change, then until nothing has changed for `quiet`, but not longer
    /// than `longest`. Returns all changes since the last call, or nothing if the watcher
    /// has ended.
    ///
    /// Cancel safety: if the future is dropped, the next call returns its changes.
    pub async fn changes(
        &mut self,
        quiet: Duration,
        longest: Duration,
    ) -> Option<Changes> {
        if self.pending.is_empty() {
            let first = self.paths.recv().await?;
            self.pending.insert(first);
        }
        let collect = async {
            while let Ok(Some(path)) = timeout(quiet, self.paths.recv()).await {
                if self.pending.len() < self.paths.max_capacity() {
                    self.pending.insert(path);
                } else {
                    self.lost.store(true, SeqCst);
                }
            }
        };
        let _ = timeout(longest, collect).await;
        let paths = take(&mut self.pending);
        match self.lost.swap(false, SeqCst) {
            true => Some(Changes::Rescan),
            false => Some(Changes::Paths(paths)),
        }
    }
}

/// Prints what changes in a folder until Ctrl-C: `cargo run -- src`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = std::env::args().nth(1).ok_or("usage: FOLDER")?;
    let mut watch = FolderWatch::new(Path::new(&folder), 10_000)?;
    let (quiet, longest) = (Duration::from_millis(100), Duration::from_secs(2));
    while let Some(changes) = watch.changes(quiet, longest).await {
        match changes {
            Changes::Paths(paths) => println!("changed: {paths:?}"),
            Changes::Rescan => println!("read all files again"),
        }
    }
    Ok(())
}

//@ clock: real
//@ try: nowhere -> PathNotFound
