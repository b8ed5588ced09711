//! Unix domain socket server: stale socket file, file permissions, peer credentials.
//!
//! `UnixListener` is `start_unix_server`, and a stream is read and written as with TCP.
//! The trap is the file at the path: it outlives the listener, even its process, and
//! `bind` fails with `AddrInUse` then, whether a server still listens or not. asyncio
//! removes the file first, without a word, so it takes the path from a live server as
//! well. At a stale one `connect` is refused, but between that look and `remove_file` a
//! server may start. So hold the lock of a file beside it, which the system frees when
//! the process dies. Only who may write to the file may connect; until the mode is set
//! the umask decides, so use a folder that nobody else may enter. `peer_cred` tells who
//! called `connect`. The path may have about a hundred bytes, no more. Under systemd take
//! the listener from it (crate `listenfd`) and bind nothing.
//!
//! asyncio: asyncio.start_unix_server, asyncio.open_unix_connection
//! asyncio: asyncio.StreamWriter.get_extra_info
//! clock: real
//! differs: asyncio binds where a live server listens, and clients reach the new one

#[cfg(unix)]
pub use self::unix::run;

#[cfg(unix)]
pub mod unix {
    use std::fs::{self, File, Permissions, TryLockError};
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    use std::path::{Path, PathBuf};

    use rustix::process::geteuid;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::task::JoinHandle;

    /// Why there is no listener.
    #[derive(Debug, thiserror::Error)]
    pub enum BindError {
        #[error("another server listens there")]
        InUse,
        #[error("{}", .0.kind())]
        Io(#[from] io::Error),
    }

    /// Listens at a path that is its own as long as it lives. Dropped, it removes the
    /// socket's file; the lock file stays, as removing it would let two have the lock.
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
        /// Takes the place of a server that died. The file gets this mode, and only this
        /// user is let in, not even root.
        ///
        /// # Errors
        ///
        /// [`BindError::InUse`] if a server lives there, with a lock or without; `Io`
        /// with `AddrInUse` if a file is there that is no socket, with `InvalidInput` if
        /// the path is too long.
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
                        // As many wait there as may.
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

        /// The next connection of the user who may connect. Cancel-safe.
        ///
        /// # Errors
        ///
        /// Those of the system, for instance if there are too many open files. See
        /// `tcp_echo_server` for how to go on.
        pub async fn accept(&self) -> io::Result<UnixStream> {
            loop {
                let (stream, _) = self.listener.accept().await?;
                if stream.peer_cred().is_ok_and(|peer| peer.uid() == self.user) {
                    return Ok(stream);
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

    /// The device of a file, and its number there. No other file has both.
    fn identity(path: &Path) -> io::Result<(u64, u64)> {
        let data = fs::symlink_metadata(path)?;
        Ok((data.dev(), data.ino()))
    }

    /// Dropped, it frees the lock, even if a process that is just being started still has
    /// a copy of the file.
    #[derive(Debug)]
    struct Lock(File);

    impl Lock {
        fn take(path: &Path) -> Result<Self, BindError> {
            let file = File::create(path)?;
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

    /// Not a link to one either.
    fn is_socket(path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
    }

    /// Sends each client a text.
    async fn serve(listener: Listener, text: &'static str) -> io::Result<()> {
        loop {
            let mut stream = listener.accept().await?;
            tokio::spawn(async move { stream.write_all(text.as_bytes()).await });
        }
    }

    /// Ends a server, and waits until its file is gone.
    async fn stop(server: JoinHandle<io::Result<()>>) {
        server.abort();
        let _cancelled = server.await;
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
        let server = tokio::spawn(serve(listener, "hello from the first"));
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
        let server = tokio::spawn(serve(listener, "hello from the next"));
        visit(path).await;
        stop(server).await;

        println!("A server for another user:");
        let listener = Listener::bind(path, 0o600, me + 1).await?;
        let server = tokio::spawn(serve(listener, "hello"));
        visit(path).await;
        stop(server).await;

        println!("Without the lock, at the path of a live server:");
        let listener = Listener::bind(path, 0o600, me).await?;
        let server = tokio::spawn(serve(listener, "hello from the first"));
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
