//! Reading files, on the disk or in the program itself; and making them so that either all
//! of them are there or none.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, process};

use anyhow::{Context, Result, bail};

/// Texts that are in the program itself, each with its path.
static EMBEDDED: OnceLock<BTreeMap<PathBuf, String>> = OnceLock::new();

/// Lets [`read`], [`entries`] and [`exists`] look for files in these texts, and not on the
/// disk. Only the first call has an effect.
pub fn embed(texts: BTreeMap<PathBuf, String>) {
    let _ = EMBEDDED.set(texts);
}

/// Writes the texts that are in the program to a new folder, for other programs to read.
/// Returns the folder; nothing if there are no such texts.
///
/// # Errors
///
/// When the folder for temporary files cannot be written.
pub fn unpack() -> Result<Option<PathBuf>> {
    let Some(texts) = EMBEDDED.get() else {
        return Ok(None);
    };
    let folder = env::temp_dir().join(format!("asyncio-to-tokio-{}", process::id()));
    let files = texts.iter().map(|(path, text)| {
        let path = path.iter().skip(1).collect::<PathBuf>();
        (path.display().to_string(), text.clone())
    });
    make_folder(&folder, &files.collect::<Vec<_>>())?;
    Ok(Some(folder))
}

/// Reads a text file.
pub fn read(path: &Path) -> Result<String> {
    let text = match EMBEDDED.get() {
        Some(texts) => texts
            .get(path)
            .cloned()
            .context("it is not in this program"),
        None => fs::read_to_string(path).map_err(Into::into),
    };
    text.with_context(|| format!("cannot read {}", path.display()))
}

/// Whether there is such a file or folder.
pub fn exists(path: &Path) -> bool {
    match EMBEDDED.get() {
        Some(texts) => texts.keys().any(|own| own.starts_with(path)),
        None => path.exists(),
    }
}

/// What is in the folder, in the order of names; nothing if there is no folder.
pub fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    if let Some(texts) = EMBEDDED.get() {
        let inside = texts.keys().filter(|own| own.starts_with(dir));
        let depth = dir.iter().count();
        let names: BTreeSet<_> = inside.filter_map(|own| own.iter().nth(depth)).collect();
        return Ok(names.into_iter().map(|name| dir.join(name)).collect());
    }
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let read = |dir: &Path| -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths =
        read(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    paths.sort();
    paths.retain(|path| path.file_name() != Some(OsStr::new("__pycache__")));
    Ok(paths)
}

/// The file's name without its ending.
pub fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Makes the folder with these files, given by their paths inside of it.
///
/// # Errors
///
/// When `dir` exists and is not an empty folder, or when something cannot be written.
/// Nothing is left behind then.
pub fn make_folder(dir: &Path, files: &[(String, String)]) -> Result<()> {
    if dir.symlink_metadata().is_ok() {
        let mut entries = fs::read_dir(dir)
            .with_context(|| format!("{} is not a folder", dir.display()))?;
        if entries.next().is_some() {
            bail!("{} is not empty; nothing there was touched", dir.display());
        }
    }
    let files = files.iter();
    let files = files.map(|(name, text)| (dir.join(name), text.clone()));
    make_files(&files.collect::<Vec<_>>())
        .with_context(|| format!("cannot make {}; nothing was made", dir.display()))
}

/// Makes the files, and the folders above them.
///
/// # Errors
///
/// When one of the files exists already, or when something cannot be written. None of them
/// is left behind then.
pub fn make_files(files: &[(PathBuf, String)]) -> Result<()> {
    let is_missing = |path: &&Path| path.symlink_metadata().is_err();
    let mut made: Vec<&Path> = Vec::new();
    let mut make = || -> Result<()> {
        for (path, text) in files {
            if !is_missing(&path.as_path()) {
                bail!("there is a file {} already", path.display());
            }
            let before = made.len();
            made.extend(path.ancestors().take_while(is_missing));
            made[before..].reverse();
            replace(path, text)?;
        }
        Ok(())
    };
    make().inspect_err(|_| {
        // The highest folder was made first. The first error is the one to tell.
        for path in made.iter().rev() {
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    })
}

/// Writes a file in one step: either all of its text is there or what was there before.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // Either it was never made or it is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&new);
    }
    written.with_context(|| format!("cannot write {}; nothing was made", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{make_files, make_folder};

    fn everything_in(dir: &Path) -> Vec<String> {
        let paths = super::entries(dir).unwrap();
        let names = paths.iter().map(|path| path.file_name().unwrap().display());
        names.map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_folder_that_cannot_be_made_leaves_nothing() {
        let above = tempfile::tempdir().unwrap();
        let make = |dir: &str, names: [&'static str; 2]| {
            let files = names.map(|name| (name.to_owned(), String::new()));
            make_folder(&above.path().join(dir), &files)
        };
        // A folder with a file's name in the way, and a file that cannot be written.
        assert!(make("not/yet/there", ["Cargo.toml", "Cargo.toml/x"]).is_err());
        assert_eq!(everything_in(above.path()), [""; 0]);
        // A link to nowhere is not followed.
        #[cfg(unix)]
        {
            let link = above.path().join("link");
            std::os::unix::fs::symlink("nowhere", link).unwrap();
            assert!(make("link", ["Cargo.toml", "src/main.rs"]).is_err());
            assert_eq!(everything_in(above.path()), ["link"]);
        }
    }

    #[test]
    fn files_are_made_all_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("old.py"), "mine").unwrap();
        let make = |names: [&str; 2]| {
            make_files(&names.map(|name| (at(name), "text".to_owned())))
        };
        // The second is there already; the second is no place for a file.
        assert!(make(["x.rs", "old.py"]).is_err());
        assert!(make(["p/x.rs", "old.py/x"]).is_err());
        assert_eq!(everything_in(dir.path()), ["old.py"]);
        assert_eq!(fs::read_to_string(at("old.py")).unwrap(), "mine");

        make(["x.rs", "p/x.py"]).unwrap();
        assert_eq!(everything_in(dir.path()), ["old.py", "p", "x.rs"]);
    }
}
