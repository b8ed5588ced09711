//! Files that are written, replaced, read and removed in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};
use tokio_util::task::AbortOnDropHandle;

use crate::watch_files::{Changes, FolderWatch};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Sends the names of text files that have changed.
async fn collect(
    mut watch: FolderWatch,
    folder: PathBuf,
    names: mpsc::UnboundedSender<String>,
) -> io::Result<()> {
    let (quiet, longest) = (Duration::from_millis(50), Duration::from_millis(500));
    let mut known = BTreeSet::new();
    while let Some(changes) = watch.changes(quiet, longest).await {
        let paths = match changes {
            Changes::Paths(paths) => paths,
            // A real program would compare times, too.
            Changes::Rescan => {
                let mut files = list(&folder)?;
                files.retain(|file| !known.contains(file));
                files
            }
        };
        for path in &paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".txt") {
                // An error means that the demonstration is over.
                let _ = names.send(name.into_owned());
            }
        }
        known.extend(paths);
    }
    Ok(())
}

fn list(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(list(&path)?);
        } else {
            files.insert(path);
        }
    }
    Ok(files)
}

/// Changes three files one after the other.
fn write_three(folder: &Path) -> io::Result<()> {
    for name in ["a.txt", "b.txt", "c.txt"] {
        fs::write(folder.join(name), "one")?;
        fs::write(folder.join(name), "two")?;
    }
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let part = Duration::from_millis(500);
    let mut next_part = interval_at(Instant::now() + part, part);
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (sender, mut names) = mpsc::unbounded_channel();
    let watch = FolderWatch::new(folder, 1_000)?;
    let collecting = tokio::spawn(collect(watch, folder.to_owned(), sender));
    let collecting = AbortOnDropHandle::new(collecting);
    let mut parts = 0;
    let mut report = async || {
        // Changes come in their order: when this one has come, all have.
        parts += 1;
        let last = format!("last {parts}.txt");
        fs::write(folder.join(&last), "")?;
        let mut changed = BTreeSet::new();
        while let Some(name) = names.recv().await
            && name != last
        {
            changed.insert(name);
        }
        // Earlier ones may come once more.
        changed.retain(|name| !name.starts_with("last"));
        next_part.tick().await;
        let changed: Vec<_> = changed.into_iter().collect();
        match changed.as_slice() {
            [] => println!("nothing has changed"),
            changed => println!("changed: {}", changed.join(", ")),
        }
        Ok::<_, io::Error>(())
    };

    report().await?;
    println!("Three files, each written twice:");
    write_three(folder)?;
    report().await?;
    println!("An editor replaces a file by renaming another one, and then again:");
    for text in ["three", "four"] {
        fs::write(folder.join("new"), text)?;
        fs::rename(folder.join("new"), folder.join("a.txt"))?;
    }
    report().await?;
    println!("A file in a new folder:");
    fs::create_dir(folder.join("inner"))?;
    report().await?;
    fs::write(folder.join("inner").join("d.txt"), "one")?;
    report().await?;
    println!("All files are read:");
    for name in ["a.txt", "b.txt", "c.txt", "inner/d.txt"] {
        fs::read(folder.join(name))?;
    }
    report().await?;
    println!("One is removed:");
    fs::remove_file(folder.join("b.txt"))?;
    report().await?;
    // The watch ends meanwhile.
    drop(collecting);
    next_part.tick().await;
    Ok(())
}
