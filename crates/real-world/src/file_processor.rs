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
