//! The pages that lead to the examples.

use std::collections::BTreeMap;

use anyhow::Result;
use askama::Template;
use catalog::compile_fail::CompileFail;
use catalog::speed::{Speed, Unit, figures};
use catalog::tables::{ApiName, Clause, Question, SheetRow, Status};

use crate::contents::{Contents, Entry, Part};
use crate::links::{links, named};
use crate::markup::{after_header, anchor, block, seconds, with_code};

/// Declares the pages, each with the template that it is made by.
macro_rules! pages {
    ($($page:ident $of:ident $template:tt)*) => {
        $(#[derive(Template)]
        #[template(path = $template, escape = "html")]
        struct $page<'a>(&'a $of<'a>);)*
    };
}

pages! {
    Front Contents "front.md"
    Section Part "section.md"
    ByQuestion Contents "by-question.md"
    ByName Contents "by-name.md"
    BySection Contents "by-section.md"
    ByDifference Contents "by-difference.md"
    ByLibrary Contents "by-library.md"
    ByMessage Contents "by-message.md"
    ByGuide Contents "by-guide.md"
    Traps Contents "traps.md"
    Crates Contents "crates.md"
    Platforms Contents "platforms.md"
    Sheet Contents "sheet.md"
    EditorsAndAgents Contents "editors-and-agents.md"
}

/// The example that the first page shows: short lines, printed at several times.
const SHOWN: &str = "iterators/async_range";

/// Returns the first page.
pub fn front(contents: &Contents<'_>) -> Result<String> {
    contents.workspace.example(SHOWN)?;
    Ok(Front(contents).render()?)
}

/// Returns the page of a section.
pub fn section(part: &Part<'_>) -> Result<String> {
    Ok(Section(part).render()?)
}

/// Returns the others, in the order of the table of contents: the name without an ending,
/// the title, and the Markdown of each.
pub fn pages(all: &Contents<'_>) -> Result<Vec<(&'static str, &'static str, String)>> {
    let page = |name, title, text: askama::Result<String>| Ok((name, title, text?));
    let pages = [
        page("by-question", "By question", ByQuestion(all).render()),
        page("by-name", "By asyncio name", ByName(all).render()),
        page("by-section", "By section", BySection(all).render()),
        page("by-difference", "By difference", ByDifference(all).render()),
        page("by-library", "By library", ByLibrary(all).render()),
        page("by-message", "By message", ByMessage(all).render()),
        page("traps", "Traps", Traps(all).render()),
        page("crates", "Crates", Crates(all).render()),
        page("platforms", "Platforms", Platforms(all).render()),
        page("sheet", "On two pages", Sheet(all).render()),
        page(
            "editors-and-agents",
            "For editors and agents",
            EditorsAndAgents(all).render(),
        ),
        page("by-guide", "By guide", ByGuide(all).render()),
    ];
    pages.into_iter().collect()
}

impl<'a> Front<'a> {
    /// Returns how many examples print what their twins do.
    fn agreeing(&self) -> usize {
        let pairs = self.0.entries().filter(|it| it.twin.is_some());
        pairs.filter(|it| it.printed.is_none()).count() - self.differing()
    }

    fn differing(&self) -> usize {
        let entries = self.0.entries();
        entries.filter(|entry| entry.twin_golden.is_some()).count()
    }

    /// Returns how many times the time of Rust asyncio needs: least, median and most.
    fn faster(&self) -> Option<[f64; 3]> {
        let all = self.0.speed.iter().flat_map(Speed::all);
        let of_time = all.filter(|it| it.unit == Unit::Seconds);
        let peers = of_time.flat_map(|it| &it.peers);
        let peers = peers.filter(|it| it.name == "asyncio");
        let mut ratios: Vec<f64> = peers.map(|peer| peer.ratio.median).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        Some([*ratios.first()?, ratios[ratios.len() / 2], *ratios.last()?])
    }

    /// Returns the example that the page shows, and its twin.
    fn shown(&self) -> Option<(&'a Entry<'a>, &'a str)> {
        let shown = self.0.entries().find(|entry| entry.example.id() == SHOWN)?;
        Some((shown, shown.twin.as_deref()?))
    }
}

/// Returns the first sentence of a text; words in backticks belong together.
fn first_sentence(text: &str) -> &str {
    let is_end = |(at, _): &(usize, &str)| {
        let is_last = text[at + 1..].starts_with([' ', '\n']);
        is_last && text[..*at].matches('`').count().is_multiple_of(2)
    };
    let end = text.match_indices('.').find(is_end);
    &text[..end.map_or(text.len(), |(at, _)| at + 1)]
}

impl<'a> ByName<'a> {
    /// Returns the names by category, in the order in which the table has the categories.
    fn categories(&self) -> Vec<(&'a str, Vec<&'a ApiName>)> {
        let is_same = |a: &ApiName, b: &ApiName| a.category == b.category;
        let categories = self.0.names.chunk_by(is_same).map(|names| {
            let category = names[0].category.as_str();
            let mut names: Vec<&ApiName> = names.iter().collect();
            names.sort_by_key(|name| name.name.to_lowercase());
            (category, names)
        });
        categories.collect()
    }
}

impl<'a> ByName<'a> {
    /// Returns the clauses of a name that a port has to know, silent ones first.
    fn differing(&self, name: &ApiName) -> Vec<&'a Clause> {
        let order = ["silent", "hangs", "loud", "looks different"];
        let rank = |it: &Clause| order.iter().position(|port| *port == it.port);
        let clauses = self.0.clauses.iter().filter(|it| it.name == name.name);
        let mut clauses: Vec<_> = clauses.filter(|it| rank(it).is_some()).collect();
        clauses.sort_by_key(|it| rank(it));
        clauses
    }
}

impl<'a> ByQuestion<'a> {
    /// Returns the questions by the sections and the chapters of their best answers, and
    /// there by their answers.
    fn groups(&self) -> Vec<(&'a str, Vec<Answered<'a>>)> {
        let sections = self.0.workspace.read_sections();
        let sections = sections.map(|it| (it.name.as_str(), it.name.as_str()));
        let chapters = self.0.chapters.iter();
        let chapters = chapters.map(|it| (it.page.as_str(), it.title.as_str()));
        let groups = sections.chain(chapters).map(|(group, title)| {
            let questions = self.0.questions.iter().filter(|question| {
                let best = question.examples.first();
                best.is_some_and(|it| it.split(['/', '#']).next() == Some(group))
            });
            (title, answered(questions))
        });
        groups
            .filter(|(_, questions)| !questions.is_empty())
            .collect()
    }
}

/// Questions that the same examples answer, and these.
type Answered<'a> = (Vec<&'a str>, &'a [String]);

/// Returns the questions by their answers, in the order in which the answers come first.
fn answered<'a>(questions: impl Iterator<Item = &'a Question>) -> Vec<Answered<'a>> {
    let mut all: Vec<Answered<'_>> = Vec::new();
    for Question { question, examples } in questions {
        match all.iter_mut().find(|(_, answers)| answers == examples) {
            Some((questions, _)) => questions.push(question),
            None => all.push((vec![question], examples)),
        }
    }
    all
}

/// Returns a status as the style sheet and as the page names it.
fn status(status: &Status) -> [&'static str; 2] {
    match status {
        Status::Direct => ["direct", "direct"],
        Status::Pattern => ["pattern", "a few lines"],
        Status::None => ["none", "none"],
    }
}

impl<'a> ByMessage<'a> {
    /// Returns the programs that must not compile by the compiler's words; errors without
    /// a code come last.
    fn messages(&self) -> BTreeMap<(bool, &'a str, &'a str), Vec<&'a CompileFail>> {
        let mut messages: BTreeMap<_, Vec<&CompileFail>> = BTreeMap::new();
        for program in &self.0.compile_fail {
            let code = program.code.as_deref().unwrap_or_default();
            let key = (code.is_empty(), code, program.words.as_str());
            messages.entry(key).or_default().push(program);
        }
        messages
    }
}

impl Platforms<'_> {
    /// Returns how many examples printed their goldens on the system.
    fn met(&self, system: &str) -> usize {
        let platforms = self.0.entries().flat_map(|it| &it.example.platform);
        platforms
            .filter(|it| it.golden.iter().any(|it| it == system))
            .count()
    }

    /// Returns how many examples are run wherever the sections are built.
    fn run(&self) -> usize {
        let parts = self.0.parts.iter().filter(|it| it.section.is_default);
        parts.map(|it| it.entries.len()).sum()
    }
}

impl<'a> Sheet<'a> {
    fn groups(&self) -> impl Iterator<Item = &'a [SheetRow]> {
        self.0.sheet.chunk_by(|a, b| a.group == b.group)
    }
}

/// Returns the examples of a section by their headings.
fn groups<'a, 'b>(part: &'a Part<'b>) -> impl Iterator<Item = &'a [Entry<'b>]> {
    let is_same = |a: &Entry<'_>, b: &Entry<'_>| a.example.group == b.example.group;
    part.entries.chunk_by(is_same)
}
