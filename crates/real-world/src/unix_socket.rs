//! Unix domain socket server: stale socket file, file permissions, peer credentials.
//!
//! `tokio::net::UnixListener` is asyncio's `start_unix_server`, and you read and write
//! its streams as with TCP. The socket file stays when its process dies, so a new server
//! has to remove it. asyncio silently removes any socket file, even of a server that
//! still runs. Here a server first locks a second file, and fails if another server holds
//! the lock. The system releases the lock when a process dies.
//!
//! Put the socket into a folder that only you can enter. For a moment, between its
//! creation and the call that sets its mode, the file has the permissions of the umask,
//! and other users may connect. So `accept` also asks the system for the user of each
//! client (the peer credentials).
//!
//! Bounds: In `Limits` you set the number of connections (further clients wait) and how
//! long a client may take to read. A path of more than about a hundred bytes is an error.
//!
//! Trap: If you bind while the socket file exists, `bind` of Tokio fails with
//! `AddrInUse`, even if its server is dead. If you first test by connecting and then
//! remove the file, another server may have started in between, and you remove its file.
//! Take a lock before the test, as here.
//!
//! In production: If systemd starts your server, systemd can open the socket. Then take
//! the listener with the crate `listenfd` and bind nothing.
//!
//! Platforms: Needs Rust 1.91. Tokio has no Unix sockets on Windows. There use TCP on
//! 127.0.0.1, or a named pipe.
//!
//! asyncio: asyncio.start_unix_server, asyncio.open_unix_connection
//! asyncio: asyncio.StreamWriter.get_extra_info
//! differs: asyncio takes the path from a live server, and clients reach the new one

#[cfg(unix)]
pub mod unix {
    use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::Duration;

    use rustix::fs::OFlags;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::Semaphore;
    use tokio::task::JoinSet;
    use tokio::time::{sleep, timeout};
    use tokio_util::sync::CancellationToken;

    const NOFOLLOW: i32 = OFlags::NOFOLLOW.bits() as i32;

    /// Why there is no listener.
    #[derive(Debug, thiserror::Error)]
    pub enum BindError {
        #[error("another server listens there")]
        InUse,
        #[error("{}", .0.kind())]
        Io(#[from] io::Error),
    }

    /// A listener that owns its path. Dropping it removes the socket's file. The lock
    /// file stays: if it were removed, two servers could have the lock.
    #[derive(Debug)]
    pub struct Listener {
        listener: UnixListener,
        path: PathBuf,
        /// See [`identity`].
        file: (u64, u64),
        /// The user that may connect.
        user: u32,
        _lock: Lock,
    }

    impl Listener {
        /// Listens, also in place of a server that died. The file gets this mode. Only
        /// this user may connect: root may not.
        ///
        /// # Errors
        ///
        /// [`BindError::InUse`] if a server listens there, with a lock or without. `Io`
        /// with `AddrInUse` if the file is no socket, with `InvalidInput` if the path is
        /// too long.
        pub async fn bind(
            path: impl Into<PathBuf>,
            mode: u32,
            user: u32,
        ) -> Result<Self, BindError> {
            let path = path.into();
            let _lock = Lock::take(&path.with_added_extension("lock"))?;
            if is_socket(&path) {
                match UnixStream::connect(&path).await {
                    Ok(_) => return Err(BindError::InUse),
                    Err(error) => match error.kind() {
                        ErrorKind::ConnectionRefused => fs::remove_file(&path)?,
                        // Its backlog is full.
                        ErrorKind::WouldBlock => return Err(BindError::InUse),
                        _ => return Err(error.into()),
                    },
                }
            }
            let listener = UnixListener::bind(&path)?;
            let file = identity(&path)?;
            // From here on its `drop` removes the file.
            let bound = Self {
                listener,
                path,
                file,
                user,
                _lock,
            };
            fs::set_permissions(&bound.path, Permissions::from_mode(mode))?;
            Ok(bound)
        }

        /// Returns the next connection of the user that may connect, however long that
        /// takes. Cancel-safe.
        pub async fn accept(&self) -> UnixStream {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => match stream.peer_cred() {
                        Ok(peer) if peer.uid() == self.user => return stream,
                        _ => {}
                    },
                    // The client left before it was accepted.
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    // Out of file descriptors or memory: without a pause this would spin.
                    Err(error) => {
                        eprintln!("cannot accept: {error}");
                        sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            // Not if a server without the lock has put its own there.
            if identity(&self.path).is_ok_and(|there| there == self.file) {
                let _gone = fs::remove_file(&self.path);
            }
        }
    }

    /// Returns the device of a file, and its number there. No other file has both.
    fn identity(path: &Path) -> io::Result<(u64, u64)> {
        let data = fs::symlink_metadata(path)?;
        Ok((data.dev(), data.ino()))
    }

    /// A locked file. Dropping it releases the lock, even if a starting child process
    /// still has a copy of the file.
    #[derive(Debug)]
    struct Lock(File);

    impl Lock {
        fn take(path: &Path) -> Result<Self, BindError> {
            let mut options = OpenOptions::new();
            // It must not empty a file that somebody has linked there.
            options.write(true).create(true).truncate(false);
            let file = options.custom_flags(NOFOLLOW).open(path)?;
            match file.try_lock() {
                Ok(()) => Ok(Self(file)),
                Err(TryLockError::WouldBlock) => Err(BindError::InUse),
                Err(TryLockError::Error(error)) => Err(error.into()),
            }
        }
    }

    impl Drop for Lock {
        fn drop(&mut self) {
            let _freed = self.0.unlock();
        }
    }

    /// Returns whether the file is a socket, and not a link to one.
    fn is_socket(path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
    }

    /// What a server allows.
    #[derive(Clone, Copy, Debug)]
    pub struct Limits {
        /// How many connections are open at the same time. Further clients wait in the
        /// system's backlog, and are refused when that is full.
        pub connections: usize,
        /// The time for a client to read the text, and to end after the stop.
        pub write: Duration,
    }

    /// Sends each client a text, until the token is cancelled. Dropping the future closes
    /// all connections immediately.
    pub async fn serve(
        listener: Listener,
        text: &'static str,
        limits: Limits,
        stop: CancellationToken,
    ) {
        let permits = Arc::new(Semaphore::new(
            limits.connections.min(Semaphore::MAX_PERMITS),
        ));
        let mut connections = JoinSet::new();
        let accepting = async {
            loop {
                let permit = Arc::clone(&permits).acquire_owned().await;
                let permit = permit.expect("nobody closes the semaphore");
                let mut stream = listener.accept().await;
                // Finished connections must not pile up.
                while connections.try_join_next().is_some() {}
                connections.spawn(async move {
                    let _permit = permit;
                    let writing = stream.write_all(text.as_bytes());
                    let _left = timeout(limits.write, writing).await;
                });
            }
        };
        stop.run_until_cancelled(accepting).await;
        drop(listener);
        // Each ends within its time limit.
        while connections.join_next().await.is_some() {}
    }
}

/// Sends each client a text, until Ctrl-C: `cargo run -- /run/user/1000/hello tea`.
#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: PATH TEXT".into());
    };
    let limits = unix::Limits {
        connections: 100,
        write: std::time::Duration::from_secs(10),
    };
    let user = rustix::process::geteuid().as_raw();
    let listener = unix::Listener::bind(path, 0o600, user).await?;
    let stop = tokio_util::sync::CancellationToken::new();
    let server = unix::serve(listener, text.leak(), limits, stop.clone());
    let server = tokio::spawn(server);
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    Ok(server.await?)
}

#[cfg(not(unix))]
pub fn main() {
    eprintln!("Tokio has `UnixListener` on Unix alone: use TCP, or a named pipe");
}

//@ clock: real
//@ try: nowhere/socket hello -> NotFound
