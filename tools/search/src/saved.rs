//! The index as one text: the pages of the book search in it, where there are no files.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::words::whole;
use crate::{Entry, Index, Kind, Shown};

/// The stems of an entry are characters: the places of their words, from here on.
const FIRST: u32 = 0x100;

#[derive(Serialize, Deserialize)]
struct Saved {
    /// A word for each stem. Frequent stems come first, and have the short characters.
    words: Vec<String>,
    examples: Vec<Shown>,
    crates: HashMap<String, String>,
    entries: Vec<Entry>,
}

impl Index {
    /// Returns all of it. `page` says where the book has an entry, by its kind, its text and
    /// the place that it has in the workspace.
    ///
    /// # Errors
    ///
    /// When an entry cannot be written as JSON.
    pub fn save(
        &self,
        page: impl Fn(Kind, &str, Option<&str>) -> String,
    ) -> anyhow::Result<String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for stem in self.entries.iter().flat_map(|it| it.stems.split(' ')) {
            *counts.entry(stem).or_default() += 1;
        }
        let mut known: Vec<(&String, &String)> = self.stems.all().collect();
        known.sort_unstable_by_key(|(stem, _)| {
            (Reverse(counts.get(stem.as_str())), *stem)
        });
        let letters = known.iter().zip((FIRST..).filter_map(char::from_u32));
        let letters: HashMap<_, _> =
            letters.map(|((stem, _), it)| (stem.as_str(), it)).collect();
        let entries = self.entries.iter().map(|entry| {
            let stems = entry.stems.split(' ');
            let is_shown = entry.kind.reason(&entry.text).is_some();
            let is_long = matches!(entry.kind, Kind::Header | Kind::Program);
            Entry {
                kind: entry.kind,
                text: if is_shown {
                    entry.text.clone()
                } else {
                    String::new()
                },
                key: match is_long || is_shown && whole(&entry.text) == entry.key {
                    true => String::new(),
                    false => entry.key.clone(),
                },
                stems: stems.filter_map(|stem| letters.get(stem)).collect(),
                page: Some(page(entry.kind, &entry.text, entry.page.as_deref()))
                    .filter(|page| !page.is_empty()),
                heading: entry.heading,
                examples: entry.examples.clone(),
            }
        });
        Ok(serde_json::to_string(&Saved {
            words: known.iter().map(|(_, word)| (*word).clone()).collect(),
            examples: self.examples.clone(),
            crates: self.crates.clone(),
            entries: entries.collect(),
        })?)
    }

    /// Returns the index that was saved as this text.
    ///
    /// # Errors
    ///
    /// When the text is no saved index.
    pub fn load(saved: &str) -> anyhow::Result<Self> {
        let saved: Saved = serde_json::from_str(saved)?;
        let mut index = Self {
            examples: saved.examples,
            entries: saved.entries,
            crates: saved.crates,
            ..Self::default()
        };
        let stems: Vec<String> =
            saved.words.iter().map(|it| index.stems.know(it)).collect();
        let places: HashMap<char, &String> =
            (FIRST..).filter_map(char::from_u32).zip(&stems).collect();
        for entry in &mut index.entries {
            let own = entry.stems.chars().filter_map(|letter| places.get(&letter));
            if entry.key.is_empty() {
                entry.key = whole(&entry.text);
            }
            entry.stems = own.map(|stem| format!("{stem} ")).collect();
        }
        index.score();
        Ok(index)
    }
}
