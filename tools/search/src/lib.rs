//! One ranked search over everything that leads to an example: names, summaries, questions,
//! names of asyncio, messages of the compiler, the guides' headings, headers and programs;
//! and over the headings of chapters.
//!
//! The ranking is BM25 over stemmed words, for each kind of entry by itself, as their texts
//! differ in length. The score of an example or a heading is the weighted sum of its best
//! entry of each kind, and of all questions that lead to it as one text.
//!
//! The weights were found by asking each tenth of the questions with the other nine in the
//! index.

mod collect;
mod name;
mod pasted;
mod rank;
mod words;

use std::collections::{BTreeMap, HashMap, HashSet};

use rank::{Field, Target};
use serde::{Deserialize, Serialize};
pub use words::names;
use words::{Stems, whole, words};

/// What an entry is, and how much its match counts.
#[derive(
    Debug,
    Default,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
)]
pub enum Kind {
    /// The name of an example.
    #[default]
    Example,
    /// Its first line, its section and the heading that it stands under.
    Summary,
    /// A question of `docs/questions.tsv`.
    Question,
    /// A name of asyncio, with its counterpart.
    Name,
    /// What asyncio promises of a name and Rust does otherwise.
    Clause,
    /// Names of Tokio that no example is about, with what they are for.
    Rust,
    /// A library of Python, with the crate that takes its place.
    Library,
    /// What the compiler says, and what is printed when something is wrong.
    Message,
    /// A heading of a guide.
    Guide,
    /// The prose of a header.
    Header,
    /// The words of a program and of its twin.
    Program,
    /// A heading of a chapter.
    Chapter,
    /// A trap of a header: found by its number alone.
    Trap,
    /// A section of a chapter, with its text.
    Section,
}

impl Kind {
    /// Found by trying: more for what is short and written for being found.
    fn weight(self) -> f32 {
        match self {
            Self::Example | Self::Summary | Self::Section => 1.0,
            Self::Question => 1.3,
            Self::Name | Self::Library | Self::Message | Self::Header => 0.8,
            Self::Guide | Self::Rust | Self::Clause => 0.3,
            Self::Program => 0.4,
            Self::Chapter => 2.0,
            Self::Trap => 0.0,
        }
    }

    /// Returns what a hit says of an entry of this kind, unless the example's own line does.
    fn reason(self, text: &str) -> Option<String> {
        match self {
            Self::Question | Self::Guide | Self::Trap => Some(text.to_owned()),
            Self::Clause => Some(format!("asyncio: {text}")),
            Self::Name | Self::Library => Some(format!("Python: {text}")),
            Self::Rust => {
                let (_, meaning) = text.split_once(" = ")?;
                Some(format!("Rust: {meaning}"))
            }
            Self::Message => Some(format!("message: {text}")),
            Self::Example
            | Self::Summary
            | Self::Header
            | Self::Program
            | Self::Chapter
            | Self::Section => None,
        }
    }
}

/// Something that can be found. A saved one has short names, and what it lacks is left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(rename = "k")]
    kind: Kind,
    /// Nothing where it is never shown.
    #[serde(rename = "t", skip_serializing_if = "String::is_empty")]
    text: String,
    /// How many bytes of it a query says that means this entry alone: all, or a name without
    /// its counterpart.
    #[serde(rename = "l")]
    length: usize,
    /// These, as they are compared with a query.
    #[serde(skip)]
    key: String,
    /// The stems of the words that are not shown: of what stands under a heading.
    #[serde(rename = "s", skip_serializing_if = "String::is_empty")]
    below: String,
    /// The stems of all its words, those of its text first.
    #[serde(skip)]
    stems: String,
    /// How many of them are of its text.
    #[serde(skip)]
    heading: usize,
    /// Places in [`Index::examples`], the best first.
    #[serde(rename = "e", skip_serializing_if = "Vec::is_empty")]
    examples: Vec<usize>,
    /// Where to read, if not an example.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

impl Entry {
    /// Whether the query is the entry, word for word; or one of its names, with or without
    /// the module or type before it.
    fn is_meant_by(&self, query: &str) -> bool {
        match self.kind {
            // A question that ends with a name is not the name.
            Kind::Rust if query.contains(' ') => false,
            Kind::Rust => {
                let (_, name) = query.rsplit_once("::").unwrap_or_default();
                let name = if name.is_empty() { query } else { name };
                self.key.split(' ').any(|own| own == name)
            }
            // A package is installed as `httpx-sse`, and imported as `httpx_sse`.
            Kind::Library => self.key == query.replace('-', "_"),
            _ => self.key == query && !query.is_empty(),
        }
    }

    /// Returns what the entry leads to, the best first; `at` is its place in the index.
    fn targets(&self, at: usize) -> Vec<Target> {
        let examples = self.examples.iter().copied().map(Target::Example);
        let targets: Vec<Target> = examples.collect();
        if targets.is_empty() {
            return vec![Target::Entry(at)];
        }
        targets
    }
}

/// Everything that can be found.
#[expect(missing_debug_implementations, reason = "bm25's types have none")]
#[derive(Serialize, Deserialize)]
pub struct Index {
    examples: Vec<Shown>,
    /// The place of each example by its id, while the index is made.
    #[serde(skip)]
    places: HashMap<String, usize>,
    entries: Vec<Entry>,
    #[serde(skip)]
    fields: BTreeMap<Kind, Field<usize>>,
    /// The questions of each target, as one text.
    #[serde(skip)]
    asked: Field<Target>,
    stems: Stems,
    /// The stems of everything that leads to a target.
    #[serde(skip)]
    held: HashMap<Target, HashSet<char>>,
    /// How many targets have a stem.
    #[serde(skip)]
    spread: HashMap<char, usize>,
    /// What the crates are for that headers name, by their names.
    crates: HashMap<String, String>,
}

/// An example or a heading of a chapter, as a hit shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shown {
    pub(crate) id: String,
    /// Its first line, or the heading.
    pub summary: String,
    /// Where the heading stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<String>,
}

impl Shown {
    /// Returns its section and its name; of a heading, its chapter and its anchor.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    fn chapter(&self) -> &str {
        self.id.split('#').next().unwrap_or_default()
    }
}

/// An example that was found.
#[derive(Debug)]
pub struct Hit<'a> {
    /// The example, or the heading of a chapter; nothing where the entry that was found has
    /// none.
    pub shown: Option<&'a Shown>,
    /// Where to read, if not in an example.
    pub page: Option<String>,
    /// What kind of entry matched best.
    pub kind: Kind,
    /// That entry, if it was not the example or heading itself.
    pub reason: Option<String>,
}

/// What was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// The nearest first, at most as many as were asked for.
    pub hits: Vec<Hit<'a>>,
    /// The row of a name, if the query is one.
    pub answer: Option<String>,
    /// Where that stands in the book, if the index is a saved one.
    pub answer_page: Option<String>,
    /// The section of a chapter that is the nearest: its page and its heading.
    pub section: Option<(String, String)>,
    /// Words that nothing has, each with the word that was searched in its place.
    pub corrected: Vec<(String, String)>,
    /// Whether the query has only words that say nothing of what is searched.
    pub is_vague: bool,
}

/// Returns the number of a trap as pages write it: `T058` for `t58`.
fn trap_number(query: &str) -> Option<String> {
    let digits = query.trim().strip_prefix(['t', 'T'])?;
    let number: u16 = digits.parse().ok()?;
    Some(format!("T{number:03}"))
}

impl Index {
    /// Returns all of it as one text: the pages of the book search in it, where there are no
    /// files. `page` says where the book has an entry, by its kind, its text and the place that
    /// it has in the workspace.
    ///
    /// # Errors
    ///
    /// When an entry cannot be written as JSON.
    pub fn save(
        mut self,
        page: impl Fn(Kind, &str, Option<&str>) -> Option<String>,
    ) -> anyhow::Result<String> {
        for entry in &mut self.entries {
            entry.page = page(entry.kind, &entry.text, entry.page.as_deref());
        }
        for heading in self.examples.iter_mut().filter(|it| it.page.is_some()) {
            heading.page = page(Kind::Chapter, &heading.id, heading.page.as_deref());
        }
        Ok(serde_json::to_string(&self)?)
    }

    /// Returns the index that was saved as this text.
    ///
    /// # Errors
    ///
    /// When the text is no saved index.
    pub fn load(saved: &str) -> anyhow::Result<Self> {
        let mut index: Self = serde_json::from_str(saved)?;
        index.score();
        Ok(index)
    }

    /// Returns the nearest examples, at most as many as `most`.
    pub fn find(&self, query: &str, most: usize) -> Found<'_> {
        let number = trap_number(query);
        let query = number.as_deref().unwrap_or(query);
        let told = pasted::telling(query);
        let name = name::bare(query).filter(|_| told.is_none());
        let query = told.as_deref().or(name.as_deref()).unwrap_or(query);
        let (mut corrected, mut stems) = (Vec::new(), Vec::new());
        let is_alone = words(query).len() == 1;
        for word in words(query) {
            // Pasted text has no typing errors, and words that nothing has.
            let found = match told.is_some() {
                true => self.stems.known(&word).map(|stem| (stem, None)),
                false => self.stems.look_up(&word, is_alone),
            };
            if let Some((stem, near)) = found {
                corrected.extend(near.map(|near| (word, near.to_owned())));
                if !stems.contains(&stem) {
                    stems.push(stem);
                }
            }
        }
        let meant = match &name {
            Some(name) => name::meant(self.row(name).map_or(name, |row| row.0)),
            None => vec![whole(query)],
        };
        let is_typed = told.is_none() && name.is_none();
        let named = match is_typed {
            true => self.rare(query, &stems),
            false => Vec::new(),
        };
        let mut hits = self.rank(&meant, &named, &stems);
        hits.truncate(most);
        let is_vague = hits.is_empty() && words(query).is_empty();
        if is_vague {
            // The chapter that answers "which one do I use".
            let choice = self.examples.iter().filter(|it| it.id == "which-one");
            hits.extend(choice.map(|it| Hit {
                shown: Some(it),
                page: it.page.clone(),
                kind: Kind::Chapter,
                reason: None,
            }));
        }
        let section = self.section(&stems, &hits);
        let (answer, answer_page) = name.and_then(|name| self.answer(&name)).unzip();
        Found {
            hits,
            answer,
            answer_page: answer_page.flatten(),
            section,
            corrected,
            is_vague,
        }
    }

    /// Returns every text that was written to be found, each with the ids of the examples
    /// and headings that it leads to: questions, names, libraries, messages.
    pub fn written(&self) -> impl Iterator<Item = (Kind, &str, Vec<String>)> {
        use Kind::{Example, Library, Message, Name, Question, Rust};
        let written = [Question, Name, Rust, Library, Message, Example];
        let entries = self
            .entries
            .iter()
            .filter(move |own| written.contains(&own.kind));
        entries.map(|entry| {
            let ids = entry
                .examples
                .iter()
                .map(|at| self.examples[*at].id.clone());
            (entry.kind, entry.text.as_str(), ids.collect())
        })
    }
}
