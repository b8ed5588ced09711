//! Making files so that either all of them are there or none.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

/// Whether the user has asked to stop, by Ctrl-C or a termination signal.
///
/// From the first call of [`Interrupt::listen`] on, these signals no longer end the
/// process: whoever makes files asks between two steps, and cleans up before it ends.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens to the signals from now on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        Ok(interrupt)
    }

    /// # Errors
    ///
    /// When the user has asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted; nothing was made");
        }
        Ok(())
    }
}

/// Makes the folder with these files, given by their paths inside of it, and the folders
/// above it that are missing.
///
/// The files are written to a hidden folder inside of `dir` and moved to their place when
/// all are there. `go_on` is asked before each step.
///
/// # Errors
///
/// When `dir` exists and is not an empty folder, when something cannot be written, or
/// with the error of `go_on`. Nothing is left behind then.
pub fn make_folder(
    dir: &Path,
    files: &[(&str, String)],
    go_on: &dyn Fn() -> Result<()>,
) -> Result<()> {
    if dir.symlink_metadata().is_ok() {
        let mut entries = fs::read_dir(dir)
            .with_context(|| format!("{} is not a folder", dir.display()))?;
        if entries.next().is_some() {
            bail!("{} is not empty; nothing there was touched", dir.display());
        }
    }
    let missing = missing_folders(dir);
    let mut moved: Vec<PathBuf> = Vec::new();
    let mut make = || -> Result<()> {
        go_on()?;
        fs::create_dir_all(dir)?;
        let new = new_folder_in(dir)?;
        for (name, text) in files {
            go_on()?;
            let path = new.path().join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, text)?;
        }
        for entry in fs::read_dir(new.path())? {
            go_on()?;
            let entry = entry?;
            let place = dir.join(entry.file_name());
            if place.symlink_metadata().is_ok() {
                bail!("{} has come into being meanwhile", place.display());
            }
            fs::rename(entry.path(), &place)?;
            moved.push(place);
        }
        Ok(())
    };
    let made = make();
    if made.is_err() {
        // What fails here is not told: the first error is. A folder that somebody else
        // has put something into stays.
        for path in &moved {
            let _ = if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
        }
        remove_if_empty(&missing);
    }
    made.with_context(|| format!("cannot make {}", dir.display()))
}

/// The folder and those above it, as far as they are missing; the deepest comes first.
fn missing_folders(dir: &Path) -> Vec<&Path> {
    dir.ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .collect()
}

/// Removes folders that were made for something that failed. One that is not there or
/// that somebody else has put something into is left alone.
fn remove_if_empty(folders: &[&Path]) {
    for folder in folders {
        let _ = fs::remove_dir(folder);
    }
}

/// A folder that is removed when it is dropped, with whatever is in it.
fn new_folder_in(dir: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(".new-").tempdir_in(dir)
}

/// Makes the new files and gives one existing file a new text.
///
/// `go_on` is asked before each step.
///
/// # Errors
///
/// When one of the new files exists already, when something cannot be written, or with
/// the error of `go_on`. Everything is then as it was.
pub fn make_files(
    new: &[(PathBuf, String)],
    changed: (&Path, &str),
    go_on: &dyn Fn() -> Result<()>,
) -> Result<()> {
    let parents = new.iter().filter_map(|(path, _)| path.parent());
    let missing: Vec<&Path> = parents.flat_map(missing_folders).collect();
    let mut made: Vec<&Path> = Vec::new();
    let mut make = || -> Result<()> {
        for (path, text) in new {
            go_on()?;
            let cannot = || format!("cannot make {}", path.display());
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(cannot)?;
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path)
                .with_context(cannot)?;
            made.push(path);
            file.write_all(text.as_bytes()).with_context(cannot)?;
        }
        go_on()?;
        replace(changed.0, changed.1)
    };
    let result = make();
    if result.is_err() {
        for path in made {
            // The first error is the one to tell.
            let _ = fs::remove_file(path);
        }
        remove_if_empty(&missing);
    }
    result
}

/// Gives a file a new text in one step, so that no reader ever sees a part of it. The
/// folders above it are made.
///
/// # Errors
///
/// When it cannot be written; it is then as it was.
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
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;

    use anyhow::{Result, bail};

    use super::{make_files, make_folder};

    fn files() -> Vec<(&'static str, String)> {
        vec![
            ("Cargo.toml", "a".to_owned()),
            ("src/main.rs", "b".to_owned()),
        ]
    }

    fn everything_in(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Fails at the step with this number and counts the steps.
    fn fail_at(step: usize, count: &Cell<usize>) -> impl Fn() -> Result<()> {
        move || {
            count.set(count.get() + 1);
            if count.get() == step + 1 {
                bail!("stopped");
            }
            Ok(())
        }
    }

    #[test]
    fn a_folder_is_made_whole_or_not_at_all() {
        let count = Cell::new(0);
        for step in 0.. {
            let above = tempfile::tempdir().unwrap();
            fs::create_dir(above.path().join("empty")).unwrap();
            for dir in ["new", "empty", "not/yet/there"] {
                count.set(0);
                let target = above.path().join(dir);
                let result = make_folder(&target, &files(), &fail_at(step, &count));
                if result.is_ok() {
                    assert_eq!(
                        fs::read_to_string(target.join("src/main.rs")).unwrap(),
                        "b"
                    );
                    assert_eq!(everything_in(&target), ["Cargo.toml", "src"]);
                } else {
                    assert_eq!(everything_in(above.path()), ["empty"], "step {step}");
                    assert_eq!(everything_in(&above.path().join("empty")), [""; 0]);
                }
            }
            if count.get() <= step {
                // All steps were taken: nothing but the folders is there.
                assert_eq!(everything_in(above.path()), ["empty", "new", "not"]);
                assert!(step >= 4, "there are more steps than {step}");
                return;
            }
        }
    }

    #[test]
    fn what_is_there_stays() {
        let above = tempfile::tempdir().unwrap();
        fs::write(above.path().join("file"), "mine").unwrap();
        for target in [above.path(), &above.path().join("file")] {
            assert!(make_folder(target, &files(), &|| Ok(())).is_err());
        }
        // A folder that cannot be made, as a file is in the way.
        assert!(
            make_folder(&above.path().join("file/x/y"), &files(), &|| Ok(())).is_err()
        );
        assert_eq!(everything_in(above.path()), ["file"]);
        assert_eq!(
            fs::read_to_string(above.path().join("file")).unwrap(),
            "mine"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_not_followed() {
        let above = tempfile::tempdir().unwrap();
        let link = above.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(make_folder(&link, &files(), &|| Ok(())).is_err());
        assert_eq!(everything_in(above.path()), ["link"]);
    }

    #[test]
    fn a_folder_that_fills_up_meanwhile_loses_nothing() {
        let above = tempfile::tempdir().unwrap();
        let target = above.path().join("target");
        fs::create_dir(&target).unwrap();
        let somebody_else = || Ok(fs::write(target.join("Cargo.toml"), "theirs")?);
        assert!(make_folder(&target, &files(), &somebody_else).is_err());
        assert_eq!(everything_in(&target), ["Cargo.toml"]);
        assert_eq!(
            fs::read_to_string(target.join("Cargo.toml")).unwrap(),
            "theirs"
        );
    }

    #[test]
    fn files_are_made_all_or_none() {
        let count = Cell::new(0);
        for step in 0.. {
            count.set(0);
            let dir = tempfile::tempdir().unwrap();
            let main = dir.path().join("main.rs");
            fs::write(&main, "before").unwrap();
            let new = [dir.path().join("x.rs"), dir.path().join("python/x.py")]
                .map(|path| (path, "text".to_owned()));
            let go_on = fail_at(step, &count);
            if make_files(&new, (&main, "after"), &go_on).is_ok() {
                assert_eq!(everything_in(dir.path()), ["main.rs", "python", "x.rs"]);
                assert_eq!(everything_in(&dir.path().join("python")), ["x.py"]);
                assert_eq!(fs::read_to_string(&main).unwrap(), "after");
                assert_eq!(step, 3);
                return;
            }
            assert_eq!(everything_in(dir.path()), ["main.rs"], "step {step}");
            assert_eq!(fs::read_to_string(&main).unwrap(), "before");
        }
    }

    #[test]
    fn a_file_that_exists_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (main, old) = (dir.path().join("main.rs"), dir.path().join("old.py"));
        fs::write(&main, "before").unwrap();
        fs::write(&old, "mine").unwrap();
        let new = [
            (dir.path().join("x.rs"), String::new()),
            (old.clone(), String::new()),
        ];
        assert!(make_files(&new, (&main, "after"), &|| Ok(())).is_err());
        assert_eq!(everything_in(dir.path()), ["main.rs", "old.py"]);
        assert_eq!(fs::read_to_string(&old).unwrap(), "mine");
        assert_eq!(fs::read_to_string(&main).unwrap(), "before");
    }

    /// A real signal, half-way: it does not end the process, and nothing is left.
    #[cfg(unix)]
    #[test]
    fn a_signal_half_way_leaves_nothing() {
        use super::Interrupt;

        let interrupt = Interrupt::listen().unwrap();
        let above = tempfile::tempdir().unwrap();
        let count = Cell::new(0);
        let go_on = || {
            count.set(count.get() + 1);
            if count.get() == 3 {
                signal_hook::low_level::raise(signal_hook::consts::SIGINT)?;
            }
            interrupt.check()
        };
        let error = make_folder(&above.path().join("new"), &files(), &go_on).unwrap_err();
        assert_eq!(count.get(), 3);
        assert!(format!("{error:#}").contains("interrupted; nothing was made"));
        assert_eq!(everything_in(above.path()), [""; 0]);
    }
}
