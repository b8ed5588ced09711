//! The tables under `docs/`: a heading, and columns that tabs separate.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use csv::{Position, ReaderBuilder, StringRecord};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use crate::files;

/// A row of a table.
pub trait Row: DeserializeOwned {
    /// Where the table is, below the workspace's root.
    const PATH: &'static str;
}

/// Says in which table the rows stand, and which column leads to examples.
macro_rules! tables {
    ($($row:ident $path:literal $($examples:ident)?;)*) => {
        $(impl Row for $row {
            const PATH: &'static str = $path;
        })*

        /// Returns the place of each row that leads to examples, in any table, and the
        /// examples.
        ///
        /// # Errors
        ///
        /// When a table cannot be read.
        pub fn links(root: &Path) -> Result<Vec<(String, Vec<String>)>> {
            let mut links = Vec::new();
            $($(
                let places = rows::<$row>(root)?.into_iter();
                links.extend(places.map(|(place, row)| (place, row.$examples)));
            )?)*
            Ok(links)
        }
    };
}

tables! {
    Advice "docs/advice.tsv";
    ApiName "docs/asyncio-api.tsv" examples;
    Block "docs/guides.tsv" examples;
    Clause "docs/contract.tsv";
    Crate "docs/crates.tsv";
    Guide "docs/guide-titles.tsv";
    Message "docs/messages.tsv" examples;
    Neighbour "docs/neighbours.tsv" examples;
    Pattern "docs/port-patterns.tsv" examples;
    Platform "docs/platforms.tsv" example;
    Question "docs/questions.tsv" examples;
    RustNames "docs/rust-names.tsv" examples;
    SheetRow "docs/sheet.tsv" example;
    Trap "docs/traps.tsv";
}

/// Returns the rows of a table, each with its place: `docs/questions.tsv:12`. There are none
/// if there is no table.
///
/// # Errors
///
/// When the file cannot be read, or a row has other columns than the heading.
pub fn rows<T: Row>(root: &Path) -> Result<Vec<(String, T)>> {
    match files::exists(&root.join(T::PATH)) {
        true => read(root, T::PATH),
        false => Ok(Vec::new()),
    }
}

/// A name of asyncio, or a construct of Python: a row of `docs/asyncio-api.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct ApiName {
    /// As `asyncio:` lines name it.
    pub name: String,
    /// What it belongs to: tasks, queues, streams.
    pub category: String,
    /// The version of Python that brought it; may be empty.
    pub added: String,
    /// When Python removed it or will, in words; may be empty.
    #[serde(rename = "removed_or_deprecated")]
    pub removed: String,
    /// What takes its place in Rust.
    #[serde(rename = "rust_equivalent")]
    pub counterpart: String,
    /// How near the counterpart is.
    pub status: Status,
    /// Examples that show it and are about something else; those that are about it name it
    /// in their headers.
    #[serde(default, deserialize_with = "words")]
    pub examples: Vec<String>,
}

/// How near the counterpart of a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// One thing does the same.
    Direct,
    /// A few lines do the same.
    Pattern,
    /// Nothing does.
    None,
}

/// The number of a trap: a row of `docs/traps.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Trap {
    /// `T001`.
    pub number: String,
    /// The example whose header has the trap; or `retired`, and why.
    pub example: String,
}

/// A crate: a row of `docs/crates.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Crate {
    /// As the headers name it.
    pub name: String,
    /// What it is for; empty where the name is none of a crate.
    pub purpose: String,
}

/// A code block or an exercise of a guide: a row of `docs/guides.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Block {
    /// The guide's number and the block's: `000-01`.
    pub block: String,
    /// How many lines of code it has; none for an exercise.
    pub lines: Option<usize>,
    /// The headings above it.
    pub heading: String,
    /// The examples that answer it.
    #[serde(deserialize_with = "words")]
    pub examples: Vec<String>,
    /// What the block gets wrong; may be empty.
    pub wrong: String,
}

impl Block {
    /// Returns the number of its guide: `000`.
    pub fn guide(&self) -> &str {
        self.block.split('-').next().unwrap_or_default()
    }

    /// Returns the part of the guide that it is in, and its own heading.
    pub fn headings(&self) -> (&str, &str) {
        let heading = self.heading.as_str();
        heading.split_once(" / ").unwrap_or(("", heading))
    }
}

/// A guide: a row of `docs/guide-titles.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Guide {
    /// What its blocks' names begin with: `000`.
    pub guide: String,
    /// Its title.
    pub title: String,
}

impl Guide {
    /// Returns its number as readers write it: `3`.
    pub fn number(&self) -> &str {
        match self.guide.trim_start_matches('0') {
            "" => "0",
            number => number,
        }
    }

    /// Returns its number, if it has one, and its title.
    pub fn full_title(&self) -> String {
        match self.number() {
            "EX" => self.title.clone(),
            number => format!("Guide {number}: {}", self.title),
        }
    }
}

/// What the guides say outside the code: a row of `docs/advice.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Advice {
    /// The blocks that it stands behind; `003-00` is before the first.
    #[serde(deserialize_with = "words")]
    pub after: Vec<String>,
    /// What is true of it in Rust.
    pub advice: String,
    /// Where to read on: examples, chapters, and headings of chapters.
    #[serde(deserialize_with = "words")]
    pub here: Vec<String>,
}

/// A question of a reader: a row of `docs/questions.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Question {
    /// In the words of a Python developer.
    pub question: String,
    /// The examples and the headings of chapters that answer it, the best one first.
    #[serde(deserialize_with = "words")]
    pub examples: Vec<String>,
}

/// A line of the sheet: a row of `docs/sheet.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct SheetRow {
    /// The heading that it stands under.
    pub group: String,
    /// How asyncio does it.
    pub asyncio: String,
    /// How Tokio does it.
    pub tokio: String,
    /// The example that shows both.
    #[serde(deserialize_with = "words")]
    pub example: Vec<String>,
}

/// What `port` finds besides names: a row of `docs/port-patterns.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Pattern {
    /// The examples that show what takes its place, the best one first.
    #[serde(deserialize_with = "words")]
    pub examples: Vec<String>,
}

/// Where an example was tried, and what it needs: a row of `docs/platforms.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Platform {
    /// The example, by its full name.
    #[serde(deserialize_with = "words")]
    pub example: Vec<String>,
    /// The systems on which it printed its golden.
    #[serde(deserialize_with = "words")]
    pub golden: Vec<String>,
    /// Other systems for which it was compiled.
    #[serde(deserialize_with = "words")]
    pub compiled: Vec<String>,
    /// The edition and the Rust: `edition 2021, Rust 1.85`.
    pub needs: String,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.golden.join(", "))?;
        let mut compiled = self.compiled.iter();
        compiled.try_for_each(|system| write!(f, ", {system} (compiled)"))
    }
}

/// Names of Tokio and of the crates next to it that no example is about: a row of
/// `docs/rust-names.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct RustNames {
    /// Names without their module or type.
    pub names: String,
    /// What they are for.
    pub meaning: String,
    /// The examples that come near, the best one first.
    #[serde(deserialize_with = "words")]
    pub examples: Vec<String>,
}

/// What a library or the compiler prints when something is wrong: a row of
/// `docs/messages.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Message {
    /// Who prints it: `Python`, `tokio`, `reqwest`.
    pub from: String,
    /// Its words, without those that differ from program to program.
    pub message: String,
    /// What it means, and what to do.
    pub meaning: String,
    /// The examples that show it or the cure, and headings of chapters, the best one first.
    #[serde(deserialize_with = "words")]
    pub examples: Vec<String>,
}

/// What CPython's tests ask of a name: a row of `docs/contract.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Clause {
    /// As `docs/asyncio-api.tsv` has it.
    pub name: String,
    /// What asyncio does.
    pub clause: String,
    /// What becomes of it in a port: `silent`, `hangs`, `loud`, `looks different` or `-`.
    pub port: String,
    /// What happens in Rust, and what to do; `-` if it is the same.
    pub in_rust: String,
}

/// A library that Python programs use next to asyncio: a row of `docs/neighbours.tsv`.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Neighbour {
    /// As it is imported: `redis.asyncio`.
    pub name: String,
    /// `library`, or `standard library`.
    pub kind: String,
    /// The crates that take its place, or `std`.
    #[serde(rename = "crate", deserialize_with = "words")]
    pub crates: Vec<String>,
    /// The newest release of each, and its month.
    pub kept: String,
    /// What is different, and whether the crate was tried here.
    pub differs: String,
    /// The examples that show it, the best one first.
    #[serde(deserialize_with = "words")]
    pub examples: Vec<String>,
}

fn words<'de, D: Deserializer<'de>>(column: D) -> Result<Vec<String>, D::Error> {
    let column = String::deserialize(column)?;
    Ok(column.split_whitespace().map(str::to_owned).collect())
}

/// Returns the rows of the table at this path below the root, each with its place:
/// `docs/questions.tsv:12`.
///
/// # Errors
///
/// When the file cannot be read, or a row has other columns than the heading.
pub fn read<T: DeserializeOwned>(root: &Path, path: &str) -> Result<Vec<(String, T)>> {
    let text = files::read(&root.join(path))?;
    let mut reader = ReaderBuilder::new();
    let reader = reader.delimiter(b'\t').quoting(false);
    let mut reader = reader.from_reader(text.as_bytes());
    let heading = reader.headers()?.clone();
    let row = |record: csv::Result<StringRecord>| {
        let record = record.context(path.to_owned())?;
        let place = format!("{path}:{}", record.position().map_or(0, Position::line));
        let row = record.deserialize(Some(&heading));
        Ok((place.clone(), row.context(place)?))
    };
    reader.records().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{ApiName, Question, read};

    #[test]
    fn rows_know_their_place_and_their_columns() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(dir.path().join("x.tsv"), text).unwrap();
        write("question\texamples\nWhat \"is\" it?\ta/b c\n");
        let rows: Vec<(String, Question)> = read(dir.path(), "x.tsv").unwrap();
        let (place, row) = &rows[0];
        assert_eq!(
            (place.as_str(), &*row.question),
            ("x.tsv:2", "What \"is\" it?")
        );
        assert_eq!(row.examples, ["a/b", "c"]);
        let heading =
            "name\tcategory\tadded\tremoved_or_deprecated\trust_equivalent\tstatus";
        for (row, problem) in [
            ("a\tb\n", "fields"),
            ("a\tb\t\t\tc\tperhaps\n", "unknown variant `perhaps`"),
        ] {
            write(&format!("{heading}\n{row}"));
            let error = read::<ApiName>(dir.path(), "x.tsv").unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.contains("x.tsv") && error.contains(problem),
                "{error}"
            );
        }
    }
}
