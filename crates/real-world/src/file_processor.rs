//! Process thousands of files: N at a time, resumable, each written whole or not at all.
//!
//! Each result is written to a hidden file next to its final name, and renamed when its
//! bytes are on the disk. So Ctrl-C, `kill -9` and a power cut need no handling: start
//! the program again, and it continues. A file is skipped if its result already has the
//! modification time of the source.
//!
//! Bounds: At most `limit` files are converted at a time. Your type that implements the
//! trait [`Convert`] reads each file in pieces. Unbounded: The list of paths, which is in
//! memory, and the time of a conversion.
//!
//! Trap: If you write under the final name and the program is killed, it leaves half a
//! file, which the next run takes for a whole one. Write under another name and rename,
//! as here.
//!
//! Trap: If you make many small calls of `tokio::fs`, most of the time goes into
//! passing each call to another thread. Put several calls of `std::fs` into one
//! `spawn_blocking`.
//!
//! In production: The crate `ignore` lists files by pattern and follows a repository's
//! `.gitignore`.
//!
//! Platforms: Windows refuses to replace a file that somebody has open. Then the rename
//! is retried for a second and fails; the old file stays.
//!
//! asyncio: asyncio.TaskGroup, asyncio.to_thread, asyncio.timeout, finally
//! asyncio: asyncio.LimitOverrunError

use std::error::Error;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{Stream, StreamExt, stream};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

/// Any error that can move to another thread. `?` converts every other error into it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Converts the contents of one file into those of another.
pub trait Convert: Send + Sync + 'static {
    /// Reads `input` in pieces and writes to `output`, which the caller flushes. After an
    /// error, the target keeps its old file, if it had one.
    fn convert(
        &self,
        input: File,
        output: &mut BufWriter<File>,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The outcome for a file that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Written,
    /// The target already has the source's modification time.
    Skipped,
}

/// Returns the files in a folder and its subfolders, as sorted relative paths. Links and
/// unfinished files are left out.
pub async fn list_files(folder: PathBuf) -> io::Result<Vec<PathBuf>> {
    let listed = spawn_blocking(move || {
        let mut files = walk(&folder)?;
        files.retain(|file| !is_part(file));
        files.sort();
        Ok(files)
    });
    listed.await?
}

/// The start of the names of unfinished files. Six characters and `.part` follow.
const PREFIX: &str = ".processing-";

fn is_part(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    let random = name.and_then(|it| it.strip_prefix(PREFIX)?.strip_suffix(".part"));
    random.is_some_and(|random| random.len() == 6)
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

/// Creates the folder `target`, and removes unfinished files that a killed program left
/// there. Fails if the folders are the same, or one lies within the other.
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
                // A stream that was just dropped removes its own files.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    });
    prepared.await?
}

/// Returns a stream that converts `files` of `source` into files of the same names in
/// `target`, at most `limit` at a time. It yields each outcome as soon as it is known.
///
/// Whatever stops the program, no file in `target` is half written. An error or a panic
/// affects only its file. Dropping the stream aborts the conversions, which remove their
/// unfinished files a moment later.
///
/// Only one program may write into a folder: `std::fs::File::try_lock` keeps others out.
///
/// # Panics
///
/// If `limit` is 0, or if the stream is polled outside a Tokio runtime.
pub fn process<C: Convert>(
    converter: Arc<C>,
    source: PathBuf,
    target: PathBuf,
    files: Vec<PathBuf>,
    limit: usize,
) -> impl Stream<Item = (PathBuf, Result<Outcome, Failure>)> + Send {
    assert!(limit > 0, "none at a time would never end");
    let tasks = stream::iter(files).map(move |file| {
        let (from, to) = (source.join(&file), target.join(&file));
        let task = tokio::spawn(process_file(Arc::clone(&converter), from, to));
        // The tasks keep running while nobody polls the stream.
        let task = AbortOnDropHandle::new(task);
        async move { (file, task.await.unwrap_or_else(|panic| Err(panic.into()))) }
    });
    tasks.buffer_unordered(limit)
}

/// A conversion in progress.
struct Begun {
    input: std::fs::File,
    modified: SystemTime,
    output: std::fs::File,
    /// Removes the file when it is dropped.
    part: TempPath,
}

/// Opens both files. Returns `None` if the conversion was done before.
fn begin(source: &Path, target: &Path) -> io::Result<Option<Begun>> {
    let input = std::fs::File::open(source)?;
    // Taken before the first byte is read, so that the next run sees a later change.
    let modified = input.metadata()?.modified()?;
    match target.metadata() {
        Ok(done) if done.is_file() && done.modified()? == modified => return Ok(None),
        _ => {}
    }
    let folder = target.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder)?;
    // In the same folder, as a file cannot be renamed into another file system. The name
    // is random, as a dropped stream may still rename or remove its own file.
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(PREFIX).rand_bytes(6).suffix(".part");
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
    // Without this, the buffer is lost, because a drop cannot await.
    output.flush().await?;
    let output = output.into_inner().into_std().await;
    let renamed = spawn_blocking(move || {
        output.set_modified(begun.modified)?;
        // Without this, a power cut may leave an empty file, which the next run skips.
        output.sync_all()?;
        rename_over(&begun.part, &target)?;
        // The name is no longer there, so nothing is to be removed.
        let _ = begun.part.keep();
        Ok::<_, io::Error>(())
    });
    renamed.await??;
    Ok(Outcome::Written)
}

/// Renames the file, also over another one. Windows refuses while somebody has the target
/// open, so there it tries for a second.
fn rename_over(part: &Path, target: &Path) -> io::Result<()> {
    let retries = if cfg!(windows) { 100 } else { 0 };
    for _ in 0..retries {
        match std::fs::rename(part, target) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // Nobody unparks this thread, so it sleeps.
                std::thread::park_timeout(Duration::from_millis(10));
            }
            renamed => return renamed,
        }
    }
    std::fs::rename(part, target)
}

/// Removes the spaces at the end of each line.
struct TrimLines;

impl Convert for TrimLines {
    async fn convert(
        &self,
        input: File,
        output: &mut BufWriter<File>,
    ) -> Result<(), Failure> {
        let codec = tokio_util::codec::LinesCodec::new_with_max_length(1 << 20);
        let mut lines = tokio_util::codec::FramedRead::new(input, codec);
        while let Some(line) = lines.next().await {
            output.write_all(line?.trim_end().as_bytes()).await?;
            output.write_all(b"\n").await?;
        }
        Ok(())
    }
}

/// Trims the lines of all files of a folder: `cargo run -- texts trimmed`.
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let args: Vec<_> = std::env::args().skip(1).map(PathBuf::from).collect();
    let [source, target] = args.as_slice() else {
        return Err("usage: SOURCE TARGET".into());
    };
    let files = list_files(source.clone()).await?;
    prepare(source.clone(), target.clone()).await?;
    let converter = Arc::new(TrimLines);
    let outcomes = process(converter, source.clone(), target.clone(), files, 8);
    let mut outcomes = std::pin::pin!(outcomes);
    while let Some((file, outcome)) = outcomes.next().await {
        match outcome {
            Ok(outcome) => println!("{}: {outcome:?}", file.display()),
            Err(error) => println!("{}: {error}", file.display()),
        }
    }
    Ok(())
}

//@ try: nowhere out -> nowhere: No such file or directory
