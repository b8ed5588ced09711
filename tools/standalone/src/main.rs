//! `asyncio-to-tokio`: find, read and copy the examples, and port, outside of a clone.
//!
//! The texts are in the binary. They are unpacked into the reader's cache, where the same
//! code reads them as in a clone. Each start compares them, so a damaged file is mended.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use cargo_metadata::MetadataCommand;
use catalog::files::replace;
use catalog::workspace::Workspace;
use clap::Parser;
use miniz_oxide::inflate::decompress_to_vec_zlib;
use xtask::Reading;

const ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/archive"));

/// Finds, shows and copies verified examples that lead from asyncio to Tokio.
///
/// An example is named SECTION/EXAMPLE, or EXAMPLE where only one section has it.
#[derive(Parser)]
#[command(name = "asyncio-to-tokio", version)]
struct Cli {
    #[command(subcommand)]
    command: Reading,
}

fn run(command: &Reading) -> Result<ExitCode> {
    let mut hasher = DefaultHasher::new();
    ARCHIVE.hash(&mut hasher);
    let root = cache()?.join(format!("asyncio-to-tokio/{:016x}", hasher.finish()));
    let files = decompress_to_vec_zlib(ARCHIVE).map_err(|error| anyhow!("{error}"))?;
    let mut files: BTreeMap<String, String> = serde_json::from_slice(&files)?;
    let metadata = files.remove("metadata.json").unwrap_or_default();
    unpack(&root, &files)?;
    let quoted = serde_json::to_string(&root)?;
    let metadata = metadata.replace("{root}", quoted.trim_matches('"'));
    let workspace = Workspace::of(MetadataCommand::parse(metadata)?, "asyncio-to-tokio")?;
    debug_assert_eq!(workspace.root, root, "it reads what it has unpacked");
    command.run(&workspace)
}

/// Names the reader's folder of caches.
const CACHE: &str = if cfg!(windows) {
    "LOCALAPPDATA"
} else {
    "XDG_CACHE_HOME"
};

/// Returns the folder where programs keep what they can make again.
fn cache() -> Result<PathBuf> {
    let named = env::var_os(CACHE).map(PathBuf::from);
    let own = env::home_dir().map(|home| home.join(".cache"));
    let mut caches = [named, own].into_iter().flatten();
    let cache = caches.find(|dir| dir.is_absolute());
    cache.with_context(|| format!("set {CACHE} to the folder of your caches"))
}

/// Writes the files that are missing or have another text. A second process waits meanwhile.
fn unpack(root: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    let is_damaged = |(path, text): &(&String, &String)| {
        !fs::read(root.join(path)).is_ok_and(|own| own == text.as_bytes())
    };
    if !files.iter().any(|file| is_damaged(&file)) {
        return Ok(());
    }
    let unpack = || -> Result<()> {
        fs::create_dir_all(root)?;
        let lock = File::create(root.join("lock"))?;
        lock.lock()?;
        for (path, text) in files.iter().filter(is_damaged) {
            replace(&root.join(path), text)?;
        }
        Ok(())
    };
    unpack().with_context(|| {
        let root = root.display();
        format!("cannot unpack into {root}; set {CACHE} to a folder that can be written")
    })
}

fn main() -> ExitCode {
    catalog::ended(run(&Cli::parse().command))
}
