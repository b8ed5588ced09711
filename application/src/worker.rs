//! The background task that owns the file.

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc::Receiver, oneshot};
use tokio::{fs::File, io::AsyncWriteExt as _};

/// How many notes are written at once.
const MAX_BATCH: usize = 100;

/// A note that waits to be written.
#[derive(Debug)]
pub struct Note {
    /// One line, without its end.
    pub text: String,
    /// Learns when the note is on disk.
    pub saved: oneshot::Sender<()>,
}

/// Writes notes until the last sender of the queue is dropped and the queue is empty. If
/// the file cannot be written, fails, and the clients of unwritten notes get an error.
pub async fn run(mut journal: File, mut queue: Receiver<Note>) -> Result<()> {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let lines: String = batch.iter().flat_map(|note| [&note.text, "\n"]).collect();
        let written = async {
            journal.write_all(lines.as_bytes()).await?;
            // `write_all` may only fill a buffer. An error of the disk comes here.
            journal.flush().await?;
            journal.sync_data().await
        };
        written.await.context("cannot write notes")?;
        for note in batch.drain(..) {
            // An error means that the client has left.
            let _ = note.saved.send(());
        }
    }
    Ok(())
}
