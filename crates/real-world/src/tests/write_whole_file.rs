use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures::future::join_all;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::support::soon;
use crate::write_whole_file::{write_whole, write_whole_through};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is there");
    let names = entries.map(|entry| entry.expect("it is there").file_name());
    names.map(|it| it.to_string_lossy().into_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_never_sees_half_a_file() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("file");
    write_whole(&path, vec![0; 100_000])
        .await
        .expect("there is room");
    let done = Arc::new(AtomicBool::new(false));
    let (stop, read) = (Arc::clone(&done), path.clone());
    let reader = spawn_blocking(move || {
        while !stop.load(SeqCst) {
            let bytes = fs::read(&read).expect("it is always there");
            assert_eq!(bytes.len(), 100_000);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "two versions");
        }
    });
    let writes = (1..100).map(|number| {
        let path = path.clone();
        tokio::spawn(async move {
            let write = write_whole(path, vec![number; 100_000]);
            // Some leave.
            match number % 3 {
                0 => drop(timeout(Duration::from_micros(200), write).await),
                _ => write.await.expect("there is room"),
            }
        })
    });
    for ended in soon(join_all(writes)).await {
        ended.expect("no panic");
    }
    done.store(true, SeqCst);
    soon(reader).await.expect("it never sees half");
    // A write whose caller has left ends later.
    let only_one = async {
        while names(folder.path()) != ["file"] {
            sleep(Duration::from_millis(1)).await;
        }
    };
    soon(only_one).await;
}

/// The first trap: `tokio::fs::write` changes the file that a reader has open.
#[tokio::test]
async fn a_reader_that_has_the_old_file_open_reads_the_rest_of_it() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("file");
    for (is_whole, expected) in [(true, "old text"), (false, "old ")] {
        fs::write(&path, "old text").expect("there is room");
        let mut file = fs::File::open(&path).expect("it is there");
        let mut half = vec![0; 4];
        file.read_exact(&mut half).expect("it has a text");
        let written = match is_whole {
            true => write_whole(&path, "new").await,
            false => tokio::fs::write(&path, "new").await,
        };
        written.expect("there is room");
        file.read_to_end(&mut half).expect("it is open");
        assert_eq!(half, expected.as_bytes());
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
    }
}

/// It begins with the first poll. The only thread for files is busy until the drop.
#[test]
fn a_write_that_has_begun_ends_though_its_future_is_dropped() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.max_blocking_threads(1).build().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("file");
        let (release, busy) = std::sync::mpsc::channel::<()>();
        let busy = spawn_blocking(move || busy.recv());
        let mut write = Box::pin(write_whole(&path, "text"));
        assert!(futures::poll!(write.as_mut()).is_pending());
        drop((write, release));
        assert!(busy.await.expect("no panic").is_err());
        spawn_blocking(|| ()).await.expect("no panic");
        assert_eq!(fs::read(&path).expect("it is there"), b"text");
        assert_eq!(names(folder.path()), ["file"]);
    });
}

/// `/dev/shm` is a file system in memory.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_part_on_another_disk_is_an_error() {
    use std::os::unix::fs::MetadataExt;

    let folder = tempfile::tempdir().expect("there is room");
    let Ok(parts) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let device = |path: &Path| fs::metadata(path).expect("it is there").dev();
    if device(folder.path()) == device(parts.path()) {
        return;
    }
    let path = folder.path().join("file");
    fs::write(&path, "old").expect("there is room");
    let error = write_whole_through(&path, "new", parts.path()).await;
    let kind = error.map_err(|error| error.kind());
    assert_eq!(kind, Err(std::io::ErrorKind::CrossesDevices));
    assert_eq!(fs::read(&path).expect("it is there"), b"old");
    assert_eq!(names(parts.path()), [""; 0], "no part is left");
}

#[tokio::test]
async fn an_error_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("file");
    fs::create_dir_all(path.join("more")).expect("there is room");
    assert!(write_whole(&path, "text").await.is_err());
    assert_eq!(names(folder.path()), ["file"]);
    let nowhere = folder.path().join("nowhere/file");
    assert!(write_whole(nowhere, "text").await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn permissions_are_those_of_the_old_file_or_the_usual_ones() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = tempfile::tempdir().expect("there is room");
    let [path, plain, link] = ["file", "plain", "link"].map(|it| folder.path().join(it));
    let mode = |path: &Path| {
        let permissions = fs::metadata(path).expect("it is there").permissions();
        permissions.mode() & 0o777
    };
    write_whole(&path, "").await.expect("there is room");
    fs::write(&plain, "").expect("there is room");
    assert_eq!(mode(&path), mode(&plain));
    for expected in [0o600, 0o640, 0o755] {
        let permissions = fs::Permissions::from_mode(expected);
        fs::set_permissions(&path, permissions).expect("it is ours");
        write_whole(&path, "text").await.expect("there is room");
        assert_eq!(mode(&path), expected);
    }
    // As the page says, it replaces a link.
    symlink(&path, &link).expect("there is room");
    write_whole(&link, "new").await.expect("there is room");
    assert_eq!(fs::read(&path).expect("it is there"), b"text");
    assert_eq!(fs::read(&link).expect("it is there"), b"new");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_replaced_and_not_the_file_that_it_leads_to() {
    let folder = tempfile::tempdir().expect("there is room");
    let (link, file) = (folder.path().join("link"), folder.path().join("file"));
    fs::write(&file, "old").expect("there is room");
    std::os::unix::fs::symlink(&file, &link).expect("there is room");
    write_whole(&link, "new").await.expect("there is room");
    let texts = [&link, &file].map(|path| fs::read_to_string(path).expect("text"));
    assert_eq!(texts, ["new", "old"]);
    assert!(!link.is_symlink());
}

/// A reader that takes every file of the folder sees whole files only, as in a maildir.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_lies_in_the_other_folder() {
    let folder = tempfile::tempdir().expect("there is room");
    let [new, tmp] = ["new", "tmp"].map(|name| folder.path().join(name));
    for path in [&new, &tmp] {
        fs::create_dir(path).expect("there is room");
    }
    let done = Arc::new(AtomicBool::new(false));
    let (stop, read) = (Arc::clone(&done), new.clone());
    let reader = spawn_blocking(move || {
        while !stop.load(SeqCst) {
            for name in names(&read) {
                assert!(!name.starts_with('.'), "{name}");
                let bytes = fs::read(read.join(name)).expect("it stays");
                assert_eq!(bytes.len(), 100_000);
            }
        }
    });
    for number in 0..50 {
        let path = new.join(format!("message-{number}"));
        let written = write_whole_through(path, vec![0; 100_000], &tmp).await;
        written.expect("there is room");
    }
    done.store(true, SeqCst);
    reader.await.expect("only whole files");
    assert_eq!(names(&new).len(), 50);
    assert_eq!(names(&tmp), [""; 0], "no part is left");
    let missing = folder.path().join("missing");
    let error = write_whole_through(new.join("message"), "text", missing).await;
    assert_eq!(
        error.map_err(|it| it.kind()),
        Err(std::io::ErrorKind::NotFound)
    );
}
