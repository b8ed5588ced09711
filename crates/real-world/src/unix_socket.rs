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
mod unix {
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

#[cfg(all(test, unix))]
mod tests {
    use std::env;
    use std::fs;
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::process::{Command, abort};
    use std::sync::Arc;
    use std::time::Duration;

    use rustix::process::geteuid;
    use tempfile::tempdir;
    use tokio::net::{UnixListener, UnixSocket, UnixStream};
    use tokio::sync::Barrier;
    use tokio::task::{JoinSet, yield_now};
    use tokio::time::timeout;

    use super::unix::{BindError, Listener};

    const PATH: &str = "UNIX_SOCKET_TO_LEAVE_BEHIND";

    async fn bind(path: &Path) -> Result<Listener, BindError> {
        Listener::bind(path, 0o600, geteuid().as_raw()).await
    }

    fn kind(bound: Result<Listener, BindError>) -> Option<ErrorKind> {
        match bound {
            Err(BindError::Io(error)) => Some(error.kind()),
            _ => None,
        }
    }

    /// Whether a client of this path is let in by this listener.
    async fn is_reached(listener: &Listener, path: &Path) -> bool {
        let short = Duration::from_millis(500);
        let (client, server) =
            tokio::join!(UnixStream::connect(path), timeout(short, listener.accept()));
        client.is_ok() && server.is_ok_and(|server| server.is_ok())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_at_once_one_takes_the_place_of_the_dead() -> io::Result<()> {
        let folder = tempdir()?;
        let path = folder.path().join("socket");
        for _ in 0..200 {
            // It never listens, so it looks like one that died.
            UnixSocket::new_stream()?.bind(&path)?;
            let all = Arc::new(Barrier::new(8));
            let mut set = JoinSet::new();
            for _ in 0..8 {
                let (path, all) = (path.clone(), Arc::clone(&all));
                set.spawn(async move {
                    all.wait().await;
                    let bound = bind(&path).await;
                    all.wait().await;
                    bound
                });
            }
            let mut listeners = Vec::new();
            for bound in set.join_all().await {
                match bound {
                    Ok(listener) => listeners.push(listener),
                    Err(error) => assert!(matches!(error, BindError::InUse), "{error}"),
                }
            }
            assert_eq!(listeners.len(), 1);
            assert!(is_reached(&listeners[0], &path).await);
        }
        Ok(())
    }

    #[tokio::test]
    async fn what_it_does_not_own_stays() -> Result<(), BindError> {
        let folder = tempdir()?;
        let path = folder.path().join("socket");
        fs::write(&path, "text")?;
        assert_eq!(kind(bind(&path).await), Some(ErrorKind::AddrInUse));
        assert_eq!(fs::read_to_string(&path)?, "text");
        fs::remove_file(&path)?;

        // A server that knows nothing of the lock.
        let other = UnixListener::bind(&path)?;
        assert!(matches!(bind(&path).await, Err(BindError::InUse)));
        assert!(path.exists());
        drop(other);
        fs::remove_file(&path)?;

        // One that is so busy that it accepts nobody.
        let other = UnixSocket::new_stream()?;
        other.bind(&path)?;
        let _other = other.listen(0)?;
        let _waits = UnixStream::connect(&path).await?;
        let bound = bind(&path).await;
        assert!(matches!(bound, Err(BindError::InUse)), "{bound:?}");
        fs::remove_file(&path)?;

        // One that takes the path away, as asyncio's does.
        let first = bind(&path).await?;
        fs::remove_file(&path)?;
        let other = UnixListener::bind(&path)?;
        drop(first);
        assert!(path.exists());
        drop(other);
        fs::remove_file(&path)?;

        let first = bind(&path).await?;
        assert!(matches!(bind(&path).await, Err(BindError::InUse)));
        assert!(is_reached(&first, &path).await);
        drop(first);
        assert!(!path.exists());
        drop(bind(&path).await?);

        let long = folder.path().join("a".repeat(200));
        assert_eq!(kind(bind(&long).await), Some(ErrorKind::InvalidInput));
        let none = folder.path().join("none").join("socket");
        assert_eq!(kind(bind(&none).await), Some(ErrorKind::NotFound));
        Ok(())
    }

    #[tokio::test]
    async fn only_this_user_is_let_in() -> Result<(), BindError> {
        let folder = tempdir()?;
        let path = folder.path().join("socket");
        let me = geteuid().as_raw();
        for (user, is_let_in) in [(me, true), (me + 1, false)] {
            let listener = Listener::bind(&path, 0o620, user).await?;
            let mode = fs::metadata(&path)?.permissions();
            assert_eq!(mode.mode() & 0o777, 0o620);
            assert_eq!(is_reached(&listener, &path).await, is_let_in);
        }
        Ok(())
    }

    #[tokio::test]
    async fn after_a_panic_and_after_an_abort_the_file_is_gone() -> Result<(), BindError>
    {
        let folder = tempdir()?;
        let path = folder.path().join("socket");
        for panics in [true, false] {
            let listener = bind(&path).await?;
            let task = tokio::spawn(async move {
                if panics {
                    panic!("scheduled");
                }
                listener.accept().await
            });
            yield_now().await;
            task.abort();
            let ended = task.await.expect_err("it does not return");
            assert_eq!(ended.is_panic(), panics);
            assert!(!path.exists());
        }
        Ok(())
    }

    #[tokio::test]
    async fn child() -> Result<(), BindError> {
        if let Some(path) = env::var_os(PATH).map(PathBuf::from) {
            let _listener = bind(&path).await?;
            abort();
        }
        Ok(())
    }

    #[tokio::test]
    async fn it_takes_the_place_of_a_process_that_died() -> Result<(), BindError> {
        let folder = tempdir()?;
        let path = folder.path().join("socket");
        let (_crate, module) = module_path!().split_once("::").expect("a module");
        let output = Command::new(env::current_exe()?)
            .args(["--exact", &format!("{module}::child")])
            .env(PATH, &path)
            .output()?;
        assert!(!output.status.success());
        assert!(path.exists());
        let refused = UnixStream::connect(&path)
            .await
            .map_err(|error| error.kind());
        assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
        let listener = bind(&path).await?;
        assert!(is_reached(&listener, &path).await);
        Ok(())
    }
}
