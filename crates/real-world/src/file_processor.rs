//! Process thousands of files: so many at once, resumable, each written whole or not.
//!
//! The trap is to write under the final name: a program that is killed half-way leaves
//! half a file there, which looks like a whole one. Here it is written beside that, with
//! `.part` behind its name, and renamed when it is whole. So Ctrl-C and `kill -9` need no
//! handling: the next run goes on, and skips what is done, which it knows by the time of
//! modification, that of the source. A bad file does not end the rest. Memory is bounded:
//! a file is begun when another has ended, and read line by line, with a longest line.
//! `aiofiles` and `tokio::fs` hand each call to a thread, so several calls go better into
//! one `spawn_blocking`. A power failure may still leave an empty file, unless
//! `File::sync_all` comes before the rename. The crate `ignore` finds files by pattern.
//!
//! asyncio: asyncio.TaskGroup, asyncio.to_thread, asyncio.timeout, finally
//! asyncio: asyncio.LimitOverrunError

use std::env;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{Stream, StreamExt, stream};
use indicatif::ProgressBar;
use tempfile::TempPath;
use tokio::fs::{self, File};
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::task::AbortOnDropHandle;

/// Any error that may move to another thread; `?` makes it from yours.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Makes the contents of one file from those of another.
pub trait Convert: Send + Sync + 'static {
    /// Reads `input` in pieces and writes to `output`, which is flushed afterwards. An
    /// error leaves no file.
    fn convert(
        &self,
        input: File,
        output: &mut BufWriter<File>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What was done with a file that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was converted.
    Written,
    /// It was converted before, from a file with the same time of modification.
    Skipped,
}

/// The files in a folder and in those within it, as paths from there, sorted. Links are
/// left out, and so is what ends in `.part`: it may be the unfinished work of others.
///
/// # Errors
///
/// If a folder cannot be read.
pub async fn list_files(folder: PathBuf) -> io::Result<Vec<PathBuf>> {
    // In one piece, as each call of `tokio::fs` would go to a thread by itself.
    let listed = spawn_blocking(move || {
        let mut files = walk(&folder)?;
        files.retain(|file| !is_part(file));
        files.sort();
        Ok(files)
    });
    listed.await?
}

fn is_part(file: &Path) -> bool {
    file.extension() == Some("part".as_ref())
}

fn walk(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let entries = next.read_dir().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", next.display()))
        })?;
        for entry in entries {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files.extend(path.strip_prefix(folder).map(Path::to_path_buf));
            }
        }
    }
    Ok(files)
}

/// Makes the folder `target`, and removes all files there that end in `.part`: what a
/// killed program has left.
///
/// # Errors
///
/// If one of the folders lies within the other, or they are the same: what is written
/// would be read, or written over what is read.
pub async fn prepare(source: PathBuf, target: PathBuf) -> io::Result<()> {
    let prepared = spawn_blocking(move || {
        std::fs::create_dir_all(&target)?;
        let (source, target) = (source.canonicalize()?, target.canonicalize()?);
        if source.starts_with(&target) || target.starts_with(&source) {
            let error = "one folder lies within the other";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        for file in walk(&target)?.iter().filter(|file| is_part(file)) {
            match std::fs::remove_file(target.join(file)) {
                // A stream that was just dropped removes its own.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    });
    prepared.await?
}

/// Converts these files of `source` into files of the same names in `target`, at most
/// `at_once` at a time, and tells what came of each, in the order in which they end.
///
/// A file in `target` is whole or absent, whatever stops the program. Two programs must
/// not write into one folder at the same time: `std::fs::File::try_lock` keeps a second
/// one out. Dropping the stream aborts what is in progress, and removes what it has
/// written, a moment later; a new one need not wait for that. What a killed program has
/// left is removed by [`prepare`].
///
/// An error, or a panic of the conversion, concerns only its file.
///
/// # Panics
///
/// If `at_once` is 0; and, when the stream is read, outside of a Tokio runtime.
pub fn process<C: Convert>(
    converter: Arc<C>,
    source: PathBuf,
    target: PathBuf,
    files: Vec<PathBuf>,
    at_once: usize,
) -> impl Stream<Item = (PathBuf, Result<Outcome, Failure>)> + Send {
    assert!(at_once > 0, "none at a time would never end");
    let tasks = stream::iter(files).map(move |file| {
        let (from, to) = (source.join(&file), target.join(&file));
        let task = tokio::spawn(process_file(Arc::clone(&converter), from, to));
        // The stream moves on only when it is asked: the tasks do not wait for that.
        let task = AbortOnDropHandle::new(task);
        async move { (file, task.await.unwrap_or_else(|panic| Err(panic.into()))) }
    });
    tasks.buffer_unordered(at_once)
}

/// A file that is being converted.
struct Begun {
    input: std::fs::File,
    modified: SystemTime,
    output: std::fs::File,
    /// Removes the unfinished file when it is dropped.
    part: TempPath,
}

/// Opens both files, or finds that this was done before.
fn begin(source: &Path, target: &Path) -> io::Result<Option<Begun>> {
    let input = std::fs::File::open(source)?;
    // Before the first byte is read, so that a change in the meantime is seen next time.
    let modified = input.metadata()?.modified()?;
    if let Ok(done) = target.metadata()
        && done.is_file()
        && done.modified()? == modified
    {
        return Ok(None);
    }
    let folder = target.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder)?;
    // In the same folder: a file cannot be renamed into another file system. With a name
    // of its own: a stream that was dropped may still be about to rename or remove its.
    let mut prefix = target.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(&prefix).suffix(".part");
    // `tempfile_in` would make a file that only its owner may read.
    let part = builder.make_in(folder, |path| std::fs::File::create_new(path))?;
    let (output, part) = part.into_parts();
    Ok(Some(Begun {
        input,
        modified,
        output,
        part,
    }))
}

async fn process_file<C: Convert>(
    converter: Arc<C>,
    source: PathBuf,
    target: PathBuf,
) -> Result<Outcome, Failure> {
    let to = target.clone();
    let begun = spawn_blocking(move || begin(&source, &to)).await??;
    let Some(begun) = begun else {
        return Ok(Outcome::Skipped);
    };
    let mut output = BufWriter::new(File::from_std(begun.output));
    let input = File::from_std(begun.input);
    converter.convert(input, &mut output).await?;
    // Without it what is in the buffer is lost, as a drop cannot await.
    output.flush().await?;
    let output = output.into_inner().into_std().await;
    let renamed = spawn_blocking(move || {
        output.set_modified(begun.modified)?;
        begun.part.persist(target).map_err(|failed| failed.error)
    });
    renamed.await??;
    Ok(Outcome::Written)
}

/// Converts a folder, with a progress bar on a terminal, and prints what failed.
///
/// # Errors
///
/// Those of [`list_files`] and [`prepare`]; or that some files failed.
pub async fn process_folder<C: Convert>(
    converter: Arc<C>,
    source: &Path,
    target: &Path,
    at_once: usize,
) -> Result<(), Failure> {
    let files = list_files(source.to_path_buf()).await?;
    prepare(source.to_path_buf(), target.to_path_buf()).await?;
    let (mut written, mut skipped, mut failed) = (0, 0, 0);
    // It is on standard error, and hidden unless that is a terminal.
    let total = files.len();
    let bar = ProgressBar::new(total as u64);
    let (source, target) = (source.to_path_buf(), target.to_path_buf());
    let mut outcomes = pin!(process(converter, source, target, files, at_once));
    while let Some((file, outcome)) = outcomes.next().await {
        match outcome {
            Ok(Outcome::Written) => {
                written += 1;
                bar.suspend(|| println!("{}: written", file.display()));
            }
            Ok(Outcome::Skipped) => skipped += 1,
            Err(error) => {
                failed += 1;
                bar.suspend(|| println!("{}: {error}", file.display()));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{written} written, {skipped} skipped, {failed} failed");
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {total} files failed").into()),
    }
}

/// Makes degrees Fahrenheit of degrees Celsius, one in each line.
struct Fahrenheit {
    /// The bytes that are read at once, which bound the memory for a file.
    longest_line: usize,
    /// How long each line takes.
    pause: Duration,
}

impl Convert for Fahrenheit {
    async fn convert(
        &self,
        input: File,
        output: &mut BufWriter<File>,
    ) -> Result<(), Failure> {
        let codec = LinesCodec::new_with_max_length(self.longest_line);
        let mut lines = FramedRead::new(input, codec).enumerate();
        while let Some((number, line)) = lines.next().await {
            let number = number + 1;
            let line = line.map_err(|error| format!("line {number}: {error}"))?;
            let celsius: f64 = line
                .parse()
                .map_err(|_| format!("line {number}: {line} is no number"))?;
            let line = format!("{:.1}\n", celsius * 1.8 + 32.0);
            output.write_all(line.as_bytes()).await?;
            if !self.pause.is_zero() {
                sleep(self.pause).await;
            }
        }
        Ok(())
    }
}

/// Prints the names of all files in the folder, with what is in them.
async fn show(folder: PathBuf) -> Result<(), Failure> {
    let read = spawn_blocking(move || -> io::Result<_> {
        let mut files = Vec::new();
        for entry in folder.read_dir()? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let text = std::fs::read_to_string(entry.path())?;
                files.push((entry.file_name(), text));
            }
        }
        files.sort();
        Ok(files)
    });
    for (name, text) in read.await?? {
        let lines: Vec<_> = text.lines().collect();
        println!("{}: {}", name.display(), lines.join(" "));
    }
    Ok(())
}

async fn demonstrate(folder: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let (source, target) = (folder.join("celsius"), folder.join("fahrenheit"));
    fs::create_dir_all(source.join("north")).await?;
    for (name, lines) in [
        ("athens.txt", "18\n19.5\n"),
        ("berlin.txt", "9\n9.5\n10\n11\n10.5\n10\n8\n"),
        ("cairo.txt", "24\nwarm\n"),
        ("delhi.txt", "25\n26\n26.00000000000000\n"),
        ("north/oslo.txt", "5\n6\n"),
        ("north/tromso.txt", "2\n"),
    ] {
        fs::write(source.join(name), lines).await?;
    }
    let converter = Arc::new(Fahrenheit {
        longest_line: 16,
        pause: Duration::from_millis(100),
    });
    let run = || process_folder(Arc::clone(&converter), &source, &target, 2);

    println!("Seven lines under their final name, stopped after 0.25 s:");
    let input = File::open(source.join("berlin.txt")).await?;
    let mut output = BufWriter::new(File::create(folder.join("berlin.txt")).await?);
    let converted = converter.convert(input, &mut output);
    let stopped = timeout(Duration::from_millis(250), converted)
        .await
        .is_err();
    output.flush().await?;
    println!("stopped: {stopped}");
    show(folder.to_path_buf()).await?;

    at(500).await;
    println!("A folder, two files at once, stopped after 0.4 s:");
    let stopped = timeout(Duration::from_millis(400), run()).await.is_err();
    println!("stopped: {stopped}");
    // What was in progress is removed by its task, at its next await.
    sleep(Duration::from_millis(100)).await;
    println!("in the folder:");
    show(target.clone()).await?;

    at(1500).await;
    println!("Once more:");
    if let Err(error) = run().await {
        println!("error: {error}");
    }

    at(2500).await;
    println!("Once more, with one of them mended:");
    fs::write(source.join("cairo.txt"), "24\n25.5\n26\n").await?;
    if let Err(error) = run().await {
        println!("error: {error}");
    }
    show(target).await?;

    at(3500).await;
    println!("Into itself:");
    if let Err(error) = process_folder(converter, &source, &source, 2).await {
        println!("error: {error}");
    }
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [] => {
            let folder = tempfile::tempdir()?;
            demonstrate(folder.path()).await?;
            folder.close()?;
            Ok(())
        }
        [source, target] => {
            let converter = Arc::new(Fahrenheit {
                longest_line: 1000,
                pause: Duration::ZERO,
            });
            process_folder(converter, source, target, 8).await
        }
        _ => Err("give two folders: from where, and to where".into()),
    }
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}

#[cfg(test)]
mod tests {
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

    use super::{Convert, Failure, Outcome, list_files, prepare, process};

    const TICK: Duration = Duration::from_millis(1);
    /// In which the child process writes a file, a millisecond and more for each.
    const PIECES: usize = 5;
    /// Tells the child process where to work.
    const FOLDER: &str = "FILE_PROCESSOR_TEST_FOLDER";

    /// Writes the input in so many pieces, each at once and a millisecond apart.
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
                if path.extension().is_some() {
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
        std::println!("begun");
        let (source, target) = (folder.join("in"), folder.join("out"));
        process_all(&Slowly::new(PIECES), &source, &target, 4).await;
    }

    #[tokio::test]
    async fn killed_at_any_moment_it_leaves_no_half_file_and_goes_on() {
        // More than can be done before the last of the processes is killed.
        let (folder, source, target) = folders(700);
        // It has another name in a copy of this file.
        let (_crate, module) = module_path!().split_once("::").expect("a module");
        let child = format!("{module}::child");
        let (mut before, mut in_the_middle, mut random) = (0, 0, 1_u32);
        for _ in 0..50 {
            let child = process::Command::new(env::current_exe().expect("itself"))
                .args(["--exact", "--nocapture", &child])
                .env(FOLDER, folder.path())
                .stdout(process::Stdio::piped())
                .stderr(process::Stdio::null())
                .spawn();
            let mut child = child.expect("it starts");
            let output = BufReader::new(child.stdout.take().expect("it is piped"));
            // Kept, as who closes the pipe ends the child's printing, and so the child.
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
            assert!(again.values().all(Result::is_ok));
            assert_eq!(look(&source, &target, 1), (3, 0));
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
        fs::write(target.join("000.a.part"), "").expect("writable");
        prepare(source, target.clone()).await.expect("writable");
        assert!(!target.join("000.a.part").exists());
    }

    #[tokio::test(start_paused = true)]
    async fn hundreds_with_some_that_fail_and_never_more_at_once() {
        let (_folder, source, target) = folders(300);
        for (number, text) in [(6, "fail"), (10, "panic"), (14, "fail")] {
            fs::write(source.join(format!("{number:03}")), text).expect("writable");
        }
        fs::write(source.join("001.part"), "of others").expect("writable");
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

    #[test]
    #[should_panic(expected = "none at a time would never end")]
    fn none_at_a_time() {
        let (nowhere, none) = (PathBuf::new(), Vec::new());
        drop(process(Slowly::new(1), nowhere.clone(), nowhere, none, 0));
    }
}
