//! Examples that were copied out of the workspace.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use xtask::check::runtime;
use xtask::workspace::{Example, Workspace, cargo, read_golden};
use xtask::{copy, process};

use crate::fixture::write;

/// After which time a copy is killed.
const LIMIT: Duration = Duration::from_secs(60);

/// What the manifests of copies name that deal with the system or use HTTP. They take
/// longer to compile than others, and need other sets of Tokio's features.
const IO: [&str; 5] = ["\"fs\"", "\"net\"", "\"process\"", "\"signal\"", "axum ="];

/// A folder of projects that `xtask copy` would make, one for each example. All such
/// folders share two target folders, so that dependencies compile once for each set of
/// features. Cargo builds one project at a time in a target folder, and what a project
/// depends on is mostly one crate upon another; so one folder would leave cores idle.
#[derive(Debug)]
pub struct Copies {
    name: &'static str,
    dir: PathBuf,
    /// The target folder of copies that name something of [`IO`], and that of all others.
    targets: [PathBuf; 2],
}

impl Copies {
    /// The folder `name` below `tmp`, which is `CARGO_TARGET_TMPDIR`.
    pub fn new(tmp: &str, name: &'static str) -> Self {
        let tmp = Path::new(tmp);
        Self {
            name,
            dir: tmp.join(name),
            targets: ["copies-io-target", "copies-target"].map(|name| tmp.join(name)),
        }
    }

    /// Whether the example's copy names something of [`IO`].
    pub fn is_io(workspace: &Workspace, example: &Example) -> bool {
        // What is wrong with an example is told when it is copied.
        copy::dependency_block(workspace, example).is_ok_and(|block| names_io(&block))
    }

    /// Copies the example, compiles it without warnings, runs it, and compares what it
    /// prints with the text of its golden.
    ///
    /// `change` is given each file of the project, as path and text, and returns the text
    /// to write: that is how the tests show that what is wrong is found.
    ///
    /// # Errors
    ///
    /// What went wrong, for the user.
    pub fn check(
        &self,
        workspace: &Workspace,
        example: &Example,
        change: impl Fn(&str, String) -> String,
    ) -> Result<(), String> {
        let program = self.build(workspace, example, change)?;
        Self::run(example, program)
    }

    /// Runs a copy and compares what it prints with the text of the example's golden.
    ///
    /// # Errors
    ///
    /// What went wrong, for the user.
    pub fn run(example: &Example, program: PathBuf) -> Result<(), String> {
        let golden = read_golden(&example.golden)?;
        let finished = runtime()
            .and_then(|runtime| {
                Ok(runtime.block_on(process::run(process::limited(program), LIMIT))?)
            })
            .map_err(|error| format!("{error:#}"))?;
        let as_meant = match (&example.header.exit, &finished.status) {
            (Some(text), Ok(status)) => {
                status.code() == Some(1) && finished.stderr.contains(text)
            }
            _ => finished.problem().is_none(),
        };
        if !as_meant {
            let problem = finished.problem().unwrap_or_default();
            return Err(format!("{problem}\n{}", finished.stderr));
        }
        golden.match_text(&finished.stdout)
    }

    /// Copies the example, compiles it and its tests without warnings, and runs the tests.
    /// Files that do not change are not written, so that nothing is compiled anew without
    /// need. Returns the program.
    ///
    /// # Errors
    ///
    /// What went wrong, for the user.
    pub fn build(
        &self,
        workspace: &Workspace,
        example: &Example,
        change: impl Fn(&str, String) -> String,
    ) -> Result<PathBuf, String> {
        // Examples of two sections may have the same name; in one target folder their
        // packages must not.
        let name = format!("{}-{}-{}", self.name, example.section, example.name);
        let dir = self.dir.join(&name);
        let files = copy::project(workspace, example, &name)
            .map_err(|error| format!("{error:#}"))?;
        let (mut manifest, mut source) = (String::new(), String::new());
        for (path, text) in files {
            let text = change(path, text);
            write(&dir.join(path), &text);
            match path {
                "Cargo.toml" => manifest = text,
                _ => source = text,
            }
        }
        let [io, others] = &self.targets;
        let target = if names_io(&manifest) { io } else { others };
        // The versions that the workspace has, which are at hand.
        let lock = fs::read_to_string(workspace.root.join("Cargo.lock"))
            .map_err(|error| format!("Cargo.lock: {error}"))?;
        write(&dir.join("Cargo.lock"), &lock);
        let has_tests = source.contains("#[cfg(test)]");
        // Cargo builds one project at a time in a target folder, and runs the tests of
        // one while it builds the next.
        for command in if has_tests {
            &["build", "test"][..]
        } else {
            &["build"]
        } {
            let output = Command::new(cargo())
                .args([command, "--quiet", "--offline"])
                .current_dir(&dir)
                .env("CARGO_TARGET_DIR", target)
                .env("CARGO_PROFILE_DEV_DEBUG", "false")
                // Each is compiled once: nothing has to be kept for a next time.
                .env("CARGO_INCREMENTAL", "0")
                .env("RUSTFLAGS", "-D warnings")
                .output()
                .map_err(|error| format!("cannot run cargo: {error}"))?;
            if !output.status.success() {
                let stdout = String::from_utf8_lossy(&output.stdout);
                let stderr = String::from_utf8_lossy(&output.stderr);
                return Err(format!("cargo {command} failed\n{stdout}{stderr}"));
            }
        }
        Ok(target.join("debug").join(format!("{name}{EXE_SUFFIX}")))
    }
}

/// Whether the manifest names something of [`IO`].
fn names_io(manifest: &str) -> bool {
    IO.iter().any(|name| manifest.contains(name))
}
