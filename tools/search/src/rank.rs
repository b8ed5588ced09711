//! Which examples and pages are the nearest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use bm25::{Embedder, EmbedderBuilder, Scorer};

use crate::words::{Stemmed, common_run, whole, words};
use crate::{Entry, Hit, Index, Kind};

/// How much is added where the query is the entry, word for word.
const EXACT: f32 = 1000.0;
/// How much is added where a rare word of the query is the name of the entry.
const NAMED: f32 = 400.0;
/// How many targets have a rare word, at most.
const RARE: usize = 4;
/// How much of the query such a word is, at least.
const OF_QUERY: f32 = 0.5;
/// How much each word of a message is worth that the query has in a row.
const IN_A_ROW: f32 = 20.0;
/// How much all questions of a target count that have words of the query.
const ASKED: f32 = 2.0;
/// How much of a score depends on the share of the query's words that the target has.
const COVER: f32 = 0.8;
/// The share of the query's words that a section has, if it is shown.
const OF_SECTION: f32 = 0.6;
/// How much an entry counts that no example shows.
const NOT_SHOWN: f32 = 0.5;
/// How much an entry's second example counts next to its first.
const LATER: f32 = 0.7;

/// What a hit is of, by its place in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Or a heading.
    Example(usize),
    /// An entry that leads to neither.
    Entry(usize),
}

/// A score, and the entry that has it.
type Scored = (f32, usize);

/// Texts that are compared with a query, and with each other.
pub struct Field<K>(Option<(Embedder<u32, Stemmed>, Scorer<K>)>);

impl<K> Default for Field<K> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K: Ord + Hash + Clone> Field<K> {
    /// Takes the stems of each text.
    pub(crate) fn new(texts: &HashMap<K, String>) -> Self {
        let all: Vec<&str> = texts.values().map(String::as_str).collect();
        let builder = EmbedderBuilder::with_tokenizer_and_fit_to_corpus(Stemmed, &all);
        let (embedder, mut scorer) = (builder.build(), Scorer::new());
        for (key, stems) in texts {
            scorer.upsert(key, embedder.embed(stems));
        }
        Self(Some((embedder, scorer)))
    }

    /// Returns the texts that have words of the query, in the order of their keys.
    fn scores(&self, stems: &[char]) -> BTreeMap<K, f32> {
        let Some((embedder, scorer)) = &self.0 else {
            return BTreeMap::new();
        };
        let hits = scorer.matches(&embedder.embed(&String::from_iter(stems)));
        hits.into_iter().map(|hit| (hit.id, hit.score)).collect()
    }
}

impl Index {
    /// Returns what a query finds, the nearest first. An entry is meant that is one of `meant`.
    /// Of `named` are the rows of names that come next.
    pub(crate) fn rank(
        &self,
        meant: &[String],
        named: &[String],
        stems: &[char],
    ) -> Vec<Hit<'_>> {
        // The sum of the scores, and the best of them.
        let mut totals: BTreeMap<Target, (f32, Scored)> = BTreeMap::new();
        // A word alone says little where it stands in the midst of a text.
        let is_alone = stems.len() == 1;
        let is_ranked = |kind: &&Kind| **kind != Kind::Section || !is_alone;
        for kind in self.fields.keys().filter(is_ranked) {
            for (target, (score, at)) in self.best(*kind, meant, named, stems) {
                let slot = totals.entry(target).or_insert((0.0, (0.0, at)));
                slot.0 += score;
                if score > slot.1.0 {
                    slot.1 = (score, at);
                }
            }
        }
        let asked = self.asked.scores(stems).into_iter();
        for (target, score) in asked.filter(|_| !is_alone) {
            if let Some(slot) = totals.get_mut(&target) {
                slot.0 += ASKED * score;
            }
        }
        for (target, slot) in totals.iter_mut().filter(|(_, it)| it.0 < EXACT / 2.0) {
            let held = &self.held[target];
            slot.0 *= 1.0 - COVER + COVER * self.share(stems, |stem| held.contains(stem));
        }
        // A trap has no score but as the number that was asked for.
        totals.retain(|_, (score, _)| *score > 0.0);
        let mut ranked: Vec<(Target, (f32, Scored))> = totals.into_iter().collect();
        ranked.sort_by(|(_, a), (_, b)| b.0.total_cmp(&a.0));
        let hit = |(target, (_, (_, at))): (Target, (f32, Scored))| {
            let Entry {
                kind, text, page, ..
            } = &self.entries[at];
            let (shown, page) = match target {
                Target::Example(at) => {
                    (Some(&self.examples[at]), &self.examples[at].page)
                }
                Target::Entry(_) => (None, page),
            };
            Hit {
                shown,
                page: page.clone(),
                kind: *kind,
                reason: kind.reason(text),
            }
        };
        let mut hits: Vec<Hit<'_>> = ranked.into_iter().map(hit).collect();
        // Of a page with many headings, the nearest one, and those that a row leads to.
        let mut pages = BTreeSet::new();
        hits.retain(|hit| {
            let page = match hit.kind {
                Kind::Chapter | Kind::Section => {
                    hit.shown.map(|it| it.chapter().to_owned())
                }
                Kind::Guide => hit.page.clone(),
                _ => None,
            };
            page.is_none_or(|page| pages.insert(page))
        });
        hits
    }

    /// Returns the best entry of this kind for each example, and for each page.
    fn best(
        &self,
        kind: Kind,
        meant: &[String],
        named: &[String],
        stems: &[char],
    ) -> BTreeMap<Target, Scored> {
        let mut best: BTreeMap<Target, Scored> = BTreeMap::new();
        for (at, score) in self.fields[&kind].scores(stems) {
            let entry = &self.entries[at];
            let (mut score, mut exact) =
                self.worth(entry, meant, named, score * kind.weight());
            let targets = entry.targets(at);
            if entry.examples.is_empty() {
                let factor = if kind == Kind::Guide { 1.0 } else { NOT_SHOWN };
                score *= factor;
                exact *= factor;
            }
            for target in targets {
                let slot = best.entry(target).or_insert((0.0, at));
                if score + exact > slot.0 {
                    *slot = (score + exact, at);
                }
                score *= LATER;
                // Many examples are about a name, in the order of the book. What else they
                // say decides which one is the best.
                exact *= if kind == Kind::Name { 1.0 } else { LATER };
            }
        }
        best
    }

    /// Returns the words of a query that few targets have and that are most of it: each may be
    /// a name. There are none if a target has the whole query: it is not about the name.
    pub(crate) fn rare(&self, query: &str, stems: &[char]) -> Vec<String> {
        let mut targets = self.held.values();
        if targets.any(|held| stems.iter().all(|stem| held.contains(stem))) {
            return Vec::new();
        }
        let is_rare = |word: &String| {
            let own = words(word).into_iter();
            let own = own.filter_map(|word| self.stems.known(&word));
            let own: Vec<char> = own.collect();
            let mut spread = own.iter().filter_map(|stem| self.spread.get(stem));
            spread.any(|many| *many <= RARE)
                && self.share(stems, |stem| own.contains(stem)) >= OF_QUERY
        };
        let words = query.split_whitespace().map(whole);
        words.filter(is_rare).collect()
    }

    /// Returns how much of the query the stems are that `has` holds for: a rare one is more.
    fn share(&self, stems: &[char], has: impl Fn(&char) -> bool) -> f32 {
        let all = self.held.len() as f32;
        let rarity = |stem: &char| {
            let spread = self.spread.get(stem).copied().unwrap_or_default() as f32;
            (1.0 + (all - spread + 0.5) / (spread + 0.5)).ln()
        };
        let sum: f32 = stems.iter().map(rarity).sum();
        let own = stems.iter().filter(|stem| has(stem)).map(rarity);
        own.sum::<f32>() / sum.max(0.01)
    }

    /// Returns the page and the heading of the nearest section, if it has most of the query,
    /// and a word alone in its heading; nothing if it is among the hits.
    pub(crate) fn section(
        &self,
        stems: &[char],
        hits: &[Hit<'_>],
    ) -> Option<(String, String)> {
        // A workspace may have no chapters.
        let scores = self.fields.get(&Kind::Section)?.scores(stems);
        let best = scores.into_iter().filter_map(|(at, score)| {
            let Entry {
                stems: own,
                heading,
                ..
            } = &self.entries[at];
            let own: BTreeSet<char> = match stems {
                [_] => own.chars().take(*heading).collect(),
                _ => own.chars().collect(),
            };
            let share = self.share(stems, |stem| own.contains(stem));
            (share >= OF_SECTION).then_some((at, score * share))
        });
        let (at, _) = best.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let own = &self.examples[*self.entries[at].examples.first()?];
        let is_hit = |hit: &Hit<'_>| hit.shown.is_some_and(|it| it.id == own.id);
        (!hits.iter().any(is_hit)).then_some((own.page.clone()?, own.summary.clone()))
    }

    /// Returns the score of an entry, and what is added if the query is the entry.
    fn worth(
        &self,
        entry: &Entry,
        meant: &[String],
        named: &[String],
        score: f32,
    ) -> (f32, f32) {
        // A word alone is more often meant as the name of a thing than of a chapter.
        let is_word = |query: &str| entry.kind == Kind::Chapter && !query.contains(' ');
        let mut queries = meant.iter();
        if queries.any(|query| entry.is_meant_by(query) && !is_word(query)) {
            return (score, EXACT);
        }
        let is_name = matches!(entry.kind, Kind::Name | Kind::Library);
        if is_name && named.iter().any(|word| entry.is_meant_by(word)) {
            return (score, NAMED);
        }
        // A message stands in the midst of a traceback, or only a part of it is typed.
        let run = match entry.kind {
            Kind::Message => common_run(&entry.key, &meant[0]),
            _ => 0,
        };
        let in_a_row = if run > 2 { IN_A_ROW * run as f32 } else { 0.0 };
        (score + in_a_row, 0.0)
    }
}
