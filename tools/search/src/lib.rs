//! One ranked search over everything that leads to an example: names, summaries, questions,
//! names of asyncio, messages of the compiler, the guides' headings, headers and programs;
//! and over the headings of chapters.
//!
//! The ranking is BM25 over stemmed words, for each kind of entry by itself, as their texts
//! differ in length. An example's score is the weighted sum of its best entry of each kind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use bm25::{Embedder, EmbedderBuilder, Scorer, Tokenizer};
use catalog::files::entries;
use catalog::tables::{
    self, API_NAMES, ApiName, Block, Guide, Message, Neighbour, Question, RustNames,
    Synonym,
};
use catalog::workspace::{Example, Workspace};
use catalog::{compile_fail, questions};
use rust_stemmers::{Algorithm, Stemmer};
use serde::de::DeserializeOwned;

/// Words that say nothing of what is searched.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "an", "and", "any", "are", "as", "asyncio", "at", "be",
    "before", "but", "by", "can", "could", "do", "does", "doing", "for", "from", "get",
    "has", "have", "how", "i", "if", "in", "instead", "into", "is", "it", "its", "just",
    "like", "me", "my", "need", "no", "not", "of", "on", "one", "or", "our", "out",
    "python", "rust", "s", "should", "so", "some", "t", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "to", "tokio", "up", "use", "using",
    "want", "was", "we", "what", "when", "where", "which", "while", "why", "will",
    "with", "without", "would", "you",
];

/// Returns the words of a text, in lower case, without those that say nothing. A name such
/// as `asyncio.wait_for` or `JoinSet` gives its parts and itself.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    for name in text.split(|c| !is_name(c)).filter(|name| !name.is_empty()) {
        let mut parts = String::new();
        let mut was_lower = false;
        for c in name.chars() {
            if c == '_' || (c.is_uppercase() && was_lower) {
                parts.push(' ');
            }
            was_lower = c.is_lowercase();
            parts.extend(c.to_lowercase().filter(|c| *c != '_'));
        }
        if parts.contains(' ') {
            words.push(parts.replace(' ', ""));
        }
        words.extend(parts.split_whitespace().map(str::to_owned));
    }
    words.retain(|word| !STOP_WORDS.contains(&word.as_str()));
    words
}

/// Text that was cut and stemmed before: its words stand between blanks.
struct Stemmed;

impl Tokenizer for Stemmed {
    fn tokenize(&self, text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }
}

/// What an entry is, and how much its match counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The name of an example.
    Example,
    /// Its first line, its section and the heading that it stands under.
    Summary,
    /// A question of `docs/questions.tsv`.
    Question,
    /// A name of asyncio, with its counterpart.
    Name,
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
}

impl Kind {
    /// Found by trying: more for what is short and written for being found.
    fn weight(self) -> f32 {
        match self {
            Self::Example | Self::Summary => 1.0,
            Self::Question => 1.3,
            Self::Name | Self::Library | Self::Message | Self::Header => 0.8,
            Self::Guide | Self::Rust => 0.3,
            Self::Program => 0.4,
            Self::Chapter => 2.0,
        }
    }

    /// Returns what a hit says of an entry of this kind, unless the example's own line does.
    fn reason(self, text: &str) -> Option<String> {
        match self {
            Self::Question | Self::Guide | Self::Chapter => Some(text.to_owned()),
            Self::Name | Self::Library => Some(format!("Python: {text}")),
            Self::Rust => {
                let (_, meaning) = text.split_once(" = ")?;
                Some(format!("Rust: {meaning}"))
            }
            Self::Message => Some(format!("message: {text}")),
            Self::Example | Self::Summary | Self::Header | Self::Program => None,
        }
    }
}

/// Something that can be found.
#[derive(Debug)]
struct Entry {
    kind: Kind,
    text: String,
    /// What a query that means this entry alone says: its text, a name without its
    /// counterpart.
    key: String,
    /// The stems of its words, between blanks.
    stems: String,
    /// Places in [`Index::examples`], the best first.
    examples: Vec<usize>,
    /// Where to read, if not an example.
    page: Option<String>,
}

impl Entry {
    /// Whether the query is the entry, word for word; or one of its names, with or without
    /// the module or type before it.
    fn is_meant_by(&self, query: &str) -> bool {
        match self.kind {
            Kind::Rust => {
                let (_, name) = query.rsplit_once("::").unwrap_or_default();
                let name = if name.is_empty() { query } else { name };
                self.key.split(' ').any(|own| own == name)
            }
            _ => self.key == query,
        }
    }
}

/// Stems of names, each found once; and for each stem a word that has it.
struct Stems {
    stemmer: Stemmer,
    of: HashMap<String, String>,
    known: HashMap<String, String>,
}

impl Stems {
    /// Returns the stems of a text's words, and knows them from now on.
    fn learn(&mut self, text: &str) -> String {
        let is_end = |c: char| !c.is_alphanumeric() && c != '_';
        let mut stems = String::new();
        for name in text.split(is_end).filter(|name| !name.is_empty()) {
            if !self.of.contains_key(name) {
                let found = words(name).into_iter().map(|word| {
                    let stem = self.stemmer.stem(&word).into_owned();
                    self.known.entry(stem.clone()).or_insert(word);
                    stem + " "
                });
                let found: String = found.collect();
                self.of.insert(name.to_owned(), found);
            }
            stems += &self.of[name];
        }
        stems
    }
}

/// Everything that can be found.
#[expect(missing_debug_implementations, reason = "bm25's types have none")]
pub struct Index<'a> {
    examples: Vec<&'a Example>,
    /// The place of each example by its id.
    places: HashMap<String, usize>,
    entries: Vec<Entry>,
    fields: BTreeMap<Kind, (Embedder<u32, Stemmed>, Scorer<usize>)>,
    stems: Stems,
    /// Stems of words that readers type, each with stems that mean the same here.
    synonyms: HashMap<String, String>,
}

/// An example that was found.
#[derive(Debug)]
pub struct Hit<'a> {
    /// The example; nothing where the entry that was found has none.
    pub example: Option<&'a Example>,
    /// Where to read instead.
    pub page: Option<String>,
    /// The entry that matched best, if it was not the example itself.
    pub reason: Option<String>,
}

/// What was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// The nearest first, at most as many as were asked for.
    pub hits: Vec<Hit<'a>>,
    /// Words that nothing has, each with the word that was searched in its place.
    pub corrected: Vec<(String, String)>,
    /// Whether the query has only words that say nothing of what is searched.
    pub is_vague: bool,
}

/// What a hit is of: an example, or an entry that has none. Both are places in the index.
type Id = Result<usize, usize>;

impl<'a> Index<'a> {
    /// Reads everything that can be found. The inventory names rows and files that are wrong.
    ///
    /// # Errors
    ///
    /// When a table or a program cannot be read.
    pub fn of(workspace: &'a Workspace) -> Result<Self> {
        let examples = workspace.examples();
        let places = examples.enumerate().map(|(at, example)| (example.id(), at));
        let mut index = Self {
            examples: workspace.examples().collect(),
            places: places.collect(),
            entries: Vec::new(),
            fields: BTreeMap::new(),
            stems: Stems {
                stemmer: Stemmer::create(Algorithm::English),
                of: HashMap::new(),
                known: HashMap::new(),
            },
            synonyms: HashMap::new(),
        };
        for (at, example) in index.examples.clone().into_iter().enumerate() {
            let Example {
                section,
                group,
                name,
                header,
                ..
            } = example;
            index.add(Kind::Example, name, "", vec![at]);
            let place = format!(" {section} {group}");
            index.add(Kind::Summary, &header.summary, &place, vec![at]);
            let prose: Vec<&str> = header
                .paragraphs
                .iter()
                .map(|it| it.text.as_str())
                .collect();
            index.add(Kind::Header, &prose.join("\n"), "", vec![at]);
            let twin = example.has_twin().then_some(&example.twin);
            let files = [Some(&example.source), example.demo.as_ref(), twin];
            index.add(
                Kind::Program,
                &names(files.into_iter().flatten()),
                "",
                vec![at],
            );
        }
        for (_, row) in rows::<Question>(workspace, questions::PATH)? {
            let places = index.places(&row.examples);
            index.add(Kind::Question, &row.question, "", places);
        }
        let mut shown: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, example) in workspace.examples().enumerate() {
            for name in &example.header.asyncio {
                shown.entry(name).or_default().push(at);
            }
        }
        for (_, row) in rows::<ApiName>(workspace, API_NAMES)? {
            // Examples that are about the name come before those that merely show it.
            let merely = index.places(&row.examples);
            let mut places = shown.remove(&*row.name).unwrap_or_default();
            places.sort_by_key(|at| merely.contains(at));
            index.add(
                Kind::Name,
                &row.name,
                &format!(" = {}", row.counterpart),
                places,
            );
        }
        for (_, row) in rows::<RustNames>(workspace, "docs/rust-names.tsv")? {
            let places = index.places(&row.examples);
            let meaning = format!(" = {}", row.meaning);
            index.add(Kind::Rust, &row.names, &meaning, places);
        }
        for (_, row) in rows::<Neighbour>(workspace, "docs/neighbours.tsv")? {
            let places = index.places(&row.examples);
            let rest = format!(" = {}. {}", row.crates.join(", "), row.differs);
            index.add(Kind::Library, &row.name, &rest, places);
        }
        for section in &workspace.sections {
            for fail in compile_fail::find(section)?
                .into_iter()
                .flat_map(|(_, fail)| fail)
            {
                let places =
                    index.places(&[format!("{}/{}", fail.section, fail.example)]);
                index.add(Kind::Message, &fail.message(), "", places);
            }
        }
        for (_, row) in rows::<Message>(workspace, "docs/messages.tsv")? {
            let places = index.places(&row.examples);
            let rest = format!(" ({}): {}", row.from, row.meaning);
            index.add(Kind::Message, &row.message, &rest, places);
        }
        let mut titles = HashMap::new();
        for (_, guide) in rows::<Guide>(workspace, "docs/guide-titles.tsv")? {
            let number = format!("Guide {}", guide.number());
            let page = format!("{} guide {}", workspace.command, guide.number());
            index.add(
                Kind::Guide,
                &number,
                &format!(": {}", guide.title),
                Vec::new(),
            );
            index.lead_to(page.clone());
            index.add(
                Kind::Guide,
                &guide.title,
                &format!(" ({number})"),
                Vec::new(),
            );
            index.lead_to(page);
            titles.insert(guide.guide.clone(), guide.full_title());
        }
        for (_, row) in rows::<Block>(workspace, "docs/guides.tsv")? {
            let places = index.places(&row.examples);
            let title = titles.get(row.guide()).cloned().unwrap_or_default();
            let (part, heading) = row.headings();
            let rest = format!(" ({title}, {} {part})", row.block);
            index.add(Kind::Guide, heading, &rest, places);
        }
        for (_, row) in rows::<Synonym>(workspace, "docs/synonyms.tsv")? {
            let (word, others) =
                (index.stems.learn(&row.word), index.stems.learn(&row.others));
            index.synonyms.insert(word, others);
        }
        index.add_chapters(workspace)?;
        let mut kinds: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for (at, entry) in index.entries.iter().enumerate() {
            kinds.entry(entry.kind).or_default().push(at);
        }
        for (kind, own) in kinds {
            let texts = own.iter().map(|at| index.entries[*at].stems.as_str());
            let texts: Vec<&str> = texts.collect();
            let embedder: Embedder<u32, Stemmed> =
                EmbedderBuilder::with_tokenizer_and_fit_to_corpus(Stemmed, &texts)
                    .build();
            let mut scorer = Scorer::new();
            for (at, stems) in own.iter().zip(texts) {
                scorer.upsert(at, embedder.embed(stems));
            }
            index.fields.insert(kind, (embedder, scorer));
        }
        Ok(index)
    }

    fn places(&self, ids: &[String]) -> Vec<usize> {
        let places = ids.iter().filter_map(|id| self.places.get(id));
        places.copied().collect()
    }

    /// Adds the headings of the chapters, each with its chapter's.
    fn add_chapters(&mut self, workspace: &Workspace) -> Result<()> {
        for path in entries(&workspace.root.join("docs/chapters"))? {
            let text = fs::read_to_string(&path)?;
            let mut title = "";
            for line in text.lines().filter(|line| line.starts_with('#')) {
                let heading = line.trim_start_matches(['#', ' ']);
                let rest = match title {
                    "" => String::new(),
                    title => format!(" ({title})"),
                };
                self.add(Kind::Chapter, heading, &rest, Vec::new());
                self.lead_to(workspace.relative(&path));
                title = if title.is_empty() { heading } else { title };
            }
        }
        Ok(())
    }

    /// Says where the entry that was added last leads.
    fn lead_to(&mut self, page: String) {
        if let Some(last) = self.entries.last_mut() {
            last.page = Some(page);
        }
    }

    /// `key` is what a query says that means this entry alone; `rest` is found with it.
    fn add(&mut self, kind: Kind, key: &str, rest: &str, examples: Vec<usize>) {
        let text = format!("{key}{rest}");
        if kind == Kind::Message {
            let mut known = self.entries.iter_mut();
            if let Some(known) = known.find(|own| own.kind == kind && own.text == text) {
                known.examples.extend(examples);
                return;
            }
        }
        let stems = self.stems.learn(&text);
        self.entries.push(Entry {
            kind,
            key: whole(key),
            text,
            stems,
            examples,
            page: None,
        });
    }

    /// Returns the nearest examples, at most as many as `most`.
    pub fn find(&self, query: &str, most: usize) -> Found<'a> {
        let (mut corrected, mut stems) = (Vec::new(), Vec::new());
        for word in words(query) {
            let stem = self.stems.stemmer.stem(&word).into_owned();
            if self.stems.known.contains_key(&stem) {
                stems.push(stem);
            } else if let Some(near) = self.near(&word) {
                corrected.push((word, near.to_owned()));
                stems.push(self.stems.stemmer.stem(near).into_owned());
            }
        }
        let mut hits = self.rank(&whole(query), &stems);
        hits.truncate(most);
        let is_vague = hits.is_empty() && words(query).is_empty();
        if is_vague {
            hits.extend(self.entries.iter().find_map(Self::choice));
        }
        Found {
            hits,
            corrected,
            is_vague,
        }
    }

    /// Returns the chapter that answers "which one do I use", where this is its entry.
    fn choice(entry: &Entry) -> Option<Hit<'a>> {
        let page = entry.page.clone()?;
        page.ends_with("-which-one.md").then(|| Hit {
            example: None,
            page: Some(page),
            reason: entry.kind.reason(&entry.text),
        })
    }

    /// Returns the known word that is a typing error away, or two in a long word.
    fn near(&self, word: &str) -> Option<&str> {
        let most = word.len() / 4;
        let known = self.stems.known.values();
        let near = known.map(|known| (strsim::damerau_levenshtein(word, known), known));
        let near = near.filter(|(distance, _)| *distance <= most.min(2)).min();
        near.map(|(_, known)| known.as_str())
    }

    fn rank(&self, query: &str, stems: &[String]) -> Vec<Hit<'a>> {
        let others = stems.iter().filter_map(|stem| self.synonyms.get(stem));
        let others: Vec<&str> = others.map(String::as_str).collect();
        let queries = [(stems.join(" "), 1.0), (others.join(" "), SYNONYM)];
        // The sum of the scores, the best of them, and the entry that has it.
        let mut totals: BTreeMap<Id, (f32, f32, usize)> = BTreeMap::new();
        for (kind, (embedder, scorer)) in &self.fields {
            let mut scores: BTreeMap<usize, f32> = BTreeMap::new();
            for (text, weight) in &queries {
                for hit in scorer.matches(&embedder.embed(text)) {
                    *scores.entry(hit.id).or_default() += weight * hit.score;
                }
            }
            let mut best: BTreeMap<Id, (f32, usize)> = BTreeMap::new();
            for (at, score) in scores {
                let entry = &self.entries[at];
                let mut score = score * kind.weight();
                let mut exact = 0.0;
                // A word alone is more often meant as the name of a thing than of a chapter.
                let is_word = *kind == Kind::Chapter && !query.contains(' ');
                if entry.is_meant_by(query) && !is_word {
                    exact = EXACT;
                } else if *kind == Kind::Message {
                    // It stands in the midst of a traceback, or only a part of it is typed.
                    let run = common_run(&entry.key, query);
                    score += if run > 2 { IN_A_ROW * run as f32 } else { 0.0 };
                }
                let mut ids: Vec<Id> = entry.examples.iter().copied().map(Ok).collect();
                if ids.is_empty() {
                    ids.push(Err(at));
                    let factor = if entry.page.is_none() { NOT_SHOWN } else { 1.0 };
                    score *= factor;
                    exact *= factor;
                }
                for id in ids {
                    let slot = best.entry(id).or_insert((0.0, at));
                    if score + exact > slot.0 {
                        *slot = (score + exact, at);
                    }
                    score *= LATER;
                    // Many examples are about a name, in the order of the book. What else
                    // they say decides which one is the best.
                    exact *= if *kind == Kind::Name { 1.0 } else { LATER };
                }
            }
            for (id, (score, at)) in best {
                let slot = totals.entry(id).or_insert((0.0, 0.0, at));
                slot.0 += score;
                if score > slot.1 {
                    (slot.1, slot.2) = (score, at);
                }
            }
        }
        let mut ranked: Vec<(Id, (f32, f32, usize))> = totals.into_iter().collect();
        ranked.sort_by(|(_, a), (_, b)| b.0.total_cmp(&a.0));
        let hit = |(id, (_, _, at)): (Id, (f32, f32, usize))| Hit {
            example: id.ok().map(|at| self.examples[at]),
            page: self.entries[at].page.clone(),
            reason: self.entries[at].kind.reason(&self.entries[at].text),
        };
        let mut hits: Vec<Hit<'a>> = ranked.into_iter().map(hit).collect();
        // Of a page with many headings, the nearest one.
        let mut pages = BTreeSet::new();
        hits.retain(|hit| hit.page.is_none() || pages.insert(hit.page.clone()));
        hits
    }

    /// Returns every text that was written to be found, each with the ids of the examples
    /// that it leads to: questions, names, libraries, messages.
    pub fn written(&self) -> impl Iterator<Item = (Kind, &str, Vec<String>)> {
        use Kind::{Example, Library, Message, Name, Question, Rust};
        let written = [Question, Name, Rust, Library, Message, Example];
        let entries = self
            .entries
            .iter()
            .filter(move |own| written.contains(&own.kind));
        entries.map(|entry| {
            let ids = entry.examples.iter().map(|at| self.examples[*at].id());
            (entry.kind, entry.text.as_str(), ids.collect())
        })
    }
}

/// Returns the rows of a table; none where there is no table.
fn rows<T: DeserializeOwned>(
    workspace: &Workspace,
    path: &str,
) -> Result<Vec<(String, T)>> {
    if workspace.root.join(path).exists() {
        tables::read(&workspace.root, path)
    } else {
        Ok(Vec::new())
    }
}

/// Returns a text as it is compared as a whole: capital letters, blanks and the marks at its
/// end make no difference.
fn whole(text: &str) -> String {
    let text = text.replace(['`', '\''], "");
    let text = text
        .trim()
        .trim_end_matches(['?', '.', '(', ')'])
        .to_lowercase();
    let text = text.strip_prefix("asyncio.").unwrap_or(&text);
    // Before a message the compiler says what it is: `error[E0277]: `.
    let message = text
        .strip_prefix("error")
        .and_then(|text| text.split_once(": "));
    let text = message.map_or(text, |(_, message)| message);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// Returns how many words the two texts have in common, one after the other.
fn common_run(one: &str, other: &str) -> usize {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (one, other) = (words(one), words(other));
    let (mut longest, mut last) = (0, vec![0; other.len() + 1]);
    for word in &one {
        let mut runs = vec![0; other.len() + 1];
        for at in (0..other.len()).filter(|at| other[*at] == *word) {
            runs[at + 1] = last[at] + 1;
            longest = longest.max(runs[at + 1]);
        }
        last = runs;
    }
    longest
}

/// Returns the names that programs use, each once: how often a program says one tells nothing.
pub fn names<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> String {
    let texts = files.into_iter().map(fs::read_to_string);
    let texts: Vec<String> = texts.map(Result::unwrap_or_default).collect();
    let mut names = BTreeSet::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        if !line.starts_with("//!") && !line.starts_with("//@") {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let words = line.split(|c| !is_name(c));
            names.extend(words.filter(|word| word.len() > 2));
        }
    }
    names.into_iter().collect::<Vec<&str>>().join(" ")
}

/// How much a synonym counts beside the word itself.
const SYNONYM: f32 = 0.5;
/// How much is added where the query is the entry, word for word.
const EXACT: f32 = 1000.0;
/// How much each word of a message is worth that the query has in a row.
const IN_A_ROW: f32 = 20.0;
/// How much an entry counts that no example shows.
const NOT_SHOWN: f32 = 0.5;
/// How much an entry's second example counts beside its first.
const LATER: f32 = 0.8;
