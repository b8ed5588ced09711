use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::support::{child_of, soon};
use crate::file_processor::{Convert, Failure, Outcome, list_files, prepare, process};

const TICK: Duration = Duration::from_millis(1);
/// In which the child process writes a file, a millisecond and more for each.
const PIECES: usize = 5;
/// Tells the child process where to work.
const FOLDER: &str = "FILE_PROCESSOR_TEST_FOLDER";

/// Writes the input in so many pieces, each as a whole and a millisecond apart.
struct Slowly {
    pieces: usize,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Slowly {
    fn new(pieces: usize) -> Arc<Self> {
        let (running, most) = Default::default();
        Arc::new(Self {
            pieces,
            running,
            most,
        })
    }
}

impl Convert for Slowly {
    async fn convert(
        &self,
        mut input: File,
        output: &mut BufWriter<File>,
    ) -> Result<(), Failure> {
        struct Running<'a>(&'a AtomicUsize);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        let running = self.running.fetch_add(1, SeqCst) + 1;
        let _running = Running(&self.running);
        self.most.fetch_max(running, SeqCst);
        let mut text = String::new();
        input.read_to_string(&mut text).await?;
        for _ in 0..self.pieces {
            sleep(TICK).await;
            output.write_all(text.as_bytes()).await?;
            output.flush().await?;
        }
        assert!(!text.starts_with("panic"), "scheduled");
        if text.starts_with("fail") {
            return Err(text.into());
        }
        Ok(())
    }
}

/// Source and target in a temporary folder, and that many files.
fn folders(files: usize) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, target) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir_all(source.join("deep/er")).expect("it is writable");
    for number in 0..files {
        let place = if number % 2 == 0 { "" } else { "deep/er" };
        let file = source.join(place).join(format!("{number:03}"));
        fs::write(file, format!("text {number}.")).expect("it is writable");
    }
    (folder, source, target)
}

/// What became of all files, by name.
async fn process_all(
    converter: &Arc<Slowly>,
    source: &Path,
    target: &Path,
    at_once: usize,
) -> HashMap<PathBuf, Result<Outcome, String>> {
    let files = list_files(source.to_path_buf()).await.expect("readable");
    let (source, target) = (source.to_path_buf(), target.to_path_buf());
    let prepared = prepare(source.clone(), target.clone()).await;
    prepared.expect("writable");
    let outcomes = process(Arc::clone(converter), source, target, files, at_once);
    let outcomes = outcomes
        .map(|(file, outcome)| (file, outcome.map_err(|error| error.to_string())));
    outcomes.collect().await
}

fn is_part(path: &Path) -> bool {
    path.extension() == Some("part".as_ref())
}

/// How many files there are under their final names, each of them whole, and how many
/// are unfinished.
fn look(source: &Path, target: &Path, pieces: usize) -> (usize, usize) {
    let (mut whole, mut parts) = (0, 0);
    for place in ["", "deep/er"] {
        for entry in fs::read_dir(target.join(place)).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                continue;
            }
            if is_part(&path) {
                parts += 1;
                continue;
            }
            let from = source.join(path.strip_prefix(target).expect("within"));
            let expected = fs::read_to_string(from).expect("its source");
            let text = fs::read_to_string(&path).expect("text");
            assert_eq!(
                text,
                expected.repeat(pieces),
                "{} is not whole",
                path.display()
            );
            whole += 1;
        }
    }
    (whole, parts)
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let (source, target) = (folder.join("in"), folder.join("out"));
    let converter = Slowly::new(PIECES);
    let tell = async {
        while converter.running.load(SeqCst) == 0 {
            sleep(TICK).await;
        }
        std::println!("begun");
    };
    tokio::join!(process_all(&converter, &source, &target, 4), tell);
}

#[tokio::test]
async fn killed_at_any_moment_it_leaves_no_half_file_and_goes_on() {
    // More than can be done before the last of the processes is killed.
    let (folder, source, target) = folders(700);
    let (mut before, mut in_the_middle, mut random) = (0, 0, 1_u32);
    for _ in 0..50 {
        let child = child_of(module_path!())
            .env(FOLDER, folder.path())
            .stdout(process::Stdio::piped())
            .stderr(process::Stdio::null())
            .spawn();
        let mut child = child.expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        // If it closed the pipe, the child's printing would fail.
        let mut lines = output.lines();
        let begun = |line: Result<String, _>| line.is_ok_and(|l| l.contains("begun"));
        assert!(lines.any(begun), "it begins");
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_micros(u64::from(random >> 17)));
        child.kill().expect("it can be killed");
        let ended = child.wait().expect("it has ended");
        assert_eq!(ended.code(), None, "it did not end by itself");
        let (whole, parts) = look(&source, &target, PIECES);
        assert!(whole >= before, "what was done stays");
        before = whole;
        in_the_middle += usize::from(parts > 0);
    }
    assert!(before > 0, "some were done");
    assert!(
        in_the_middle > 25,
        "most were killed in the middle of a file"
    );
    let outcomes = process_all(&Slowly::new(PIECES), &source, &target, 50).await;
    let done = |what| outcomes.values().filter(|o| **o == Ok(what)).count();
    assert_eq!(done(Outcome::Skipped), before);
    assert_eq!(done(Outcome::Written), 700 - before);
    assert_eq!(look(&source, &target, PIECES), (700, 0));
}

#[tokio::test]
async fn dropped_at_each_await_it_leaves_whole_files_only() {
    let mut completed = false;
    let mut polls = 0;
    while !completed {
        polls += 1;
        let (_folder, source, target) = folders(3);
        let converter = Slowly::new(1);
        {
            let mut all = pin!(process_all(&converter, &source, &target, 2));
            for _ in 0..polls {
                if let Poll::Ready(outcomes) = futures::poll!(all.as_mut()) {
                    assert_eq!(outcomes.len(), 3);
                    completed = true;
                    break;
                }
                sleep(TICK).await;
            }
        }
        // The tasks see that they are aborted at their next turn.
        while Handle::current().metrics().num_alive_tasks() > 0 {
            sleep(TICK).await;
        }
        assert_eq!(converter.running.load(SeqCst), 0);
        look(&source, &target, 1);
        let again = process_all(&converter, &source, &target, 2).await;
        assert!(again.values().all(Result::is_ok), "{again:?}");
        // An aborted task does not stop its thread, which may make its file only now. It
        // removes that file a moment later.
        let whole = async {
            while look(&source, &target, 1) != (3, 0) {
                sleep(TICK).await;
            }
        };
        soon(whole).await;
    }
    assert!(polls > 3, "it was dropped a few times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_and_begun_again_at_once() {
    let (_folder, source, target) = folders(40);
    let converter = Slowly::new(2);
    for round in 1..=60 {
        // All are to be converted again.
        let modified = SystemTime::UNIX_EPOCH + round * Duration::from_secs(1);
        for file in list_files(source.clone()).await.expect("readable") {
            let file = fs::File::options().write(true).open(source.join(file));
            file.and_then(|file| file.set_modified(modified))
                .expect("writable");
        }
        let files = list_files(source.clone()).await.expect("readable");
        let (from, to) = (source.clone(), target.clone());
        prepare(from.clone(), to.clone()).await.expect("writable");
        let mut all = pin!(process(Arc::clone(&converter), from, to, files, 10));
        let all_end = async {
            while let Some((file, outcome)) = all.next().await {
                assert!(outcome.is_ok(), "{}: {outcome:?}", file.display());
            }
        };
        let _ = timeout((2 + round % 8) * TICK, all_end).await;
    }
    // The task that was dropped last may rename its file yet, but a whole one.
    let outcomes = process_all(&converter, &source, &target, 10).await;
    assert!(outcomes.values().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(look(&source, &target, 2).0, 40);
}

#[tokio::test]
async fn neither_folder_lies_within_the_other() {
    let (folder, source, target) = folders(1);
    fs::write(source.join("others.part"), "").expect("writable");
    let within = source.join("deep/out");
    let above = folder.path().to_path_buf();
    for refused in [source.clone(), within, above, source.join("../in")] {
        assert!(prepare(source.clone(), refused).await.is_err());
    }
    assert!(source.join("others.part").exists());
    fs::create_dir_all(&target).expect("writable");
    let left = target.join(".processing-abc123.part");
    fs::write(&left, "").expect("writable");
    prepare(source, target.clone()).await.expect("writable");
    assert!(!left.exists());
}

#[tokio::test(start_paused = true)]
async fn hundreds_with_some_that_fail_and_never_more_at_once() {
    let (_folder, source, target) = folders(300);
    for (number, text) in [(6, "fail"), (10, "panic"), (14, "fail")] {
        fs::write(source.join(format!("{number:03}")), text).expect("writable");
    }
    let left = source.join(".processing-abc123.part");
    fs::write(left, "of another run").expect("writable");
    let converter = Slowly::new(1);
    let outcomes = process_all(&converter, &source, &target, 20).await;
    assert_eq!(outcomes.len(), 300);
    let failed = outcomes.values().filter(|outcome| outcome.is_err());
    assert_eq!(failed.count(), 3);
    assert_eq!(outcomes[Path::new("006")], Err("fail".to_string()));
    assert_eq!(look(&source, &target, 1), (297, 0));
    assert!((2..=20).contains(&converter.most.load(SeqCst)));
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_is_converted_again() {
    let (_folder, source, target) = folders(2);
    let converter = Slowly::new(1);
    let (first, second) = (Path::new("000"), Path::new("deep/er/001"));
    process_all(&converter, &source, &target, 1).await;
    // Older than before, as a copy from a backup is.
    let file = fs::File::options().write(true).open(source.join(second));
    let long_ago = SystemTime::UNIX_EPOCH;
    file.and_then(|file| file.set_modified(long_ago))
        .expect("writable");
    let outcomes = process_all(&converter, &source, &target, 1).await;
    assert_eq!(outcomes[first], Ok(Outcome::Skipped));
    assert_eq!(outcomes[second], Ok(Outcome::Written));
    let outcomes = process_all(&converter, &source, &target, 1).await;
    assert!(outcomes.values().all(|o| *o == Ok(Outcome::Skipped)));
}

/// A link may lead to another folder, or back to this one.
#[cfg(unix)]
#[tokio::test]
async fn links_are_left_out() {
    use std::os::unix::fs::symlink;

    let (folder, source, _) = folders(2);
    fs::write(folder.path().join("outside"), "x").expect("writable");
    symlink(folder.path().join("outside"), source.join("to a file")).expect("writable");
    symlink(&source, source.join("to itself")).expect("writable");
    symlink("nowhere", source.join("to nothing")).expect("writable");
    let listed = list_files(source).await.expect("readable");
    assert_eq!(listed, [Path::new("000"), Path::new("deep/er/001")]);
}

/// The first file is the slowest, and comes last.
#[tokio::test(start_paused = true)]
async fn each_outcome_comes_as_soon_as_it_is_known() {
    struct ByLength;
    impl Convert for ByLength {
        async fn convert(
            &self,
            mut input: File,
            _: &mut BufWriter<File>,
        ) -> Result<(), Failure> {
            let length = input.read_to_end(&mut Vec::new()).await?;
            sleep(TICK * u32::try_from(length)?).await;
            Ok(())
        }
    }
    let (_folder, source, target) = folders(0);
    let files = ["slow", "quick", "quicker"].map(PathBuf::from);
    for (file, length) in files.iter().zip([10_000, 5_000, 1]) {
        fs::write(source.join(file), vec![b'x'; length]).expect("writable");
    }
    let files = files.to_vec();
    let outcomes = process(Arc::new(ByLength), source, target, files, 3);
    let order: Vec<_> = outcomes.map(|(file, _)| file).collect().await;
    assert_eq!(order, ["quicker", "quick", "slow"].map(PathBuf::from));
}

#[tokio::test(start_paused = true)]
async fn after_an_error_or_a_panic_the_old_file_stays() {
    let (_folder, source, target) = folders(2);
    let converter = Slowly::new(1);
    process_all(&converter, &source, &target, 1).await;
    let old = |name: &str| fs::read_to_string(target.join(name)).expect("it is there");
    let before = ["000", "deep/er/001"].map(old);
    for (name, text) in [("000", "fail"), ("deep/er/001", "panic")] {
        let path = source.join(name);
        fs::write(&path, text).expect("writable");
        let file = fs::File::options().write(true).open(path);
        file.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH))
            .expect("writable");
    }
    let outcomes = process_all(&converter, &source, &target, 1).await;
    assert!(outcomes.values().all(Result::is_err), "{outcomes:?}");
    assert_eq!(["000", "deep/er/001"].map(old), before);
}

#[tokio::test]
async fn files_that_are_gone_and_places_that_are_taken() {
    let (_folder, source, target) = folders(2);
    let files = vec![PathBuf::from("gone"), "000".into(), "deep/er/001".into()];
    // A folder where the file should be, as old as that.
    fs::create_dir_all(target.join("000/not_empty")).expect("writable");
    let modified = fs::metadata(source.join("000")).and_then(|file| file.modified());
    let taken = fs::File::open(target.join("000")).expect("readable");
    taken
        .set_modified(modified.expect("a time"))
        .expect("writable");
    let converter = Slowly::new(1);
    let outcomes = process(converter, source.clone(), target.clone(), files, 1);
    let ends: Vec<_> = outcomes.map(|(_, outcome)| outcome.ok()).collect().await;
    assert_eq!(ends, [None, None, Some(Outcome::Written)]);
    assert_eq!(look(&source, &target, 1), (1, 0));
    assert!(list_files(target.join("nowhere")).await.is_err());
}

#[tokio::test]
async fn a_name_may_be_as_long_as_the_system_allows() {
    let (_folder, source, target) = folders(0);
    for length in [1, 243, 244, 255] {
        fs::write(source.join("x".repeat(length)), "text").expect("writable");
    }
    let outcomes = process_all(&Slowly::new(1), &source, &target, 4).await;
    assert_eq!(outcomes.len(), 4);
    for (file, outcome) in outcomes {
        assert_eq!(outcome, Ok(Outcome::Written), "{}", file.display());
    }
    assert_eq!(look(&source, &target, 1), (4, 0));
}

#[test]
#[should_panic(expected = "none at a time would never end")]
fn none_at_a_time() {
    let (nowhere, none) = (PathBuf::new(), Vec::new());
    drop(process(Slowly::new(1), nowhere.clone(), nowhere, none, 0));
}

#[tokio::test]
async fn files_of_others_that_end_in_part_are_left_alone() {
    let (_folder, source, target) = folders(1);
    let ours = [".processing-abc123.part", "deep/.processing-ABCdef.part"];
    let others = [
        "movie.part",
        "deep/a.iso.part",
        ".hidden.part",
        ".abc123.part",
        ".processing-notes.part",
        "processing-abc123.part",
        "part",
    ];
    fs::create_dir_all(target.join("deep")).expect("writable");
    for name in ours.iter().chain(&others) {
        fs::write(target.join(name), "x").expect("writable");
        let copy = source.join(name);
        fs::write(copy, "x").expect("writable");
    }
    let prepared = prepare(source.clone(), target.clone()).await;
    prepared.expect("writable");
    for name in others {
        assert!(target.join(name).exists(), "{name} is not ours");
    }
    for name in ours {
        assert!(!target.join(name).exists(), "{name} is left over");
    }
    let listed = list_files(source).await.expect("readable");
    assert_eq!(listed.len(), 1 + others.len(), "{listed:?}");
}
