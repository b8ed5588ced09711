//! What the book says of lints holds: its table has those of the example, and ruff refuses
//! the mistakes of the twin. That clippy refuses the mistakes of the example is checked by
//! clippy itself: each is marked by `#[expect(..)]`.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use catalog::python::Python;
use catalog::workspace::Workspace;

fn root() -> &'static Path {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("it lies in the workspace")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// Returns the part of the text between the two.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect(start);
    let (part, _) = rest.split_once(end).expect(end);
    part
}

#[test]
fn the_table_has_the_lints_of_the_example() {
    let chapter = read("docs/chapters/08-production-checklist.md");
    let table = between(&chapter, "[lints.rust]\n", "```");
    let in_table = table
        .lines()
        .filter_map(|line| line.strip_suffix(" = \"deny\""));
    let in_table: BTreeSet<&str> = in_table.collect();
    let example = read("crates/best-practices/src/lints.rs");
    let denied = between(&example, "#![deny(\n", ")]").lines().map(str::trim);
    let denied = denied.filter(|line| !line.is_empty() && !line.starts_with("//"));
    let denied = denied.map(|line| line.trim_end_matches(','));
    let denied = denied.map(|lint| lint.trim_start_matches("clippy::"));
    assert_eq!(in_table, denied.collect());
    // clippy.toml is that of this workspace.
    let clippy = between(&chapter, "await-holding-invalid-types", "```");
    assert!(read("clippy.toml").contains(clippy), "{clippy}");
}

#[test]
fn ruff_refuses_two_mistakes_of_the_twin() {
    let python = match Python::find() {
        Err(problem) if env::var_os("REQUIRE_CPYTHON").is_none() => {
            return eprintln!("ruff is left out: {problem}");
        }
        found => found.expect("a CPython"),
    };
    let workspace = Workspace::open().expect("the workspace");
    let packages = python.environment(&workspace).expect("the packages");
    let ruff = |options: &[&str]| {
        let mut ruff = Command::new(&packages);
        ruff.args(["-m", "ruff", "check", "--isolated", "--no-cache", "--quiet"]);
        ruff.args(["--output-format=concise"]).args(options);
        let output = ruff.arg("crates/best-practices/python/lints.py");
        let output = output.current_dir(root()).output().expect("it runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    // RUF100: no `noqa` without need.
    assert_eq!(ruff(&["--select=ASYNC,RUF006,RUF100"]), "");
    let all = [
        "--select=ALL",
        "--ignore=ANN,CPY,D,INP,T201",
        "--ignore-noqa",
    ];
    let refused = ruff(&all);
    let rules = refused.lines().filter_map(|line| line.split(' ').nth(1));
    assert_eq!(
        rules.collect::<Vec<_>>(),
        ["RUF006", "ASYNC251"],
        "{refused}"
    );
}
