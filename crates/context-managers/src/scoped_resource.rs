//! An asynccontextmanager: lend a resource to an async closure, and then close it.
//!
//! The function `scoped` below takes a resource and two async closures. The first, the
//! body, borrows the resource and works with it. The second closes the resource when the
//! body has ended, even after a panic of the body. An error of the close is returned,
//! too. The example `asynccontextmanager` is the plain form.
//!
//! Trap: If the caller of `scoped` is cancelled or times out, the body is dropped and
//! nothing closes the resource. Spawn the call of `scoped` as a task: the task runs to
//! its end even if nobody waits for it. To stop the body and still clean up, see
//! `cleanup_on_cancel`.
//!
//! Trap: If the body returns a reference to the resource, the compiler reports "lifetime
//! may not live long enough": return an owned value. If the compiler cannot infer the
//! error type of the body ("type annotations needed"), end the body with
//! `Ok::<_, MyError>(())`.
//!
//! See also: `asynccontextmanager`, `async_resource`, `exit_stack`, `transaction`.
//!
//! asyncio: contextlib.asynccontextmanager, async with, finally, asyncio.timeout
//! differs: asyncio also runs `finally` when the caller stops waiting

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt;

/// What failed in a scope.
///
/// It has no `source`, because the body's error may be a `String`. To log the chain of
/// causes, take the error out with [`into_first`](Self::into_first).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError<E> {
    /// The body failed, and the resource is closed.
    #[error("{0}")]
    Body(E),
    /// The close failed after the body had succeeded. The body's value is lost.
    #[error("while closing: {0}")]
    Close(E),
    #[error("{body}; while closing: {close}")]
    Both { body: E, close: E },
}

impl<E> ScopeError<E> {
    /// Returns the error that came first, for a caller that has its own error type.
    pub fn into_first(self) -> E {
        match self {
            Self::Body(error) | Self::Close(error) => error,
            Self::Both { body, .. } => body,
        }
    }
}

/// Lends a resource to the body, and closes the resource however the body ends.
///
/// Not cancel-safe: dropping the future drops the body, or `close`, at its current await,
/// and does not close the resource. In a separate task, the scope runs to its end.
///
/// # Errors
///
/// The errors of the body and of `close`.
///
/// # Panics
///
/// When the body panics: with the same payload, after `close`. An error of `close` is
/// then lost. When `close` panics: then the result or panic of the body is lost.
pub async fn scoped<R, T, E>(
    mut resource: R,
    body: impl AsyncFnOnce(&mut R) -> Result<T, E>,
    close: impl AsyncFnOnce(R) -> Result<(), E>,
) -> Result<T, ScopeError<E>> {
    // In a block, because `body` may panic before it returns a future.
    let body = AssertUnwindSafe(async { body(&mut resource).await });
    let outcome = body.catch_unwind().await;
    let closed = close(resource).await;
    match (outcome, closed) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Err(body)), Ok(())) => Err(ScopeError::Body(body)),
        (Ok(Ok(_)), Err(close)) => Err(ScopeError::Close(close)),
        (Ok(Err(body)), Err(close)) => Err(ScopeError::Both { body, close }),
        (Err(panic), _) => resume_unwind(panic),
    }
}

/// Writes a text, and syncs the file even after an error: `cargo run -- notes.txt hello`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use tokio::io::AsyncWriteExt;

    let mut args = std::env::args().skip(1);
    let (Some(path), Some(text)) = (args.next(), args.next()) else {
        return Err("usage: FILE TEXT".into());
    };
    let file = tokio::fs::File::create(&path).await?;
    let write = async |file: &mut tokio::fs::File| file.write_all(text.as_bytes()).await;
    let written = scoped(file, write, async |file| file.sync_all().await).await;
    written.map_err(ScopeError::into_first)?;
    println!("{path} is on the disk");
    Ok(())
}

//@ stderr: no such page
//@ try: notes.txt hello -> notes.txt is on the disk
