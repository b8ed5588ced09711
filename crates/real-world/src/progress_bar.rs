//! Show progress bars: concurrent downloads, a bar for each and one for all of them.
//!
//! The crate `indicatif` draws bars on standard error, and only if that is a terminal.
//! Clone a bar into several tasks: the clones count together. Wrap the stream of a
//! download in `counted` below: it counts the bytes that pass. When the last clone of a
//! bar is dropped, the line of the bar is cleared, even after an error or an abort.
//! Python has `tqdm` with `disable=None`.
//!
//! Bounds: One line of the terminal for each running download. Limit the downloads.
//!
//! Trap: If you call `println!` while bars are drawn, the text and the bars overwrite
//! each other. Print inside `MultiProgress::suspend`, which removes the bars while the
//! closure runs. Do not use `MultiProgress::println`: if standard error is not a
//! terminal, it prints nothing.
//!
//! See also: `download_to_file`, `upload`, `map_with_limit`.
//!
//! asyncio: async for, asyncio.TaskGroup

use std::time::Duration;

use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::sleep;

/// A bar for each download, and one for the number of all.
#[derive(Clone, Debug)]
pub struct Progress {
    lines: MultiProgress,
    all: ProgressBar,
}

impl Progress {
    /// Starts a bar for this number of downloads. `MultiProgress::new()` draws to
    /// standard error.
    pub fn new(lines: MultiProgress, downloads: u64) -> Self {
        let all = lines.add(ProgressBar::new(downloads));
        // Otherwise it is not drawn before the first download has ended.
        all.tick();
        Self { lines, all }
    }

    /// Adds a bar above the last one. Without a length it shows only the bytes.
    pub fn add(&self, name: &str, length: Option<u64>) -> ProgressBar {
        let template = match length {
            Some(_) => "{prefix:12} {wide_bar} {bytes}/{total_bytes} {eta}",
            None => "{prefix:12} {spinner} {bytes} {bytes_per_sec}",
        };
        let style = ProgressStyle::with_template(template);
        let bar = match length {
            Some(length) => ProgressBar::new(length),
            None => ProgressBar::no_length(),
        };
        let bar = self.lines.insert_from_back(1, bar);
        bar.with_style(style.expect("both templates are right"))
            .with_prefix(name.to_owned())
    }

    /// Prints a line above the bars, whether or not they are drawn.
    pub fn print(&self, line: &str) {
        self.lines.suspend(|| println!("{line}"));
    }
}

/// Counts the bytes of a stream in a bar.
pub fn counted<T: AsRef<[u8]>, E>(
    chunks: impl Stream<Item = Result<T, E>>,
    bar: ProgressBar,
) -> impl Stream<Item = Result<T, E>> {
    chunks.inspect_ok(move |chunk| bar.inc(chunk.as_ref().len() as u64))
}

/// A download: `chunks` pieces of 100 bytes, one every 100 ms, and perhaps a failure.
fn chunks(number: usize, fails: bool) -> impl Stream<Item = Result<[u8; 100], String>> {
    let end = fails.then(|| Err("connection reset".to_owned()));
    let chunks = (0..number).map(|_| Ok([0; 100])).chain(end);
    stream::iter(chunks).then(async |chunk| {
        sleep(Duration::from_millis(100)).await;
        chunk
    })
}

async fn download(name: &str, number: usize, fails: bool, progress: Progress) {
    let length = 100 * number as u64;
    let bar = progress.add(name, Some(length));
    let chunks = counted(chunks(number, fails), bar.clone());
    let ended = chunks.try_for_each(async |_| Ok(())).await;
    let bytes = bar.position();
    match ended {
        Ok(()) => progress.print(&format!("{name}: {bytes} bytes")),
        Err(error) => progress.print(&format!("{name}: {error} after {bytes} bytes")),
    }
    progress.all.inc(1);
}

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    let files = [
        ("tea.jpg", 3, false),
        ("cake.jpg", 5, true),
        ("milk.jpg", 8, false),
    ];
    let progress = Progress::new(MultiProgress::new(), files.len() as u64);
    let mut tasks = tokio::task::JoinSet::new();
    for (name, number, fails) in files {
        tasks.spawn(download(name, number, fails, progress.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
        let all = &progress.all;
        let length = all.length().unwrap_or_default();
        progress.print(&format!("{} of {length} downloads", all.position()));
    }
    Ok(())
}
