//! ARCHITECTURE.md draws each arrow between packages, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cargo_metadata::MetadataCommand;

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What cargo says: each package of the workspace with those that it depends on.
fn real(root: &Path) -> Arrows {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec();
    let packages = metadata.expect("cargo runs").packages;
    let own: BTreeSet<&str> = packages.iter().map(|it| it.name.as_str()).collect();
    let arrows = packages.iter().map(|package| {
        let to = package.dependencies.iter().map(|it| it.name.clone());
        let to = to.filter(|it| own.contains(it.as_str()));
        (package.name.to_string(), to.collect())
    });
    arrows.collect()
}

#[test]
fn each_arrow_is_drawn() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("it is there");
    let drawn = text.lines().filter_map(|line| {
        let (from, to) = line.strip_prefix("    ")?.split_once("  -->  ")?;
        let words = to.split(", ").filter(|it| *it != "nothing");
        Some((from.trim().to_owned(), words.map(str::to_owned).collect()))
    });
    assert_eq!(drawn.collect::<Arrows>(), real(&root));
}
