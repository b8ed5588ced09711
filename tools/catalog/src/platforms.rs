//! `docs/platforms.tsv`: the systems on which each example printed its golden, those for which
//! it only compiles, and what it needs. `cargo xtask check-all --record` writes it.

use anyhow::{Context as _, Result};
use cargo_metadata::semver::Version;
use cargo_metadata::{MetadataCommand, Package};

use crate::dependencies;
use crate::workspace::{Example, Workspace};

/// The systems, in the order in which they are named.
pub const SYSTEMS: [&str; 3] = ["Linux", "Windows", "macOS"];

/// The edition and the Rust of an older project: with these, each example compiles that does
/// not say otherwise.
pub const OLDEST: (&str, &str) = ("2021", "1.85.0");

/// Returns the Rust that the example itself needs, as `Platforms:` says.
pub fn own_rust(example: &Example) -> Option<Version> {
    let texts = example.header.labelled("Platforms");
    let minors = texts.filter_map(|it| {
        let (_, after) = it.text.split_once("Rust 1.")?;
        after.split(|c: char| !c.is_ascii_digit()).next()
    });
    let newest = minors.flat_map(str::parse).max();
    newest.map(|minor| Version::new(1, minor, 0))
}

/// Returns the text of the table. `tried` says of an example on which system it was compiled,
/// and, if it ran, whether it printed its golden there; all else stays.
///
/// # Errors
///
/// When cargo does not say what the crates need, or an example cannot be read.
pub fn table(
    workspace: &Workspace,
    tried: impl Fn(&Example) -> Option<(&'static str, Option<bool>)>,
) -> Result<String> {
    let mut command = MetadataCommand::new();
    let metadata = command.current_dir(&workspace.root).exec();
    let packages = metadata.context("cargo metadata")?.packages;
    let mut text = "example\tgolden\tcompiled\tneeds\n".to_owned();
    for example in workspace.examples() {
        let row = example.platform.as_ref();
        let mut golden = row.map_or(Vec::new(), |row| row.golden.clone());
        let mut compiled = row.map_or(Vec::new(), |row| row.compiled.clone());
        if let Some((system, is_met)) = tried(example) {
            let is_met = is_met.unwrap_or(golden.iter().any(|it| it == system));
            golden.retain(|it| it != system);
            compiled.retain(|it| it != system);
            let met_or_not = if is_met { &mut golden } else { &mut compiled };
            met_or_not.push(system.to_owned());
        }
        let [golden, compiled] = [golden, compiled].map(|own| {
            let own = SYSTEMS
                .iter()
                .filter(|it| own.iter().any(|own| own == **it));
            own.copied().collect::<Vec<&str>>().join(" ")
        });
        let needs = needs(workspace, &packages, example)?;
        text += &format!("{}\t{golden}\t{compiled}\t{needs}\n", example.id());
    }
    Ok(text)
}

/// Returns the edition and the Rust that the example and its crates need, and the crate
/// that needs the newest one: `edition 2021, Rust 1.89 (rusqlite)`.
fn needs(
    workspace: &Workspace,
    packages: &[Package],
    example: &Example,
) -> Result<String> {
    let section = workspace.section(&example.section)?;
    let used = dependencies::used(section, &example.pasted()?)?;
    let (edition, oldest) = OLDEST;
    let own = own_rust(example).map_or_else(|| Version::parse(oldest), Ok)?;
    let of_crates = used.values().filter_map(|(wanted, _)| {
        let is_it =
            |it: &&Package| it.name == wanted.name && wanted.req.matches(&it.version);
        let rust = packages.iter().find(is_it)?.rust_version.as_ref()?;
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
