//! ARCHITECTURE.md draws each arrow between packages, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use catalog::workspace::cargo;
use serde_json::Value;

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What cargo says: each package of the workspace with those that it depends on.
fn real(root: &Path) -> Arrows {
    let mut command = Command::new(cargo());
    command.args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]);
    let output = command.current_dir(root).output().expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let own: BTreeSet<String> = packages.clone().map(name).collect();
    let arrows = packages.map(|package| {
        let dependencies = package["dependencies"].as_array().expect("a list");
        let to = dependencies.iter().map(name).filter(|it| own.contains(it));
        (name(package), to.collect())
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
