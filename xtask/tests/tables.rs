//! The tables of this workspace agree with its examples, and the README shows what is so.
//! That each file has its place is checked with the examples.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use catalog::questions;
use catalog::tables::{self, ApiName, Block, Guide, Message, Status};
use catalog::workspace::{Workspace, read_golden};
use serde::de::DeserializeOwned;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn workspace() -> Workspace {
    Workspace::open().expect("the workspace opens")
}

fn table<T: DeserializeOwned>(path: &str) -> Vec<T> {
    let rows = tables::read(&root(), path).expect("each row has its columns");
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Each block of the guides that docs/guide-titles.tsv names is answered by examples, and
/// no block is left out.
#[test]
fn every_block_of_the_guides_has_its_examples() {
    let workspace = workspace();
    let mut last = BTreeMap::new();
    for Block {
        block,
        heading,
        examples,
        ..
    } in table("docs/guides.tsv")
    {
        assert!(!heading.is_empty(), "{block}");
        for id in &examples {
            let example = workspace
                .example(id)
                .unwrap_or_else(|e| panic!("{block}: {e}"));
            assert_eq!(example.id(), *id, "{block}");
        }
        let (guide, number) = block.split_once('-').expect("GUIDE-NUMBER");
        let number: u32 = number.parse().expect("GUIDE-NUMBER");
        let before = last.insert(guide.to_owned(), number).unwrap_or_default();
        assert_eq!(number, before + 1, "{block} does not follow {before}");
    }
    let titles = table("docs/guide-titles.tsv").into_iter();
    let titles: BTreeSet<String> = titles.map(|Guide { guide, .. }| guide).collect();
    assert!(
        titles.iter().eq(last.keys()),
        "{titles:?} are not those of {last:?}"
    );
}

/// Each message stands once and leads to examples that are there.
#[test]
fn every_message_leads_to_its_examples() {
    let workspace = workspace();
    let mut seen = BTreeSet::new();
    for Message {
        from,
        message,
        meaning,
        examples,
    } in table("docs/messages.tsv")
    {
        assert!(!meaning.is_empty() && !examples.is_empty(), "{message}");
        assert!(
            seen.insert((from, message.clone())),
            "{message} is there twice"
        );
        for id in examples {
            let example = workspace.example(&id);
            let example = example.unwrap_or_else(|e| panic!("{message}: {e}"));
            assert_eq!(example.id(), id, "{message}");
        }
    }
}

/// A name whose counterpart is said to be the same is shown by an example, or the row says
/// what is different. No example is named twice for a name.
#[test]
fn what_is_said_to_be_the_same_is_shown() {
    let workspace = workspace();
    for name in table::<ApiName>("docs/asyncio-api.tsv") {
        for id in &name.examples {
            let example = workspace.example(id).unwrap_or_else(|e| panic!("{e}"));
            let count = example.header.asyncio.iter().filter(|it| **it == name.name);
            assert_eq!((count.count(), example.id()), (1, id.clone()), "{name:?}");
        }
        let is_shown = workspace
            .examples()
            .any(|example| example.header.asyncio.contains(&name.name));
        let is_same =
            name.status == Status::Direct && !name.counterpart.contains(" but ");
        assert!(is_shown || !is_same, "no example shows {name:?}");
    }
}

/// A row of `tools/python/asyncio-all.tsv`.
#[derive(serde::Deserialize)]
struct PublicName {
    name: String,
    versions: String,
    systems: String,
}

/// What CPython 3.11 to 3.14 call public is in the table of names, on every system, and
/// has an answer.
#[test]
fn every_public_name_of_asyncio_has_an_answer() {
    let api: Vec<ApiName> = table("docs/asyncio-api.tsv");
    let unanswered = api
        .iter()
        .find(|row| row.name.is_empty() || row.counterpart.is_empty());
    assert!(unanswered.is_none(), "{unanswered:?}");
    let known: BTreeSet<&str> = api.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(known.len(), api.len(), "a name stands twice in the table");
    let mut seen = BTreeSet::new();
    let mut of_version: BTreeMap<String, u32> = BTreeMap::new();
    for PublicName {
        name,
        versions,
        systems,
    } in table("tools/python/asyncio-all.tsv")
    {
        assert!(
            ["all", "Unix", "Windows"].contains(&&*systems),
            "{name}: {systems}"
        );
        assert!(
            known.contains(&*name),
            "{name} of {versions} is not in the table"
        );
        for version in versions.split(' ') {
            *of_version.entry(version.to_owned()).or_default() += 1;
        }
        assert!(seen.insert(name.clone()), "{name} stands twice");
    }
    let versions: Vec<&str> = of_version.keys().map(String::as_str).collect();
    assert_eq!(versions, ["3.11", "3.12", "3.13", "3.14"]);
    assert!(
        of_version.values().all(|names| *names > 90),
        "{of_version:?}"
    );
}

/// What somebody asks who does not know the Rust term yet is answered, in every section.
#[test]
fn every_section_answers_questions() {
    let workspace = workspace();
    let questions = questions::find(&workspace).expect("docs/questions.tsv");
    let mut answered: BTreeMap<&str, u32> = BTreeMap::new();
    for question in questions.into_iter().filter_map(Result::ok) {
        *answered.entry(&question.examples[0].section).or_default() += 1;
    }
    for section in &workspace.sections {
        let count = answered.get(&*section.name).copied().unwrap_or_default();
        assert!(count >= 5, "{count} questions are about {}", section.name);
    }
}

/// What `rust-toolchain.toml` installs is the oldest Rust that Cargo.toml promises.
#[test]
fn the_oldest_rust_is_the_one_that_is_tested() {
    let read = |name| fs::read_to_string(root().join(name)).expect(name);
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.expect(key).trim_matches([' ', '=', '"']).to_owned()
    };
    let promised = value(&read("Cargo.toml"), "rust-version");
    let installed = value(&read("rust-toolchain.toml"), "channel");
    assert_eq!(installed, format!("{promised}.0"));
}

/// What the README shows of a run is the beginning of a golden, and the code above it is of
/// that example. The sections, examples and files that it names are there.
#[test]
fn the_readme_shows_what_is_so() {
    let workspace = workspace();
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let (mut shown, mut named, mut code) = (0, 0, Vec::new());
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let block = lines.by_ref().take_while(|line| *line != "```");
            code.push(block.collect::<Vec<_>>().join("\n"));
        }
        let words = line.split_whitespace().skip_while(|word| *word == "$");
        // In capital letters: any name.
        let words = words.take_while(|word| *word != "#" && *word == word.to_lowercase());
        match &words
            .filter(|word| !word.starts_with('-'))
            .collect::<Vec<_>>()[..]
        {
            ["cargo", "run", section, names @ ..] => {
                let section = &workspace.section(section).expect("it is there").name;
                for name in names {
                    workspace
                        .example(&format!("{section}/{name}"))
                        .expect("it is there");
                    named += 1;
                }
            }
            ["cargo", "xtask", "show" | "copy" | "bless", name, ..] => {
                workspace.example(name).expect("it is there");
                named += 1;
            }
            _ => {}
        }
        for path in line.split(|c: char| c.is_whitespace() || "`()[]{},;*".contains(c)) {
            let folders = ["crates/", "docs/", "tests/", "tools/"];
            let is_ours = folders.iter().any(|folder| path.starts_with(folder));
            let path = path.trim_end_matches(['.', ':']);
            let exists =
                !is_ours || path != path.to_lowercase() || root().join(path).exists();
            assert!(exists, "there is no {path}");
        }
        if let Some(run) = line.trim().strip_prefix("$ cargo run -q -p ") {
            let example = workspace.example(&run.replace(" -- --virtual-time ", "/"));
            let example = example.expect("it is there");
            let read = |path| fs::read_to_string(path).expect("it can be read");
            let programs = [read(&example.source), read(&example.twin)].concat();
            shown += code.len();
            for block in code.drain(..) {
                assert!(programs.contains(&block), "{block} is not of {run}");
            }
            let golden = read_golden(&example.golden).expect("a golden").to_string();
            let block = lines.by_ref().map_while(|line| line.strip_prefix("    "));
            let block: Vec<&str> =
                block.take_while(|line| line.trim() != "...").collect();
            assert!(
                golden.starts_with(&block.join("\n")),
                "{block:?} is not of {run}"
            );
        }
    }
    let message = "the README shows both programs and a run, and names examples";
    assert_eq!((shown, code.len(), named > 2), (2, 0, true), "{message}");
}
