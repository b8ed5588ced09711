//! A server, its file, a second server at the same path, and one that died.

#[cfg(unix)]
pub use self::unix::run;

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Duration;

    use rustix::process::geteuid;
    use tokio::io::AsyncReadExt;
    use tokio::net::{UnixListener, UnixStream};
    use tokio::task::JoinHandle;
    use tokio_util::sync::CancellationToken;

    use crate::unix_socket::unix::{BindError, Limits, Listener, serve};

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
