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
use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::Barrier;
use tokio::task::{JoinSet, spawn_blocking, yield_now};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::support::{child_of, soon};
use crate::unix_socket::unix::{BindError, Limits, Listener, serve};

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
    client.is_ok() && server.is_ok()
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
async fn after_a_panic_and_after_an_abort_the_file_is_gone() -> Result<(), BindError> {
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

/// The client does not read, so the text does not end.
#[tokio::test]
async fn a_dropped_server_closes_all_connections() -> Result<(), BindError> {
    let folder = tempdir()?;
    let path = folder.path().join("socket");
    let limits = Limits {
        connections: 3,
        write: Duration::from_secs(600),
    };
    let text: &'static str = "x".repeat(4_000_000).leak();
    let listener = bind(&path).await?;
    let server = tokio::spawn(serve(listener, text, limits, CancellationToken::new()));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = UnixStream::connect(&path).await?;
        assert_eq!(client.read(&mut [0]).await?, 1);
        clients.push(client);
    }
    server.abort();
    assert!(server.await.is_err_and(|error| error.is_cancelled()));
    for mut client in clients {
        let mut rest = Vec::new();
        // It ends, with an error or without.
        let _ = soon(client.read_to_end(&mut rest)).await;
        assert!(rest.len() < text.len() - 1);
    }
    assert!(!path.exists());
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
    let output = child_of(module_path!()).env(PATH, &path).output()?;
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

/// Between `fork` and `exec` a child has a copy of each open file, also of the lock's. This
/// one needs long for its `exec`, as it looks for its program in thousands of folders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_starting_child_process_does_not_keep_the_lock() -> Result<(), BindError> {
    let folder = tempdir()?;
    let path = folder.path().join("socket");
    let stop = CancellationToken::new();
    // Even if the test fails.
    let ends = stop.clone().drop_guard();
    let starting = spawn_blocking(move || {
        let nowhere = "/nowhere:".repeat(5_000);
        let mut started = 0;
        while !stop.is_cancelled() {
            let mut command = Command::new("no-such-program");
            assert!(command.env("PATH", &nowhere).spawn().is_err());
            started += 1;
        }
        started
    });
    for _ in 0..500 {
        drop(bind(&path).await?);
        yield_now().await;
    }
    drop(ends);
    assert!(starting.await.expect("no panic") > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_cut_off_after_its_time() -> Result<(), BindError>
{
    let folder = tempdir()?;
    let path = folder.path().join("socket");
    let limits = Limits {
        connections: 1,
        write: Duration::from_millis(200),
    };
    let text: &'static str = "x".repeat(4_000_000).leak();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(bind(&path).await?, text, limits, stop.clone()));
    let _never_reads = UnixStream::connect(&path).await?;
    let waits = UnixStream::connect(&path).await?;
    let second = timeout(limits.write / 4, waits.readable()).await;
    assert!(second.is_err(), "it waits for the only permit");
    soon(waits.readable()).await?;
    // Neither of them reads, and the stop waits no longer for them.
    stop.cancel();
    soon(server).await.expect("no panic");
    Ok(())
}

#[tokio::test]
async fn a_link_in_place_of_the_lock_empties_no_file() -> io::Result<()> {
    let folder = tempdir()?;
    let (path, other) = (folder.path().join("socket"), folder.path().join("other"));
    fs::write(&other, "text")?;
    let lock = folder.path().join("socket.lock");
    std::os::unix::fs::symlink(&other, &lock)?;
    assert!(matches!(bind(&path).await, Err(BindError::Io(_))));
    assert_eq!(fs::read_to_string(&other)?, "text");
    fs::remove_file(&lock)?;
    fs::write(&lock, "mine")?;
    assert!(bind(&path).await.is_ok());
    assert_eq!(fs::read_to_string(&lock)?, "mine");
    Ok(())
}
