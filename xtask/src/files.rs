//! Making files so that either all of them are there or none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};

/// Reads a text file.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Makes the folder with these files, given by their paths inside of it, and the folders
/// above it that are missing. They are written to a hidden folder beside `dir`, which
/// then takes its name.
///
/// # Errors
///
/// When `dir` exists and is not an empty folder, when something cannot be written, or
/// when `accept`, which is asked at the end, refuses. Nothing is left behind then.
pub fn make_folder(
    dir: &Path,
    files: &[(&str, String)],
    accept: impl FnOnce() -> Result<()>,
) -> Result<()> {
    if dir.symlink_metadata().is_ok() {
        let mut entries = fs::read_dir(dir)
            .with_context(|| format!("{} is not a folder", dir.display()))?;
        if entries.next().is_some() {
            bail!("{} is not empty; nothing there was touched", dir.display());
        }
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    let missing: Vec<&Path> = above.ancestors().take_while(|dir| !exists(dir)).collect();
    let new = above.join(format!(".new-{}", process::id()));
    let make = || -> io::Result<()> {
        fs::create_dir_all(above)?;
        fs::create_dir(&new)?;
        for (name, text) in files {
            let path = new.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&new))?;
            fs::write(&path, text)?;
        }
        // Only an empty folder can be removed; any other stays, and is an error next.
        let _ = fs::remove_dir(dir);
        fs::rename(&new, dir)
    };
    let made = make()
        .with_context(|| format!("cannot make {}; nothing was made", dir.display()));
    let moved = made.is_ok();
    made.and_then(|()| accept()).inspect_err(|_| {
        // The first error is the one to tell. A folder that somebody else has put
        // something into stays.
        let _ = fs::remove_dir_all(if moved { dir } else { &new });
        missing.iter().for_each(|dir| drop(fs::remove_dir(dir)));
    })
}

fn exists(dir: &Path) -> bool {
    dir.as_os_str().is_empty() || dir.exists()
}

/// Makes the new files and gives one existing file a new text.
///
/// # Errors
///
/// When one of the new files exists already, or when something cannot be written.
/// Everything is then as it was.
pub fn make_files(new: &[(PathBuf, String)], changed: (&Path, &str)) -> Result<()> {
    let mut made: Vec<&Path> = Vec::new();
    let mut make = || -> Result<()> {
        for (path, text) in new {
            if path.symlink_metadata().is_ok() {
                bail!("there is a file {} already", path.display());
            }
            made.push(path);
            replace(path, text)?;
        }
        replace(changed.0, changed.1)
    };
    make().inspect_err(|_| {
        for path in made {
            let _ = fs::remove_file(path);
            // Succeeds only where the folder was made for the file.
            let _ = path.parent().map(fs::remove_dir);
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
        let paths = crate::inventory::entries(dir).unwrap();
        let names = paths.iter().map(|path| path.file_name().unwrap().display());
        names.map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_folder_that_cannot_be_made_leaves_nothing() {
        let above = tempfile::tempdir().unwrap();
        let make = |dir: &str, names: [&'static str; 2]| {
            let files = names.map(|name| (name, String::new()));
            make_folder(&above.path().join(dir), &files, || Ok(()))
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
        fs::write(at("main.rs"), "before").unwrap();
        fs::write(at("old.py"), "mine").unwrap();
        let make = |names: [&str; 2], changed: &str| {
            let new = names.map(|name| (at(name), "text".to_owned()));
            make_files(&new, (&at(changed), "after"))
        };
        // The second is there already; the second is no place for a file; the text that
        // changes cannot be written.
        assert!(make(["x.rs", "old.py"], "main.rs").is_err());
        assert!(make(["p/x.rs", "main.rs/x"], "main.rs").is_err());
        assert!(make(["x.rs", "p/x.py"], "main.rs/x").is_err());
        assert_eq!(everything_in(dir.path()), ["main.rs", "old.py"]);
        assert_eq!(fs::read_to_string(at("old.py")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(at("main.rs")).unwrap(), "before");

        make(["x.rs", "p/x.py"], "main.rs").unwrap();
        let all = ["main.rs", "old.py", "p", "x.rs"];
        assert_eq!(everything_in(dir.path()), all);
        assert_eq!(fs::read_to_string(at("main.rs")).unwrap(), "after");
    }
}
