//! Finding the sections and their examples.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::semver::Version;
use cargo_metadata::{Dependency, Edition, Message, MetadataCommand, TargetKind};

use crate::WrongCall;
use crate::header::{self, Header};
use crate::transcript::Transcript;

/// The crate that makes a package a section, by being depended upon.
const RUNNER: &str = "example-runner";

/// The workspace that the current directory is in, with its sections built.
#[derive(Debug)]
pub struct Workspace {
    /// Where `Cargo.lock` is.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    /// In the order of their names.
    pub sections: Vec<Section>,
}

/// A binary crate that holds examples.
#[derive(Debug, Clone)]
pub struct Section {
    /// The package's name.
    pub name: String,
    /// The package's folder.
    pub dir: PathBuf,
    /// The package's edition.
    pub edition: Edition,
    /// The oldest Rust that the package compiles with.
    pub rust_version: Option<Version>,
    /// What the package depends on.
    pub dependencies: Vec<Dependency>,
    /// In reading order.
    pub examples: Vec<Example>,
}

/// One example and the files that belong to it, whether or not they exist.
#[derive(Debug, Clone)]
pub struct Example {
    /// The section's name.
    pub section: String,
    /// The example's own name.
    pub name: String,
    /// The section's binary.
    pub binary: PathBuf,
    /// The Rust program.
    pub source: PathBuf,
    /// The asyncio program.
    pub twin: PathBuf,
    /// The transcript that both must produce.
    pub golden: PathBuf,
    /// What the source says about itself.
    pub header: Header,
    /// Whether the section lists it as one whose `run` is `Send`.
    pub listed_send: bool,
    /// What is wrong with the header.
    pub header_problems: Vec<String>,
}

impl Example {
    /// `section/example`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.section, self.name)
    }

    /// Reads the golden.
    ///
    /// # Errors
    ///
    /// A message for the user when there is none, or when it is not well-formed.
    pub fn read_golden(&self) -> Result<Transcript, String> {
        let path = &self.golden;
        if !path.exists() {
            return Err(format!("there is no golden {}", path.display()));
        }
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Transcript::parse_golden(&text)
            .map_err(|problem| format!("{}: {problem}", path.display()))
    }
}

impl Workspace {
    /// Finds the sections through `cargo metadata`, builds them, and asks each for its
    /// `--list`. What cargo has to say goes to standard error.
    ///
    /// # Errors
    ///
    /// When there is no workspace here, when it has no sections, or when they do not
    /// build.
    pub fn open() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .context("cargo metadata finds no workspace here")?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let mut sections = Vec::new();
        for package in metadata.workspace_packages() {
            let uses_runner = package.dependencies.iter().any(|dep| dep.name == RUNNER);
            let is_binary = package
                .targets
                .iter()
                .any(|target| target.kind.contains(&TargetKind::Bin));
            if uses_runner && is_binary {
                let manifest = package.manifest_path.as_std_path();
                let dir = manifest.parent().context("a manifest is in a folder")?;
                sections.push(Section {
                    name: package.name.to_string(),
                    dir: dir.to_owned(),
                    edition: package.edition,
                    rust_version: package.rust_version.clone(),
                    dependencies: package.dependencies.clone(),
                    examples: Vec::new(),
                });
            }
        }
        ensure!(
            !sections.is_empty(),
            "no package of {} is a section",
            root.display()
        );
        sections.sort_by(|a, b| a.name.cmp(&b.name));
        let executables = build(sections.iter().map(|section| section.name.as_str()))?;
        for section in &mut sections {
            let binary = executables.get(&section.name).with_context(|| {
                format!("cargo built no executable for {}", section.name)
            })?;
            section.examples = list(&root, &section.name, &section.dir, binary)?;
        }
        Ok(Self {
            target: metadata.target_directory.into_std_path_buf(),
            root,
            sections,
        })
    }

    /// Every example, section by section.
    pub fn examples(&self) -> impl Iterator<Item = &Example> {
        self.sections.iter().flat_map(|section| &section.examples)
    }

    /// The examples whose `section/example` contains the filter.
    ///
    /// # Errors
    ///
    /// [`WrongCall`] with the nearest name if there are none.
    pub fn matching(&self, filter: &str) -> Result<Vec<&Example>> {
        let found: Vec<&Example> = self
            .examples()
            .filter(|example| example.id().contains(filter))
            .collect();
        if found.is_empty() {
            bail!(self.no_such_example("no example matches", filter));
        }
        Ok(found)
    }

    /// The example `SECTION/EXAMPLE`.
    ///
    /// # Errors
    ///
    /// [`WrongCall`] with the nearest name if there is none.
    pub fn example(&self, id: &str) -> Result<&Example> {
        match self.examples().find(|example| example.id() == id) {
            Some(example) => Ok(example),
            None => bail!(self.no_such_example("no example", id)),
        }
    }

    /// The section of this name.
    ///
    /// # Errors
    ///
    /// [`WrongCall`] with the names that there are.
    pub fn section(&self, name: &str) -> Result<&Section> {
        let found = self.sections.iter().find(|section| section.name == name);
        found.ok_or_else(|| {
            let names = self.sections.iter().map(|section| section.name.as_str());
            let names = names.collect::<Vec<&str>>().join(", ");
            WrongCall(format!("no section `{name}`; there are: {names}")).into()
        })
    }

    /// An error that names what was asked for and suggests the nearest example.
    fn no_such_example(&self, what: &str, wrong: &str) -> WrongCall {
        let nearest = self
            .examples()
            .map(|example| {
                let (id, name) = (example.id(), &example.name);
                let similarity = strsim::jaro_winkler(wrong, &id)
                    .max(strsim::jaro_winkler(wrong, name));
                (similarity, id)
            })
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        WrongCall(match nearest {
            Some((similarity, id)) if similarity > 0.7 => {
                format!("{what} `{wrong}`; did you mean `{id}`?")
            }
            _ => format!("{what} `{wrong}`; `cargo xtask list` shows which there are"),
        })
    }

    /// The path as seen from the workspace's root, with forward slashes.
    pub fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        path.display().to_string().replace('\\', "/")
    }
}

/// Asks a section for its examples.
fn list(root: &Path, section: &str, dir: &Path, binary: &Path) -> Result<Vec<Example>> {
    let output = Command::new(binary)
        .args(["--list", "--tsv"])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    ensure!(
        output.status.success(),
        "`{section} --list` failed: {}",
        output.status
    );
    let stdout = String::from_utf8(output.stdout)?;
    let golden = root.join("tests/golden").join(section);
    let mut examples = Vec::new();
    for line in stdout.lines() {
        let mut columns = line.split('\t');
        let (Some(name), Some(_summary), Some(send)) =
            (columns.next(), columns.next(), columns.next())
        else {
            bail!("`{section} --list` printed a line that it should not: `{line}`");
        };
        let name = name.to_owned();
        let source = dir.join("src").join(format!("{name}.rs"));
        let text = fs::read_to_string(&source)
            .with_context(|| format!("cannot read {}", source.display()))?;
        let (header, header_problems) = header::parse(&text);
        examples.push(Example {
            section: section.to_owned(),
            binary: binary.to_owned(),
            source,
            twin: dir.join("python").join(format!("{name}.py")),
            golden: golden.join(format!("{name}.txt")),
            header,
            header_problems,
            listed_send: send == "Send",
            name,
        });
    }
    Ok(examples)
}

/// Builds the packages and returns the path of each one's executable.
///
/// # Errors
///
/// When cargo fails; it has then said why on standard error.
pub fn build<'a>(
    packages: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = Command::new(cargo());
    command.args(["build", "--message-format=json-render-diagnostics"]);
    if !io::stderr().is_terminal() {
        // Nobody watches the progress; warnings and errors are told all the same.
        command.arg("--quiet");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo's output is not piped")?;
    let mut executables = BTreeMap::new();
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message?
            && let Some(executable) = artifact.executable
        {
            executables.insert(artifact.target.name, executable.into_std_path_buf());
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    ensure!(status.success(), "the sections do not build");
    Ok(executables)
}

/// The cargo that called us, or the one on the path.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
