//! rustc, called with the libraries that cargo has built: a file is compiled alone, without
//! a separate package, and nothing else is compiled for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cargo_metadata::diagnostic::{Diagnostic, DiagnosticLevel};
use cargo_metadata::semver::Version;
use cargo_metadata::{Artifact, Dependency, Message};
use catalog::dependencies::code_name;
use catalog::platforms::OLDEST;
use catalog::workspace::{Section, Workspace, cargo};

/// What compiles a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// The compiler itself.
    Rustc,
    /// With clippy's lints.
    Clippy,
    /// As [an older project](OLDEST) compiles it: what its Rust lacks is an error of clippy.
    Oldest,
}

/// What cargo has built.
#[derive(Debug, Default)]
pub struct Built {
    /// The executables, by the names of their packages.
    pub binaries: BTreeMap<String, PathBuf>,
    /// `-L` for rustc: where the libraries find what they need themselves.
    folders: BTreeSet<String>,
    libraries: Vec<Artifact>,
}

impl Built {
    /// Builds the sections of the examples that the filter selects.
    ///
    /// # Errors
    ///
    /// When a section does not build; cargo has then said why on standard error.
    pub fn new(workspace: &Workspace, filter: &str) -> Result<Self> {
        let examples = workspace.selected(filter)?.into_iter();
        let mut sections: Vec<&str> = examples.map(|it| it.section.as_str()).collect();
        sections.dedup();
        let mut command = Command::new(cargo());
        command.args(["build", "--message-format=json-render-diagnostics"]);
        if filter.is_empty() {
            // What `cargo test` builds: otherwise half of the libraries would be compiled
            // again, with fewer features.
            command.args(["--bins", "--tests"]);
        } else {
            command.args(sections.iter().flat_map(|section| ["--package", section]));
        }
        if !io::stderr().is_terminal() {
            // Nobody watches the progress; warnings and errors are told all the same.
            command.arg("--quiet");
        }
        command
            .current_dir(&workspace.root)
            .stderr(Stdio::inherit());
        let output = command.output().context("cannot run cargo")?;
        ensure!(
            output.status.success(),
            "{} does not build; cargo says why",
            sections.join(", ")
        );
        Self::parse(&output.stdout)
    }

    /// Returns the executable of a section.
    ///
    /// # Errors
    ///
    /// When it was not built.
    pub fn binary(&self, section: &str) -> Result<&Path> {
        let found = self.binaries.get(section);
        let found = found.with_context(|| format!("{section} was not built"))?;
        Ok(found)
    }

    /// Reads what cargo says in JSON while it builds.
    ///
    /// # Errors
    ///
    /// When it is not what cargo says.
    pub fn parse(said: &[u8]) -> Result<Self> {
        let mut built = Self::default();
        for message in Message::parse_stream(said) {
            match message? {
                Message::CompilerArtifact(artifact) => {
                    let files =
                        artifact.filenames.iter().filter_map(|file| file.parent());
                    let folders = files.map(|folder| format!("dependency={folder}"));
                    built.folders.extend(folders);
                    let Some(binary) = artifact.executable.clone() else {
                        built.libraries.push(artifact);
                        continue;
                    };
                    if artifact.target.is_bin() && !artifact.profile.test {
                        let name = artifact.target.name.clone();
                        built.binaries.insert(name, binary.into_std_path_buf());
                    }
                }
                Message::BuildScriptExecuted(script) => {
                    let paths = script.linked_paths.into_iter();
                    built.folders.extend(paths.map(String::from));
                }
                _ => {}
            }
        }
        Ok(built)
    }

    /// Returns the library that the dependency names. Of several, as for build scripts and
    /// for programs, it is the one with most features.
    fn library(&self, dependency: &Dependency) -> Option<PathBuf> {
        let is_meant = |artifact: &&Artifact| {
            let version = artifact.package_id.repr.rsplit(['@', '#']).next();
            let Some(Ok(version)) = version.map(Version::parse) else {
                return false;
            };
            artifact.target.name.replace('-', "_") == dependency.name.replace('-', "_")
                && dependency.req.matches(&version)
        };
        let libraries = self.libraries.iter().filter(is_meant);
        let library = libraries.max_by_key(|artifact| artifact.features.len())?;
        let mut files = library.filenames.iter();
        let file = files.find(|file| {
            ["rlib", "so", "dll", "dylib"]
                .map(Some)
                .contains(&file.extension())
        })?;
        Some(file.clone().into_std_path_buf())
    }

    /// Compiles the file alone, with those of the section's crates that `only` names, or
    /// with all of them. Returns the errors; with `only`, warnings are errors.
    ///
    /// `out` is written unless it is newer than the file and its libraries: a program, or
    /// with the ending `.rmeta` what rustc knows of it.
    ///
    /// # Errors
    ///
    /// When the compiler cannot be run, or fails without naming a place in the file.
    pub fn compile(
        &self,
        compiler: Compiler,
        section: &Section,
        file: &Path,
        only: Option<&BTreeSet<String>>,
        out: &Path,
    ) -> Result<Vec<Diagnostic>> {
        let crates = section.dependencies.iter();
        let named = crates.map(|dependency| (code_name(dependency), dependency));
        let named = named.filter(|(name, _)| only.is_none_or(|only| only.contains(name)));
        let libraries: BTreeMap<String, PathBuf> = named
            .filter_map(|(name, dependency)| Some((name, self.library(dependency)?)))
            .collect();
        let sources = libraries.values().map(PathBuf::as_path).chain([file]);
        if out.exists() && is_newer(out, sources)? {
            return Ok(Vec::new());
        }
        fs::create_dir_all(out.with_file_name(""))?;
        if out.exists() {
            fs::remove_file(out)?;
        }
        let (name, edition) = match compiler {
            Compiler::Rustc => ("rustc", section.edition.as_str()),
            Compiler::Clippy => ("clippy-driver", section.edition.as_str()),
            Compiler::Oldest => ("clippy-driver", OLDEST.0),
        };
        let mut rustc = Command::new(name);
        rustc
            .arg(file)
            .args(["--edition", edition, "--crate-type=bin"]);
        if compiler == Compiler::Oldest {
            rustc.args(["-A", "clippy::all", "-D", "clippy::incompatible_msrv"]);
            rustc.env("CARGO_PKG_RUST_VERSION", OLDEST.1);
        }
        rustc.args(["--error-format=json", "-C", "debuginfo=0"]);
        // What cargo tells a package of itself.
        rustc
            .env("CARGO_PKG_NAME", "copy")
            .env("CARGO_PKG_VERSION", "0.1.0")
            .env("CARGO_PKG_DESCRIPTION", "A copy")
            .env("CARGO_MANIFEST_DIR", out.with_file_name(""))
            .env("CLIPPY_CONF_DIR", &section.dir);
        if only.is_some() {
            rustc.args(["-D", "warnings"]);
        }
        let is_program = out.extension().is_none_or(|extension| extension != "rmeta");
        rustc.args((!is_program).then_some("--emit=metadata"));
        rustc.arg("-o").arg(out);
        for folder in &self.folders {
            rustc.arg("-L").arg(folder);
        }
        for (name, library) in &libraries {
            rustc
                .arg("--extern")
                .arg(format!("{name}={}", library.display()));
        }
        errors(&mut rustc)
    }
}

/// Runs the compiler, and returns the errors in the file.
fn errors(rustc: &mut Command) -> Result<Vec<Diagnostic>> {
    let compiler = rustc.get_program().display().to_string();
    let output = rustc.output();
    let output = output.with_context(|| format!("cannot run {compiler}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let mut errors = Vec::new();
    for line in said.lines() {
        let diagnostic: Diagnostic =
            serde_json::from_str(line).with_context(|| line.to_owned())?;
        if diagnostic.level == DiagnosticLevel::Error && !diagnostic.spans.is_empty() {
            errors.push(diagnostic);
        }
    }
    ensure!(
        !errors.is_empty() || output.status.success(),
        "{compiler}: {said}"
    );
    Ok(errors)
}

/// Returns the errors as rustc shows them.
pub fn shown(errors: &[Diagnostic]) -> String {
    let shown = errors.iter().filter_map(|it| it.rendered.as_deref());
    shown.collect()
}

fn is_newer<'a>(made: &Path, than: impl Iterator<Item = &'a Path>) -> io::Result<bool> {
    let modified = |path: &Path| path.metadata()?.modified();
    let made = modified(made)?;
    for path in than {
        if modified(path)? >= made {
            return Ok(false);
        }
    }
    Ok(true)
}
