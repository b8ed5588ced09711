use std::fs::{read_dir, remove_dir_all};
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::fs;
use tokio::runtime::Builder;
use tokio::select;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::temporary_directory::with_temporary_directory;

#[tokio::test]
async fn an_error_of_removing_is_returned() -> io::Result<()> {
    let parent = TempDir::new()?;
    let outcome = with_temporary_directory(parent.path(), async |folder| {
        remove_dir_all(folder)?;
        Ok::<_, io::Error>(1)
    });
    let error = outcome.await.expect_err("nothing to remove");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);

    // The error of the body goes before it.
    let outcome = with_temporary_directory(parent.path(), async |folder| {
        remove_dir_all(folder)?;
        Err::<(), _>(io::Error::other("no luck"))
    });
    let error = outcome.await.expect_err("the body fails");
    assert_eq!(error.kind(), io::ErrorKind::Other);
    Ok(())
}

#[test]
fn a_dropped_call_makes_the_folder_anew() -> io::Result<()> {
    // With one thread for blocking work a call waits until the one before has ended.
    let mut builder = Builder::new_current_thread();
    builder.max_blocking_threads(1).build()?.block_on(async {
        let parent = TempDir::new()?;
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let scope = with_temporary_directory(parent.path(), async |folder| {
            let _busy = spawn_blocking(move || released.recv());
            let _ = begin.send(());
            fs::create_dir_all(folder.join("a/b")).await
        });
        select! {
            biased;
            ended = scope => panic!("it waits for the thread: {ended:?}"),
            _ = begun => {}
        }
        assert_eq!(read_dir(parent.path())?.count(), 0, "it is removed");
        drop(release);
        spawn_blocking(|| ()).await?;
        assert_eq!(read_dir(parent.path())?.count(), 1, "it is back");
        Ok(())
    })
}

/// What the second trap advises. The call of `tokio::fs` waits for the only thread.
#[test]
fn in_a_task_with_the_timeout_around_its_handle_it_is_removed() -> io::Result<()> {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().max_blocking_threads(1);
    builder.build()?.block_on(async {
        let parent = TempDir::new()?;
        let path = parent.path().to_path_buf();
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = oneshot::channel();
        let mut task = tokio::spawn(async move {
            let body = async move |folder: &Path| {
                let _busy = spawn_blocking(move || released.recv());
                let _ = begin.send(());
                fs::create_dir_all(folder.join("a/b")).await
            };
            with_temporary_directory(&path, body).await
        });
        begun.await.expect("it begins");
        let limit = Duration::from_millis(1);
        assert!(timeout(limit, &mut task).await.is_err());
        drop(release);
        task.await??;
        assert_eq!(read_dir(parent.path())?.count(), 0);
        Ok(())
    })
}

#[tokio::test]
async fn what_is_kept_stays() -> io::Result<()> {
    let parent = TempDir::new()?;
    let path = TempDir::new_in(parent.path())?.keep();
    assert_eq!(read_dir(parent.path())?.count(), 1);
    remove_dir_all(path)
}
