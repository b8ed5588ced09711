//! What the handlers share: handles only, so that a clone is cheap.

use tokio::sync::{mpsc::Sender, mpsc::error::TrySendError, oneshot};

use crate::{error::AppError, worker::Note};

/// The state. Each request gets a clone.
#[derive(Debug, Clone)]
pub struct AppState {
    pub notes: Sender<Note>,
}

impl AppState {
    /// Waits until the note is on disk. Fails immediately if the queue is full. If the
    /// future is dropped while it waits, because the client leaves, the note is still
    /// written.
    pub async fn save(&self, text: String) -> Result<(), AppError> {
        let (saved, written) = oneshot::channel();
        let sent = self.notes.try_send(Note { text, saved });
        sent.map_err(|error| match error {
            TrySendError::Full(_) => AppError::Overloaded,
            TrySendError::Closed(_) => AppError::NoWorker,
        })?;
        written.await.map_err(|_| AppError::NoWorker)
    }
}
