//! Unix domain socket server: stale socket file, file permissions, peer credentials.
//!
//! `UnixListener` is `start_unix_server`, and a stream is read and written as with TCP.
//! The socket file outlives its process. asyncio removes any file silently, even from a
//! live server. Here the lock of a second file decides, which the system frees when the
//! process dies. Use a folder of your own: until `bind` sets the mode, the umask decides.
//!
//! Bounds: `Limits`. The path may have about a hundred bytes.
//!
//! Trap: if the file exists, `bind` fails with `AddrInUse`, also after its server died.
//! To connect and then remove the file is a race with a server that starts in between.
//!
//! In production: under systemd take the listener from it with `listenfd`, and bind
//! nothing.
//!
//! asyncio: asyncio.start_unix_server, asyncio.open_unix_connection
//! asyncio: asyncio.StreamWriter.get_extra_info
//! clock: real
//! differs: asyncio binds where a live server listens, and clients reach the new one

#[cfg(unix)]
pub use self::unix::run;

#[cfg(unix)]
pub mod unix {
    use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::Duration;

    use rustix::fs::OFlags;
    use rustix::process::geteuid;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::Semaphore;
    use tokio::task::{JoinHandle, JoinSet};
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

    /// A listener that owns its path. Dropped, it removes the socket's file. The lock
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
        /// Listens, also in the place of a server that died. The file gets this mode.
        /// Only this user is let in, not even root.
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
            // Not if a server that knows no lock has put its own there.
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

    /// A locked file. Dropped, it frees the lock, even if a process that is being started
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
        /// How many connections are open at once. Further clients wait in the system's
        /// backlog.
        pub connections: usize,
        /// The time for a client to read the text, and to end after the stop.
        pub write: Duration,
    }

    /// Sends each client a text, until the token is cancelled. Dropped, it closes all
    /// connections at once.
    pub async fn serve(
        listener: Listener,
        text: &'static str,
        limits: Limits,
        stop: CancellationToken,
    ) {
        let permits = Arc::new(Semaphore::new(limits.connections));
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

    /// Starts a server, which ends when the token is cancelled.
    fn start(
        listener: Listener,
        text: &'static str,
    ) -> (CancellationToken, JoinHandle<()>) {
        let limits = Limits {
            connections: 100,
            write: Duration::from_secs(10),
        };
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, text, limits, stop.clone()));
        (stop, server)
    }

    /// Ends a server, and waits until its file is gone.
    async fn stop((token, server): (CancellationToken, JoinHandle<()>)) {
        token.cancel();
        let _ended = server.await;
    }

    async fn visit(path: &Path) {
        let answer = async {
            let mut stream = UnixStream::connect(path).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            io::Result::Ok(answer)
        };
        match answer.await {
            Ok(answer) if answer.is_empty() => println!("client: the end"),
            Ok(answer) => println!("client: {answer}"),
            Err(error) => println!("client: {}", error.kind()),
        }
    }

    /// The names of the files in a folder.
    fn files(folder: &Path) -> io::Result<String> {
        let names = fs::read_dir(folder)?.map(|file| Ok(file?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names.join(", ".as_ref()).to_string_lossy().into_owned())
    }

    pub async fn run() -> Result<(), BindError> {
        let folder = tempfile::tempdir()?;
        let path = &folder.path().join("socket");
        let me = geteuid().as_raw();

        println!("A server:");
        let listener = Listener::bind(path, 0o600, me).await?;
        let mode = fs::metadata(path)?.permissions().mode() & 0o777;
        println!("mode {mode:o}, files: {}", files(folder.path())?);
        let server = start(listener, "hello from the first");
        visit(path).await;
        if let Err(error) = Listener::bind(path, 0o600, me).await {
            println!("second: {error}");
        }
        visit(path).await;

        println!("It ends:");
        stop(server).await;
        println!("files: {}", files(folder.path())?);
        visit(path).await;

        println!("A server that died:");
        // As the end of a process would, this leaves the file.
        drop(UnixListener::bind(path)?);
        println!("files: {}", files(folder.path())?);
        visit(path).await;
        let listener = Listener::bind(path, 0o600, me).await?;
        let server = start(listener, "hello from the next");
        visit(path).await;
        stop(server).await;

        println!("A server for another user:");
        let listener = Listener::bind(path, 0o600, me + 1).await?;
        let server = start(listener, "hello");
        visit(path).await;
        stop(server).await;

        println!("Without the lock, at the path of a live server:");
        let listener = Listener::bind(path, 0o600, me).await?;
        let server = start(listener, "hello from the first");
        match UnixListener::bind(path) {
            Ok(_) => println!("second: listens"),
            Err(error) => println!("second: {}", error.kind()),
        }
        visit(path).await;
        stop(server).await;
        Ok(())
    }
}

#[cfg(not(unix))]
pub async fn run() -> std::io::Result<()> {
    let why =
        "UnixListener is for Unix alone; here use TCP on 127.0.0.1, or a named pipe";
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, why))
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Ok(run().await?)
}
