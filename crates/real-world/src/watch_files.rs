//! Watch files: react once to a burst of changes in a folder, with a bounded queue.
//!
//! The crate `notify`, which Python's `watchfiles` uses too, calls a function of yours on
//! its own thread. That function must not block, so it puts the changed paths into a
//! queue by `try_send`. `FolderWatch::changes` collects paths until nothing has changed
//! for a while.
//!
//! `changes` returns `Changes::Rescan` if paths may be missing: the queue was full, or a
//! folder is new and got files before the watch on it began. Then read the whole folder
//! again. In a mounted Kubernetes `ConfigMap`, the path that changes is the link
//! `..data`, not the file.
//!
//! Keep the watch: when the watcher of `notify` is dropped, as at the end of the function
//! that made it, no more events come, and no error.
//!
//! Bounds: At most `capacity` paths are in the queue, and as many in the set of
//! changes. Further ones are dropped, and you get `Rescan`.
//!
//! Trap: If you watch a single file, you see only the first change. Many editors write a
//! new file and rename it, and your watch stays on the old file. Watch the folder that
//! contains it.
//!
//! Trap: If you read a file at each event, your program never comes to rest, because
//! opening the file is an event as well, of the kind `Access`. Skip these events.
//!
//! In production: The crate `notify-debouncer-full` joins the two events of a rename.
//!
//! Platforms: This was tried on Linux only. On macOS and Windows, removing the watched
//! folder may not end the watch.
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

use notify::event::{CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These were created, changed, renamed or removed.
    Paths(BTreeSet<PathBuf>),
    /// Paths are missing, as there were too many, or a folder is new: anything may have
    /// changed.
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
        let (sender, paths) = mpsc::channel(capacity.min(Semaphore::MAX_PERMITS));
        let lost = Arc::new(AtomicBool::new(false));
        let (lose, root) = (Arc::clone(&lost), folder.to_owned());
        let mut sender = Some(sender);
        let handle = move |event: notify::Result<Event>| {
            let event = event.ok().filter(|event| !event.need_rescan());
            if event.as_ref().is_some_and(|event| event.kind.is_access()) {
                return;
            }
            if event.as_ref().is_none_or(has_new_folder) {
                lose.store(true, SeqCst);
            }
            let is_over = event.as_ref().is_some_and(|event| has_lost(event, &root));
            // Without paths, the folder itself wakes the receiver.
            for path in event.map_or_else(|| vec![root.clone()], |event| event.paths) {
                let sent = sender.as_ref().map(|sender| sender.try_send(path));
                if sent.is_some_and(|sent| sent.is_err()) {
                    lose.store(true, SeqCst);
                }
            }
            if is_over {
                lose.store(true, SeqCst);
                sender = None;
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
    /// has ended, because the folder itself was removed or renamed.
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
        if self.lost.swap(false, SeqCst) {
            Some(Changes::Rescan)
        } else {
            Some(Changes::Paths(paths))
        }
    }
}

/// Files may have been in the folder before the watch on it began.
fn has_new_folder(event: &Event) -> bool {
    match event.kind {
        EventKind::Create(CreateKind::Folder) => true,
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)) => {
            event.paths.iter().any(|path| path.is_dir())
        }
        _ => false,
    }
}

/// Returns whether the watched folder itself is gone, so that no more events come.
fn has_lost(event: &Event, root: &Path) -> bool {
    let is_gone = match event.kind {
        EventKind::Modify(ModifyKind::Name(mode)) => mode != RenameMode::To,
        kind => kind.is_remove(),
    };
    is_gone && event.paths.iter().any(|path| path == root)
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
