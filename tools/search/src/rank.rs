//! Which examples and pages are the nearest.

use std::collections::{BTreeMap, BTreeSet};

use crate::words::common_run;
use crate::{Entry, Hit, Index, Kind};

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

/// What a hit is of, by its place in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Example(usize),
    /// An entry that leads to no example.
    Entry(usize),
}

/// A score, and the entry that has it.
type Scored = (f32, usize);

impl<'a> Index<'a> {
    /// Returns what the query finds, the nearest first.
    pub(crate) fn rank(&self, query: &str, stems: &[String]) -> Vec<Hit<'a>> {
        // The sum of the scores, and the best of them.
        let mut totals: BTreeMap<Target, (f32, Scored)> = BTreeMap::new();
        for kind in self.fields.keys() {
            for (target, (score, at)) in self.best(*kind, query, stems) {
                let slot = totals.entry(target).or_insert((0.0, (0.0, at)));
                slot.0 += score;
                if score > slot.1.0 {
                    slot.1 = (score, at);
                }
            }
        }
        let mut ranked: Vec<(Target, (f32, Scored))> = totals.into_iter().collect();
        ranked.sort_by(|(_, a), (_, b)| b.0.total_cmp(&a.0));
        let hit = |(target, (_, (_, at))): (Target, (f32, Scored))| Hit {
            example: match target {
                Target::Example(at) => Some(self.examples[at]),
                Target::Entry(_) => None,
            },
            page: self.entries[at].page.clone(),
            reason: self.entries[at].kind.reason(&self.entries[at].text),
        };
        let mut hits: Vec<Hit<'a>> = ranked.into_iter().map(hit).collect();
        // Of a page with many headings, the nearest one.
        let mut pages = BTreeSet::new();
        hits.retain(|hit| hit.page.is_none() || pages.insert(hit.page.clone()));
        hits
    }

    /// Returns the best entry of this kind for each example, and for each page.
    fn best(
        &self,
        kind: Kind,
        query: &str,
        stems: &[String],
    ) -> BTreeMap<Target, Scored> {
        let mut best: BTreeMap<Target, Scored> = BTreeMap::new();
        for (at, score) in self.scores(kind, stems) {
            let entry = &self.entries[at];
            let (mut score, mut exact) = self.worth(entry, query, score * kind.weight());
            let examples = entry.examples.iter().copied().map(Target::Example);
            let mut targets: Vec<Target> = examples.collect();
            if targets.is_empty() {
                targets.push(Target::Entry(at));
                let factor = if entry.page.is_none() { NOT_SHOWN } else { 1.0 };
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

    /// Returns the entries of this kind that have words of the query, or synonyms.
    fn scores(&self, kind: Kind, stems: &[String]) -> BTreeMap<usize, f32> {
        let (embedder, scorer) = &self.fields[&kind];
        let others = stems.iter().filter_map(|stem| self.synonyms.get(stem));
        let others: Vec<&str> = others.map(String::as_str).collect();
        let mut scores: BTreeMap<usize, f32> = BTreeMap::new();
        for (text, weight) in [(stems.join(" "), 1.0), (others.join(" "), SYNONYM)] {
            for hit in scorer.matches(&embedder.embed(&text)) {
                *scores.entry(hit.id).or_default() += weight * hit.score;
            }
        }
        scores
    }

    /// Returns the score of an entry, and what is added if the query is the entry.
    fn worth(&self, entry: &Entry, query: &str, score: f32) -> (f32, f32) {
        // A word alone is more often meant as the name of a thing than of a chapter.
        let is_word = entry.kind == Kind::Chapter && !query.contains(' ');
        if entry.is_meant_by(query) && !is_word {
            return (score, EXACT);
        }
        // A message stands in the midst of a traceback, or only a part of it is typed.
        let run = match entry.kind {
            Kind::Message => common_run(&entry.key, query),
            _ => 0,
        };
        let in_a_row = if run > 2 { IN_A_ROW * run as f32 } else { 0.0 };
        (score + in_a_row, 0.0)
    }
}
