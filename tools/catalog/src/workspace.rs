//! Finding the sections and their examples, without building them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Dependency, Edition, Metadata, MetadataCommand, Target};

use crate::files::read;
use crate::tables::{self, ApiName, Platform, Trap};
use crate::{WrongCall, nearest};

pub use crate::example::{Example, read_golden};

/// The crate that makes a package a section, by being depended upon.
const HARNESS: &str = "harness";

/// The workspace that the current directory is in.
#[derive(Debug)]
pub struct Workspace {
    /// Where `Cargo.lock` is.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    /// What a reader types before `find`: `cargo xtask`.
    pub command: &'static str,
    /// In the order of the workspace's members, which is the reading order.
    pub sections: Vec<Section>,
    /// Sections outside `crates`, which nobody reads or pastes: they are only checked, by
    /// name.
    pub probes: Vec<Section>,
    /// A section whose examples are modules for Python, in one library. They are read, copied
    /// and named as `interop/cancel`; their package's own tests check them.
    pub modules: Vec<Section>,
}

/// A binary crate that holds examples.
#[derive(Debug, Clone)]
pub struct Section {
    /// The package's name.
    pub name: String,
    /// The package's description.
    pub description: String,
    /// The package's folder.
    pub dir: PathBuf,
    /// Whether the package is a default member. If not, it is checked only by name.
    pub is_default: bool,
    /// The package's edition.
    pub edition: Edition,
    /// What the package depends on.
    pub dependencies: Vec<Dependency>,
    /// In reading order.
    pub examples: Vec<Example>,
}

impl Section {
    /// The examples that the source of a module uses.
    pub fn beside(&self, source: &str) -> impl Iterator<Item = &Example> {
        let uses = |it: &&Example| source.contains(&format!("crate::{}::", it.name));
        self.examples.iter().filter(uses)
    }
}

impl Workspace {
    /// Finds the sections through `cargo metadata`, and their examples in the text of
    /// each `main.rs`. Nothing is built.
    ///
    /// # Errors
    ///
    /// When there is no workspace with sections here, or when a section lists an example
    /// that has no source.
    pub fn open() -> Result<Self> {
        let root = described(Path::new("."))?.workspace_root;
        // In a member's folder, cargo takes that member alone for the default one.
        Self::of(described(root.as_std_path())?, "cargo xtask")
    }

    /// Finds the sections and examples of the workspace that cargo has described.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn of(metadata: Metadata, command: &'static str) -> Result<Self> {
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let (mut sections, mut probes, mut modules) =
            (Vec::new(), Vec::new(), Vec::new());
        for package in metadata.workspace_packages() {
            let uses_harness = package.dependencies.iter().any(|dep| dep.name == HARNESS);
            let is_section = uses_harness && package.targets.iter().any(Target::is_bin);
            let is_of_modules = package.targets.iter().any(Target::is_cdylib);
            if !is_section && !is_of_modules {
                continue;
            }
            let manifest = package.manifest_path.as_std_path();
            let dir = manifest.parent().context("a manifest is in a folder")?;
            let name = package.name.to_string();
            let root = if is_of_modules { "lib.rs" } else { "main.rs" };
            let listed = listed(&read(&dir.join("src").join(root))?);
            let examples = listed.iter().map(|listed| Example::new(&name, dir, listed));
            let is_read = dir.parent().is_some_and(|it| it.ends_with("crates"));
            let kind = match (is_of_modules, is_read) {
                (true, _) => &mut modules,
                (false, true) => &mut sections,
                (false, false) => &mut probes,
            };
            kind.push(Section {
                examples: examples.collect::<Result<_>>()?,
                description: package.description.clone().unwrap_or_default(),
                dir: dir.to_owned(),
                is_default: metadata.workspace_default_members.contains(&package.id),
                edition: package.edition,
                dependencies: package.dependencies.clone(),
                name,
            });
        }
        add_rows(&root, &mut sections)?;
        ensure!(
            !sections.is_empty(),
            "no package of {} is a section",
            root.display()
        );
        Ok(Self {
            target: metadata.target_directory.into_std_path_buf(),
            root,
            command,
            sections,
            probes,
            modules,
        })
    }

    /// Every section that readers read.
    pub fn read_sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().chain(&self.modules)
    }

    /// Every example that readers read, section by section.
    pub fn read_examples(&self) -> impl Iterator<Item = &Example> {
        self.read_sections().flat_map(|section| &section.examples)
    }

    /// Every example of the sections, section by section.
    pub fn examples(&self) -> impl Iterator<Item = &Example> {
        self.sections.iter().flat_map(|section| &section.examples)
    }

    /// Every example of this name, with or without its section's. Capital letters do not
    /// matter.
    fn named(&self, name: &str) -> Vec<&Example> {
        let name = name.to_lowercase();
        let others = self.probes.iter().chain(&self.modules);
        let others = others.flat_map(|section| &section.examples);
        let named: Vec<&Example> = self
            .examples()
            .filter(|example| example.id() == name || example.name == name)
            .chain(others.filter(|other| other.id() == name))
            .collect();
        if !named.is_empty() {
            return named;
        }
        let modules = self.modules.iter().flat_map(|section| &section.examples);
        modules.filter(|module| module.name == name).collect()
    }

    /// The example with this name, with or without its section's, or else every example
    /// whose `section/example` contains the filter. Capital letters do not matter. If
    /// there are none: a [`WrongCall`] with the nearest name.
    fn matching(&self, filter: &str) -> Result<Vec<&Example>> {
        let mut found = self.named(filter);
        let mut modules = self.modules.iter();
        if let [found] = found[..]
            && modules.any(|it| it.name == found.section)
        {
            refuse!("`cargo test -p {}` checks `{}`", found.section, found.id());
        }
        if found.is_empty() {
            let part = filter.to_lowercase();
            found.extend(
                self.examples()
                    .filter(|example| example.id().contains(&part)),
            );
            let probes = self.probes.iter().filter(|it| part.starts_with(&it.name));
            let probes = probes.flat_map(|section| &section.examples);
            found.extend(probes.filter(|probe| probe.id().contains(&part)));
        }
        if found.is_empty() {
            bail!(self.no_such_example("no example matches", filter));
        }
        Ok(found)
    }

    /// What `matching` finds, without sections that are no default members,
    /// unless the filter names the example, or names such a section and nothing else.
    pub fn selected(&self, filter: &str) -> Result<Vec<&Example>> {
        if let Ok(section) = self.section(filter)
            && !section.is_default
        {
            if let Some(module) = self.modules.iter().find(|it| it.name == section.name) {
                refuse!("`cargo test -p {}` checks its examples", module.name);
            }
            return Ok(section.examples.iter().collect());
        }
        let mut found = self.matching(filter)?;
        let is_example = !self.named(filter).is_empty();
        let filter = filter.to_lowercase();
        found.retain(|example| {
            let mut sections = self.sections.iter();
            let section = sections.find(|section| section.name == example.section);
            section.is_none_or(|section| {
                let is_named = is_example || filter.starts_with(&section.name);
                section.is_default || is_named
            })
        });
        Ok(found)
    }

    /// The example `SECTION/EXAMPLE`, or `EXAMPLE` where only one section has it.
    pub fn find(&self, name: &str) -> Option<&Example> {
        match self.named(name)[..] {
            [found] => Some(found),
            _ => None,
        }
    }

    /// What [`find`](Self::find) finds, or else a [`WrongCall`] with the nearest name.
    pub fn example(&self, name: &str) -> Result<&Example> {
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        if let Ok(section) = self.section(name) {
            let names = section.examples.iter().map(|example| example.name.clone());
            let names = names.collect::<Vec<String>>().join(", ");
            refuse!("`{name}` is a section; name one of its examples: {names}");
        }
        let found = self.named(name);
        if found.is_empty() {
            bail!(self.no_such_example("no example", name));
        }
        let ids = found.iter().map(|example| example.id());
        let ids = ids.collect::<Vec<String>>().join(" or ");
        refuse!("several sections have an example `{name}`: say {ids}")
    }

    /// The section of this name, or a [`WrongCall`] with the names that there are.
    pub fn section(&self, name: &str) -> Result<&Section> {
        let lower = name.to_lowercase();
        let mut sections = self.read_sections().chain(&self.probes);
        let found = sections.find(|section| section.name == lower);
        found.ok_or_else(|| {
            let names = self.read_sections().map(|section| section.name.as_str());
            let names = names.collect::<Vec<&str>>().join(", ");
            WrongCall(format!("no section `{name}`; there are: {names}")).into()
        })
    }

    /// An error that names what was asked for and says what comes near to it.
    fn no_such_example(&self, what: &str, wrong: &str) -> WrongCall {
        // The right name, with the section of another example.
        let name = wrong.rsplit_once('/').map(|(_, name)| name);
        if let Some(found) = name.and_then(|name| self.find(name)) {
            let id = found.id();
            return WrongCall(format!("{what} `{wrong}`; did you mean `{id}`?"));
        }
        let ids: Vec<String> = self.read_examples().map(Example::id).collect();
        let names = self.examples().map(|example| example.name.as_str());
        let near = nearest(wrong, ids.iter().map(String::as_str).chain(names));
        WrongCall(match near.map(|near| self.named(near)[0].id()) {
            Some(id) => format!("{what} `{wrong}`; did you mean `{id}`?"),
            None => {
                let list = format!("`{} list`", self.command);
                format!("{what} `{wrong}`; {list} shows which there are")
            }
        })
    }

    /// The path as seen from the workspace's root, with forward slashes.
    pub fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        path.display().to_string().replace('\\', "/")
    }
}

/// Adds what the tables say of the examples.
fn add_rows(root: &Path, sections: &mut [Section]) -> Result<()> {
    let table: Vec<(String, ApiName)> = tables::rows(root)?;
    for (_, row) in table {
        let examples = sections.iter_mut().flat_map(|it| &mut it.examples);
        for example in examples.filter(|it| row.examples.contains(&it.id())) {
            example.also_shows.push(row.name.clone());
        }
    }
    let numbers: Vec<(String, Trap)> = tables::rows(root)?;
    let platforms: Vec<(String, Platform)> = tables::rows(root)?;
    for example in sections.iter_mut().flat_map(|it| &mut it.examples) {
        example.number_traps(&numbers);
        let mut rows = platforms.iter();
        let own = rows.find(|(_, row)| row.example == [example.id()]);
        example.platform = own.map(|(_, row)| row.clone());
    }
    Ok(())
}

/// What cargo says of the workspace of this folder.
fn described(folder: &Path) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    let metadata = command.current_dir(folder).no_deps().exec();
    metadata.map_err(|error| match error {
        cargo_metadata::Error::CargoMetadata { stderr } => {
            let said = stderr.trim().trim_start_matches("error: ");
            anyhow::anyhow!("cargo finds no workspace to work on: {said}")
        }
        other => anyhow::Error::new(other).context("cannot run cargo metadata"),
    })
}

/// Returns the examples that a section's `main.rs` lists, each behind its heading: the
/// `mod` lines, and the comments above them.
fn listed(main: &str) -> Vec<(String, String)> {
    let (mut heading, mut listed) = ("", Vec::new());
    for line in main.lines() {
        if let Some(text) = line.strip_prefix("// ") {
            heading = text;
        } else if let Some(name) = line
            .strip_prefix("mod ")
            .and_then(|it| it.strip_suffix(';'))
            && !["demos", "tests"].contains(&name)
        {
            listed.push((heading.to_owned(), name.to_owned()));
        }
    }
    listed
}

/// The cargo that called us, or the one on the path.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
