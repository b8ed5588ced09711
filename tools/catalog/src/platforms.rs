//! `docs/platforms.tsv`: the systems on which each example printed its golden, those for which
//! it only compiles, and what it needs. `cargo xtask check-all --record` writes it.

use anyhow::{Context as _, Result};
use cargo_metadata::semver::Version;
use cargo_metadata::{MetadataCommand, Package};

use crate::dependencies;
use crate::tables::{self, Platform, Row};
use crate::workspace::{Example, Workspace};

/// The systems, in the order in which they are named.
pub const SYSTEMS: [&str; 3] = ["Linux", "Windows", "macOS"];

/// The edition and the Rust of an older project: with these, each example compiles that does
/// not say otherwise.
pub const OLDEST: (&str, &str) = ("2021", "1.85.0");

/// Returns the Rust that the example itself needs, as `Platforms:` says.
pub fn own_rust(example: &Example) -> Option<Version> {
    let texts = example.header.labelled("Platforms");
    let minor = |text: &str| {
        let (_, after) = text.split_once("Rust 1.")?;
        let end = after.find(|c: char| !c.is_ascii_digit());
        let digits = &after[..end.unwrap_or(after.len())];
        let add = |minor: u64, digit: u8| 10 * minor + u64::from(digit - b'0');
        (!digits.is_empty()).then(|| digits.bytes().fold(0, add))
    };
    let minors = texts.filter_map(|it| minor(&it.text));
    minors.max().map(|minor| Version::new(1, minor, 0))
}

/// What the examples need: by the packages of `Cargo.lock`.
#[derive(Debug)]
pub struct Needs(Vec<Package>);

impl Needs {
    /// Reads what the packages ask for.
    ///
    /// # Errors
    ///
    /// When cargo cannot say it.
    pub fn read(workspace: &Workspace) -> Result<Self> {
        let mut command = MetadataCommand::new();
        let metadata = command.current_dir(&workspace.root).exec();
        Ok(Self(metadata.context("cargo metadata")?.packages))
    }

    /// Returns the edition and the Rust that the example and its crates need, and the crate
    /// that needs the newest one: `edition 2021, Rust 1.89 (rusqlite)`.
    ///
    /// # Errors
    ///
    /// When the example cannot be read, or is not Rust.
    pub fn of(&self, workspace: &Workspace, example: &Example) -> Result<String> {
        let section = workspace.section(&example.section)?;
        let used = dependencies::used(section, &example.pasted()?)?;
        let (edition, oldest) = OLDEST;
        let own = own_rust(example).map_or_else(|| Version::parse(oldest), Ok)?;
        let of_crates = used.values().filter_map(|(wanted, _)| {
            let is_it =
                |it: &&Package| it.name == wanted.name && wanted.req.matches(&it.version);
            let rust = self.0.iter().find(is_it)?.rust_version.as_ref()?;
            (*rust > own).then_some((rust, wanted.name.as_str()))
        });
        let (rust, by) = of_crates.max().map_or_else(
            || (&own, String::new()),
            |(rust, name)| (rust, format!(" ({name})")),
        );
        Ok(format!(
            "edition {edition}, Rust {}.{}{by}",
            rust.major, rust.minor
        ))
    }
}

/// Returns what is wrong with the table.
///
/// # Errors
///
/// When the table or an example cannot be read.
pub fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let rows: Vec<(String, Platform)> = tables::rows(&workspace.root)?;
    let needs = Needs::read(workspace)?;
    let mut problems = Vec::new();
    for (place, row) in &rows {
        let id = row.example.join(" ");
        let rows = rows.iter().filter(|(_, it)| it.example == row.example);
        // The links of all tables name a row of no example.
        if rows.count() > 1 {
            problems.push(format!("{place}: `{id}` has two rows"));
        }
    }
    for section in &workspace.sections {
        for example in &section.examples {
            let id = example.id();
            let Some(row) = &example.platform else {
                problems.push(format!("{}: no row of `{id}`", Platform::PATH));
                continue;
            };
            // The others need servers.
            if section.is_default && !row.golden.contains(&"Linux".to_owned()) {
                problems.push(format!("{id}: its golden was not met on Linux"));
            }
            let needed = needs.of(workspace, example)?;
            if row.needs != needed {
                problems.push(format!("{id}: it needs {needed}, not {}", row.needs));
            }
            // Those that need servers were not run there.
            let differs =
                section.is_default && row.compiled.contains(&"Windows".to_owned());
            if differs && !example.differs_on_windows() {
                problems.push(format!(
                    "{id}: its golden was not met on Windows, and no `Platforms:` says why"
                ));
            }
        }
    }
    Ok(problems)
}
