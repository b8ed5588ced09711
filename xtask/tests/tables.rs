//! The tables of this workspace agree with its examples, and README and ARCHITECTURE show what
//! is so.
//! That each file has its place is checked with the examples.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cargo_metadata::MetadataCommand;
use catalog::compile_fail;
use catalog::dependencies::code_name;
use catalog::files::entries;
use catalog::platforms;
use catalog::tables::{
    self, ApiName, Block, Guide, Message, Neighbour, Platform, Row, RustNames, Status,
};
use catalog::workspace::{Workspace, read_golden};
use serde::de::DeserializeOwned;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

static WORKSPACE: LazyLock<Workspace> =
    LazyLock::new(|| Workspace::open().expect("the workspace opens"));

fn table<T: DeserializeOwned>(path: &str) -> Vec<T> {
    let rows = tables::read(&root(), path).expect("each row has its columns");
    assert!(!rows.is_empty(), "{path}");
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The rows of a table, of which there are some.
fn rows<T: Row>() -> Vec<T> {
    table(T::PATH)
}

/// No block of the guides that docs/guide-titles.tsv names is left out.
#[test]
fn every_block_of_the_guides_is_there() {
    let mut last = BTreeMap::new();
    for Block { block, heading, .. } in rows() {
        assert!(!heading.is_empty(), "{block}");
        let (guide, number) = block.split_once('-').expect("GUIDE-NUMBER");
        let number: u32 = number.parse().expect("GUIDE-NUMBER");
        let before = last.insert(guide.to_owned(), number).unwrap_or_default();
        assert_eq!(number, before + 1, "{block} does not follow {before}");
    }
    let titles = rows().into_iter();
    let titles: BTreeSet<String> = titles.map(|Guide { guide, .. }| guide).collect();
    assert!(
        titles.iter().eq(last.keys()),
        "{titles:?} are not those of {last:?}"
    );
}

/// Each message and each name of Rust stands once, with what it means and an example.
#[test]
fn every_message_and_every_name_of_rust_stands_once() {
    let messages = rows().into_iter().map(|row: Message| {
        let has_all = !row.meaning.is_empty() && !row.examples.is_empty();
        (row.from, row.message, has_all)
    });
    let names = rows().into_iter().flat_map(|row: RustNames| {
        let has_all = !row.meaning.is_empty() && !row.examples.is_empty();
        let names: Vec<String> = row.names.split(' ').map(str::to_owned).collect();
        let row = move |name| ("Rust".to_owned(), name, has_all);
        names.into_iter().map(row)
    });
    let mut seen = BTreeSet::new();
    for (from, text, has_all) in messages.chain(names) {
        assert!(has_all, "{from}: {text}");
        let is_new = seen.insert((from, text.clone()));
        assert!(is_new, "{text} is there twice");
    }
}

/// Each library stands once, in order, with a crate and its state. If no section depends on
/// a crate, its row says when it was tried, or that it was not.
#[test]
fn every_library_has_its_crate() {
    let rows: Vec<Neighbour> = rows();
    assert!(rows.len() >= 60 && rows.is_sorted_by(|a, b| a.name < b.name));
    let sections = WORKSPACE.sections.iter();
    let dependencies = sections.flat_map(|section| &section.dependencies);
    let used: BTreeSet<&str> = dependencies.map(|it| it.name.as_str()).collect();
    for row in &rows {
        assert!(
            ["library", "standard library"].contains(&&*row.kind),
            "{row:?}"
        );
        assert!(!row.crates.is_empty() && !row.kept.is_empty(), "{row:?}");
        let is_tried = |it: &String| it == "std" || used.contains(it.as_str());
        let words = row.differs.to_lowercase();
        let is_told = ["not tried here", "tried with "];
        let is_told = is_told.iter().any(|it| words.contains(it));
        assert_eq!(is_told, !row.crates.iter().all(is_tried), "{row:?}");
    }
}

/// Otherwise it is compiled for nothing, and counts as tried.
#[test]
fn every_dependency_of_a_section_is_used() {
    for section in &WORKSPACE.sections {
        let folders = ["src", "src/demos", "src/tests"];
        let folders = folders.map(|folder| entries(&section.dir.join(folder)));
        let files = folders
            .into_iter()
            .flat_map(|it| it.expect("it can be read"));
        let support = root().join("tools/harness/support.rs");
        let files = files.filter(|path| path.is_file()).chain([support]);
        let text: String = files
            .map(|path| fs::read_to_string(path).expect("text"))
            .collect();
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let words: BTreeSet<&str> = words.collect();
        for dependency in &section.dependencies {
            let name = code_name(dependency);
            assert!(
                words.contains(&*name),
                "{} does not use `{name}`",
                section.name
            );
        }
    }
}

/// Whether the text has the message: each part between two `...`, one after the other.
fn has(text: &str, message: &str) -> bool {
    let text = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    let mut rest = Some(text.as_str());
    for part in message.split("...") {
        let found = rest.and_then(|rest| rest.split_once(part.trim()));
        rest = found.map(|(_, rest)| rest);
    }
    rest.is_some()
}

/// A program under `compile-fail` provokes each of rustc's messages. The tests of the
/// section real-world provoke those of Tokio and of the other crates.
#[test]
fn each_message_of_the_compiler_is_provoked() {
    let programs = WORKSPACE.sections.iter().map(compile_fail::find);
    let programs = programs.flat_map(|found| found.expect("they can be read"));
    let said: Vec<String> = programs
        .map(|(_, program)| program.expect("it is well-formed").words)
        .collect();
    let mut unprovoked: Vec<Message> = rows();
    unprovoked.retain(|row| row.from == "rustc");
    assert!(unprovoked.len() > 5);
    unprovoked.retain(|row| !said.iter().any(|words| has(words, &row.message)));
    assert!(unprovoked.is_empty(), "no program: {unprovoked:#?}");
}

/// An example shows each counterpart, or the row says why none does. No example is named
/// twice for a name.
#[test]
fn each_counterpart_is_shown() {
    for name in rows::<ApiName>() {
        for id in &name.examples {
            let example = WORKSPACE.example(id).expect("an example");
            let count = example.names().filter(|it| **it == name.name);
            assert_eq!(count.count(), 1, "{name:?}");
        }
        let mut examples = WORKSPACE.examples();
        let is_shown = examples.any(|it| it.names().any(|it| *it == name.name));
        let has_reason = name.counterpart.contains("; no example: ");
        let has_none = name.status == Status::None;
        let is_answered = is_shown || has_none || has_reason;
        assert!(
            is_answered,
            "no example shows {name:?}, and it does not say why"
        );
        assert!(!(is_shown && has_reason), "an example shows {name:?}");
    }
}

/// A row of `tools/python/asyncio-all.tsv`, which CPython itself checks in `tests`.
#[derive(serde::Deserialize)]
struct PublicName {
    name: String,
}

/// What CPython 3.11 to 3.14 call public is in the table of names, and has an answer.
#[test]
fn every_public_name_of_asyncio_has_an_answer() {
    let api: Vec<ApiName> = rows();
    let answered = api.iter().filter(|row| !row.counterpart.is_empty());
    let answered: BTreeSet<&str> = answered.map(|row| row.name.as_str()).collect();
    assert_eq!(
        answered.len(),
        api.len(),
        "a name stands twice, or has no answer"
    );
    for PublicName { name } in table("tools/python/asyncio-all.tsv") {
        assert!(answered.contains(&*name), "{name} is not in the table");
    }
}

/// Each example has a row that says where its golden was met and what it needs, and each row an
/// example. One that prints something else on Windows says so in its header.
#[test]
fn the_platforms_of_each_example_are_recorded() {
    let table = platforms::table(&WORKSPACE, |_| None).expect("cargo runs");
    let recorded = fs::read_to_string(root().join(Platform::PATH)).expect("a table");
    let how = "`cargo xtask check-all EXAMPLE --only run --record` writes the row";
    for (row, expected) in recorded.lines().zip(table.lines()) {
        assert_eq!(row, expected, "{how}");
    }
    assert_eq!(recorded.len(), table.len(), "{how}");
    // The others need servers.
    let sections = WORKSPACE.sections.iter().filter(|it| it.is_default);
    for example in sections.flat_map(|section| &section.examples) {
        let (id, row) = (example.id(), example.platform.as_ref().expect("a row"));
        assert!(
            row.golden.iter().any(|it| it == "Linux"),
            "{id} fails on Linux"
        );
        let differs = row.compiled.iter().any(|it| it == "Windows");
        let is_told = !differs || example.differs_on_windows();
        assert!(
            is_told,
            "{id}: no `Platforms:` says why it differs on Windows"
        );
    }
}

/// The oldest Rust that Cargo.toml promises is compiled with, and named alike.
#[test]
fn the_oldest_rust_is_the_one_that_is_tested() {
    let read = |name| fs::read_to_string(root().join(name)).expect(name);
    let manifest = read("Cargo.toml");
    let (_, promised) = manifest.split_once("rust-version = \"").expect("a promise");
    let promised = promised.split('"').next().expect("a version");
    for (name, text) in [
        (
            "application/Cargo.toml",
            format!("rust-version = \"{promised}\""),
        ),
        (
            ".github/workflows/test.yml",
            format!("RUSTUP_TOOLCHAIN: {promised}.0"),
        ),
        ("README.md", format!("({promised} or later)")),
    ] {
        assert!(read(name).contains(&text), "{name}: {text}");
    }
}

/// Each path of ours that the line names is there.
fn assert_paths(line: &str) {
    for path in line.split(|c: char| c.is_whitespace() || "`()[]{},;*".contains(c)) {
        let folders = ["crates/", "docs/", "tests/", "tools/"];
        let is_ours = folders.iter().any(|folder| path.starts_with(folder));
        let path = path.trim_end_matches(['.', ':']);
        let exists =
            !is_ours || path != path.to_lowercase() || root().join(path).exists();
        assert!(exists, "there is no {path}");
    }
}

/// What the README shows of a run is the beginning of a golden, and the code above it is of
/// that example. The examples and files that it names are there.
#[test]
fn the_readme_shows_what_is_so() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let (shown, run) = readme.split_once("    $ cargo run -q -p ").expect("a run");
    let (name, run) = run.split_once('\n').expect("what it prints");
    let example = WORKSPACE.example(&name.replace(" -- --virtual-time ", "/"));
    let example = example.expect("it is there");
    let read = |path| fs::read_to_string(path).expect("it can be read");
    let programs = read(&example.source) + &read(&example.twin);
    let blocks: Vec<&str> = shown.split("```").skip(1).step_by(2).collect();
    assert_eq!(blocks.len(), 2, "both programs");
    for block in blocks {
        let (_language, code) = block.split_once('\n').expect("code");
        assert!(programs.contains(code), "{code} is not of {name}");
    }
    let golden = read_golden(&example.golden).expect("a golden").to_string();
    let lines = run.lines().map_while(|line| line.strip_prefix("    "));
    let lines: Vec<&str> = lines.take_while(|line| line.trim() != "...").collect();
    assert!(
        lines.len() > 2 && golden.starts_with(&lines.join("\n")),
        "{lines:?}"
    );
    let mut named = 0;
    for line in readme.lines() {
        assert_paths(line);
        let words = line.split_whitespace().take_while(|word| *word != "#");
        let words: Vec<&str> = words.filter(|word| !word.starts_with('-')).collect();
        let id = match words[..] {
            ["cargo", "run", section, name] => format!("{section}/{name}"),
            ["cargo", "xtask", "show" | "copy", name, ..] => name.to_owned(),
            _ => continue,
        };
        WORKSPACE.example(&id).expect("it is there");
        named += 1;
    }
    assert!(named > 2, "the README names examples");
}

/// Modules for Python are found by name. Their package checks them, not xtask.
#[test]
fn modules_are_found_and_not_checked() {
    let id = |name| WORKSPACE.example(name).expect("an example").id();
    assert_eq!(id("async_function"), "interop/async_function");
    assert_eq!(id("cpu_bound"), "best-practices/cpu_bound");
    for filter in ["interop", "interop/cancel"] {
        let refused = WORKSPACE.selected(filter).expect_err("no check of it");
        assert!(
            refused.to_string().starts_with("`cargo test -p interop`"),
            "{refused}"
        );
    }
}

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// What cargo says: each package of the workspace with those that it depends on.
fn arrows() -> Arrows {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec();
    let packages = metadata.expect("cargo runs").packages;
    let own: BTreeSet<&str> = packages.iter().map(|it| it.name.as_str()).collect();
    let arrows = packages.iter().map(|package| {
        let to = package.dependencies.iter().map(|it| it.name.clone());
        let to = to.filter(|it| own.contains(it.as_str()));
        (package.name.to_string(), to.collect())
    });
    arrows.collect()
}

/// ARCHITECTURE.md draws each arrow between packages, and no other.
#[test]
fn each_arrow_is_drawn() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there");
    let drawn = text.lines().filter_map(|line| {
        let (from, to) = line.strip_prefix("    ")?.split_once("  -->  ")?;
        let words = to.split(", ").filter(|it| *it != "nothing");
        Some((from.trim().to_owned(), words.map(str::to_owned).collect()))
    });
    assert_eq!(drawn.collect::<Arrows>(), arrows());
}
