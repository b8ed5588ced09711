//! A folder that is processed in several runs, with a bad file and an interruption.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use indicatif::ProgressBar;
use tokio::fs::{self, File};
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::codec::{FramedRead, LinesCodec};

use crate::file_processor::{Convert, Failure, Outcome, list_files, prepare, process};

/// Converts a folder, with a progress bar on a terminal, and prints what failed.
async fn process_folder<C: Convert>(
    converter: Arc<C>,
    source: &Path,
    target: &Path,
    limit: usize,
) -> Result<(), Failure> {
    let files = list_files(source.to_path_buf()).await?;
    prepare(source.to_path_buf(), target.to_path_buf()).await?;
    let (mut written, mut skipped, mut failed) = (0, 0, 0);
    // It is on standard error, and hidden unless that is a terminal.
    let total = files.len();
    let bar = ProgressBar::new(total as u64);
    let (source, target) = (source.to_path_buf(), target.to_path_buf());
    let mut outcomes = pin!(process(converter, source, target, files, limit));
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

/// Converts degrees Celsius to degrees Fahrenheit, one in each line.
struct Fahrenheit {
    /// In bytes. It bounds the memory for a file.
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
    println!("A folder, two files at a time, stopped after 0.4 s:");
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
    println!("Once more, with one of them corrected:");
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

/// Returns a folder in memory, if there is such a file system, as a disk may be slow.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

pub async fn run() -> Result<(), Failure> {
    let folder = in_memory()?;
    demonstrate(folder.path()).await?;
    folder.close()?;
    Ok(())
}
