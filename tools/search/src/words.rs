//! How texts and queries are cut into words.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use bm25::Tokenizer;
use catalog::files::read;
use rust_stemmers::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize, Serializer};

/// Words that say nothing of what is searched.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "almost", "an", "and", "any", "are", "as", "asyncio",
    "at", "be", "before", "but", "by", "can", "could", "do", "does", "doing", "for",
    "from", "get", "has", "have", "how", "i", "if", "in", "instead", "into", "is", "it",
    "its", "just", "like", "me", "my", "need", "no", "not", "of", "on", "one", "or",
    "our", "out", "over", "python", "rust", "s", "should", "so", "some", "t", "that",
    "the", "their", "them", "then", "there", "these", "they", "this", "to", "tokio",
    "up", "use", "using", "want", "was", "we", "what", "when", "where", "which", "while",
    "why", "will", "with", "without", "would", "you",
];

/// Returns the words of a text, in lower case, without those that say nothing. A name such
/// as `asyncio.wait_for` or `JoinSet` gives its parts and itself.
pub fn words(text: &str) -> Vec<String> {
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
    words.retain(|word| !word.is_empty() && !STOP_WORDS.contains(&word.as_str()));
    words
}

/// Text that was cut and stemmed before: each character is a stem.
#[derive(Debug)]
pub struct Stemmed;

impl Tokenizer for Stemmed {
    fn tokenize(&self, text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }
}

/// The stems of words. Each is a character, from this one on, in the order in which they come.
const FIRST: u32 = 0x100;

/// A word for each stem. It is saved as these words.
#[derive(Deserialize)]
#[serde(from = "Vec<String>")]
pub struct Stems {
    stemmer: Stemmer,
    known: HashMap<String, char>,
    words: Vec<String>,
    /// The stems of names, each found once.
    of: HashMap<String, String>,
}

impl Serialize for Stems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.words.serialize(serializer)
    }
}

impl From<Vec<String>> for Stems {
    fn from(words: Vec<String>) -> Self {
        let mut stems = Self {
            stemmer: Stemmer::create(Algorithm::English),
            known: HashMap::new(),
            words: Vec::new(),
            of: HashMap::new(),
        };
        for word in words {
            stems.know(&word);
        }
        stems
    }
}

impl Stems {
    /// Returns the stem of a known word, or of the known word that is nearest to it, and that
    /// word; nothing if none is near.
    pub fn look_up(&self, word: &str, is_alone: bool) -> Option<(char, Option<&str>)> {
        if let Some(stem) = self.known(word) {
            return Some((stem, None));
        }
        let near = self.near(word, is_alone)?;
        Some((self.known(near)?, Some(near)))
    }

    /// Returns the stem of a word, if it is known.
    pub fn known(&self, word: &str) -> Option<char> {
        self.known.get(&*self.stemmer.stem(word)).copied()
    }

    /// Returns the known word that is a typing error away, or two in a long word. A word of
    /// five letters or less has too many others near it; of five, if it is not alone.
    fn near(&self, word: &str, is_alone: bool) -> Option<&str> {
        let most = word.len() / if is_alone { 5 } else { 6 };
        let near = self
            .words
            .iter()
            .map(|known| (strsim::damerau_levenshtein(word, known), known));
        let near = near.filter(|(distance, _)| *distance <= most.min(2)).min();
        near.map(|(_, known)| known.as_str())
    }

    /// Returns the stem of a word, and knows it from now on.
    fn know(&mut self, word: &str) -> char {
        let stem = self.stemmer.stem(word).into_owned();
        *self.known.entry(stem).or_insert_with(|| {
            let place = u32::try_from(self.words.len()).ok();
            self.words.push(word.to_owned());
            let stem = place.and_then(|place| char::from_u32(FIRST + place));
            stem.expect("there are more characters than stems")
        })
    }

    /// Returns the stems of a text's words, and knows them from now on.
    pub fn learn(&mut self, text: &str) -> String {
        let is_end = |c: char| !c.is_alphanumeric() && c != '_';
        let mut stems = String::new();
        for name in text.split(is_end).filter(|name| !name.is_empty()) {
            if !self.of.contains_key(name) {
                let found = words(name).into_iter();
                let found: String = found.map(|word| self.know(&word)).collect();
                self.of.insert(name.to_owned(), found);
            }
            stems += &self.of[name];
        }
        stems
    }
}

/// Returns a text as it is compared as a whole: capital letters, blanks and the marks at its
/// end make no difference.
pub fn whole(text: &str) -> String {
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

/// Returns how many words the two texts have in common, one after the other. Two of them must
/// say something: `in an async` is a part of many questions, and of some messages.
pub fn common_run(one: &str, other: &str) -> usize {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (one, other) = (words(one), words(other));
    // Of each run its length, and how many of its words say something.
    let (mut longest, mut last) = (0, vec![(0, 0); other.len() + 1]);
    for word in &one {
        let says = usize::from(!STOP_WORDS.contains(&word.to_lowercase().as_str()));
        let mut runs = vec![(0, 0); other.len() + 1];
        for at in (0..other.len()).filter(|at| other[*at] == *word) {
            let (length, saying) = (last[at].0 + 1, last[at].1 + says);
            runs[at + 1] = (length, saying);
            if saying > 1 {
                longest = longest.max(length);
            }
        }
        last = runs;
    }
    longest
}

/// Returns the names that programs use, each once: how often a program says one tells nothing.
pub fn names<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> String {
    let texts = files.into_iter().map(|path| read(path));
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
