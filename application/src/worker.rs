//! The background task that owns the file.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::sync::{mpsc::Receiver, oneshot};
use tokio::{fs::File, io::AsyncWriteExt as _, task::spawn_blocking};

/// How many notes are written at the same time.
const MAX_BATCH: usize = 100;
/// No note is longer, in bytes, with its end.
const MAX_LINE: u64 = 8 * 1024;

/// A note that waits to be written.
#[derive(Debug)]
pub struct Note {
    /// One line, without its end.
    pub text: String,
    /// Learns when the note is on disk.
    pub saved: oneshot::Sender<()>,
}

/// Opens the file for this process alone, and removes half a line at its end. A crash or a
/// full disk leaves it, and the next note would be appended to it. Its client had no
/// answer.
///
/// The call may block for long. If the future is dropped, its thread keeps waiting.
pub async fn open(path: PathBuf) -> Result<File> {
    let file = spawn_blocking(move || {
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        if file.metadata()?.is_file() {
            match file.try_lock() {
                Ok(()) => remove_half_a_line(&path, &file)?,
                Err(TryLockError::WouldBlock) => bail!("another process has it open"),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Ok(file)
    });
    Ok(File::from_std(file.await??))
}

fn remove_half_a_line(path: &Path, file: &fs::File) -> Result<()> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(MAX_LINE);
    let (mut reader, mut end) = (fs::File::open(path)?, Vec::new());
    reader.seek(SeekFrom::Start(start))?;
    reader.read_to_end(&mut end)?;
    let whole = match end.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => start + newline as u64 + 1,
        None if start == 0 => 0,
        None => bail!("its last line is longer than {MAX_LINE} bytes"),
    };
    if whole < length {
        tracing::warn!("removed half a line of {} bytes", length - whole);
        file.set_len(whole)?;
    }
    Ok(())
}

/// Writes notes until the last sender of the queue is dropped and the queue is empty. If
/// the file cannot be written, fails, and the clients of unwritten notes get an error.
pub async fn run(mut journal: File, mut queue: Receiver<Note>) -> Result<()> {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let lines: String = batch.iter().flat_map(|note| [&note.text, "\n"]).collect();
        let length = journal.metadata().await?.len();
        if let Err(error) = write(&mut journal, &lines).await {
            // Otherwise a part of the lines stays. If this fails as well, the next start
            // removes half a line.
            let _ = journal.set_len(length).await;
            return Err(error).context("cannot write notes");
        }
        for note in batch.drain(..) {
            // An error means that the client has left.
            let _ = note.saved.send(());
        }
    }
    Ok(())
}

async fn write(journal: &mut File, lines: &str) -> io::Result<()> {
    journal.write_all(lines.as_bytes()).await?;
    // `write_all` may only fill a buffer. An error of the disk comes here.
    journal.flush().await?;
    journal.sync_data().await
}
