//! Write a file whole or not at all: a reader sees the old text or the new one.
//!
//! The text goes into a hidden file in the same folder, or elsewhere on the same disk.
//! When all its bytes are on the disk, the hidden file is renamed to the final name. In
//! Python this is `os.fsync` and then `os.replace`. All steps run in one
//! `spawn_blocking`, because with `tokio::fs` each step would be a separate trip to
//! another thread.
//!
//! Bounds: Unbounded: The text, which is in memory. To write a stream, see
//! `download_to_file` and `file_processor`.
//!
//! Trap: If you use `tokio::fs::write`, it first empties the file. A reader may then see
//! nothing or half of the text, and a crash or a full disk leaves the file that way.
//! Write a second file and rename it, as here.
//!
//! Trap: If the path is a symbolic link, the rename replaces the link, and the file
//! behind the link keeps its old text. Call `tokio::fs::canonicalize` on such a path
//! first.
//!
//! In production: The crate `atomic-write-file` does the same, and keeps the owner on
//! Unix.
//!
//! Platforms: Windows refuses to replace a file that somebody has open. Then the rename
//! is retried for a second and fails; the old file stays.
//!
//! See also: `cleanup_on_cancel`, `shield_and_clean_up`.
//!
//! asyncio: asyncio.to_thread, asyncio.timeout

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;

/// Writes a file, with the permissions of the file that it replaces.
///
/// Dropping the future does not stop a write that has begun. After an error or a crash
/// the file is the old or the new one, whole. A crash may leave a hidden `.part` file.
pub async fn write_whole(
    path: impl Into<PathBuf>,
    contents: impl AsRef<[u8]> + Send + 'static,
) -> io::Result<()> {
    let path = path.into();
    let parts = folder_of(&path).to_owned();
    write_whole_through(path, contents, parts).await
}

/// Writes a file like `write_whole`, with its hidden `.part` file in the folder `parts`:
/// for readers that take every file of a folder, as those of a maildir, whose `parts` is
/// `tmp`. Fails if `parts` is on another disk.
pub async fn write_whole_through(
    path: impl Into<PathBuf>,
    contents: impl AsRef<[u8]> + Send + 'static,
    parts: impl Into<PathBuf>,
) -> io::Result<()> {
    let (path, parts) = (path.into(), parts.into());
    spawn_blocking(move || write_blocking(&path, contents.as_ref(), &parts)).await?
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn write_blocking(path: &Path, contents: &[u8], parts: &Path) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(".").suffix(".part");
    // `tempfile_in` would make a file that only its owner may read.
    let mut part = builder.make_in(parts, |path| File::create_new(path))?;
    if let Ok(old) = fs::metadata(path) {
        part.as_file().set_permissions(old.permissions())?;
    }
    part.write_all(contents)?;
    // Otherwise a power cut may leave the new name without the bytes.
    part.as_file().sync_all()?;
    rename_over(part.path(), path)?;
    // The name is no longer there, so nothing is to be removed.
    let _ = part.into_temp_path().keep();
    // The name is on the disk when the folder is synced. Windows cannot open a folder.
    #[cfg(unix)]
    File::open(folder_of(path))?.sync_all()?;
    Ok(())
}

/// Renames the file, also over another one. Windows refuses while somebody has the target
/// open, so there it tries for a second.
fn rename_over(part: &Path, target: &Path) -> io::Result<()> {
    let retries = if cfg!(windows) { 100 } else { 0 };
    for _ in 0..retries {
        match fs::rename(part, target) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // Nobody unparks this thread, so it sleeps.
                std::thread::park_timeout(Duration::from_millis(10));
            }
            renamed => return renamed,
        }
    }
    fs::rename(part, target)
}

/// Writes its arguments into a file: `cargo run -- notes.txt tea cake`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: FILE WORD...")?;
    let text = args.collect::<Vec<_>>().join(" ");
    let length = text.len();
    write_whole(path, text).await?;
    println!("{length} bytes");
    Ok(())
}

//@ try: notes.txt tea cake -> 8 bytes
