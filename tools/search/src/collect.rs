//! What can be found, read from the tables, the headers and the programs.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use catalog::chapters::headings;
use catalog::compile_fail;
use catalog::tables::{
    ApiName, Block, Clause, Crate, Guide, Message, Neighbour, Question, RustNames, rows,
};
use catalog::workspace::{Example, Workspace};

use crate::rank::{Field, Target};
use crate::words::{Stems, names, whole};
use crate::{Entry, Index, Kind, Shown};

impl Index {
    /// Reads everything that can be found. The inventory names rows and files that are wrong.
    ///
    /// # Errors
    ///
    /// When a table or a program cannot be read.
    pub fn of(workspace: &Workspace) -> Result<Self> {
        let examples: Vec<&Example> = workspace.read_examples().collect();
        let shown = examples.iter().map(|example| Shown {
            id: example.id(),
            summary: example.header.summary.clone(),
            page: None,
        });
        let places = examples.iter().enumerate();
        let places = places.map(|(at, example)| (example.id(), at));
        let mut index = Self {
            examples: shown.collect(),
            places: places.collect(),
            entries: Vec::new(),
            fields: BTreeMap::new(),
            asked: Field::default(),
            stems: Stems::from(Vec::new()),
            held: HashMap::new(),
            spread: HashMap::new(),
            crates: HashMap::new(),
        };
        for (at, example) in examples.into_iter().enumerate() {
            index.add_example(at, example);
        }
        index.add_chapters(workspace)?;
        for (_, row) in rows::<Crate>(&workspace.root)? {
            index.crates.insert(row.name, row.purpose);
        }
        for (_, row) in rows::<Question>(&workspace.root)? {
            let places = index.places(&row.examples);
            index.add(Kind::Question, &row.question, "", places);
        }
        index.add_names(workspace)?;
        index.add_messages(workspace)?;
        index.add_guides(workspace)?;
        index.score();
        Ok(index)
    }

    fn add_example(&mut self, at: usize, example: &Example) {
        let header = &example.header;
        self.add(Kind::Example, &example.name, "", vec![at]);
        let place = format!(" {} {}", example.section, example.group);
        self.add(Kind::Summary, &header.summary, &place, vec![at]);
        for trap in &header.paragraphs {
            if let Some(number) = &trap.number {
                self.add(
                    Kind::Trap,
                    number,
                    &format!(": {}", one_line(&trap.text)),
                    vec![at],
                );
            }
        }
        let prose = header.paragraphs.iter().map(|it| it.text.as_str());
        let prose: Vec<&str> = prose.collect();
        self.add(Kind::Header, &prose.join("\n"), "", vec![at]);
        let twin = example.has_twin().then_some(&example.twin);
        let files = [Some(&example.source), example.demo.as_ref(), twin];
        let program = names(files.into_iter().flatten());
        self.add(Kind::Program, &program, "", vec![at]);
    }

    /// Adds the names of asyncio, of Rust and of libraries.
    fn add_names(&mut self, workspace: &Workspace) -> Result<()> {
        let mut shown: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, example) in workspace.examples().enumerate() {
            for name in &example.header.asyncio {
                shown.entry(name).or_default().push(at);
            }
        }
        let mut clauses: HashMap<String, Vec<Clause>> = HashMap::new();
        for (_, clause) in rows::<Clause>(&workspace.root)? {
            if clause.in_rust != "-" {
                clauses.entry(clause.name.clone()).or_default().push(clause);
            }
        }
        for (_, row) in rows::<ApiName>(&workspace.root)? {
            // Examples that are about the name come before those that merely show it.
            let mut places = shown.remove(&*row.name).unwrap_or_default();
            places.extend(self.places(&row.examples));
            let counterpart = format!(" = {}", row.counterpart);
            self.add(Kind::Name, &row.name, &counterpart, places.clone());
            for clause in clauses.remove(&row.name).unwrap_or_default() {
                let text = format!("{} {}", row.name, clause.clause);
                let in_rust = format!(" Here: {}", clause.in_rust);
                self.add(Kind::Clause, &text, &in_rust, places.clone());
            }
        }
        for (_, row) in rows::<RustNames>(&workspace.root)? {
            let places = self.places(&row.examples);
            let meaning = format!(" = {}", row.meaning);
            self.add(Kind::Rust, &row.names, &meaning, places);
        }
        for (_, row) in rows::<Neighbour>(&workspace.root)? {
            let places = self.places(&row.examples);
            let rest = format!(" = {}. {}", row.crates.join(", "), row.differs);
            self.add(Kind::Library, &row.name, &rest, places);
        }
        Ok(())
    }

    /// Adds what the compiler says, and what is printed when something is wrong.
    fn add_messages(&mut self, workspace: &Workspace) -> Result<()> {
        for section in &workspace.sections {
            let programs = compile_fail::find(section)?.into_iter();
            for fail in programs.flat_map(|(_, fail)| fail) {
                let id = format!("{}/{}", fail.section, fail.example);
                let places = self.places(&[id]);
                self.add(Kind::Message, &fail.message(), "", places);
            }
        }
        for (_, row) in rows::<Message>(&workspace.root)? {
            let places = self.places(&row.examples);
            let rest = format!(" ({}): {}", row.from, row.meaning);
            self.add(Kind::Message, &row.message, &rest, places);
        }
        Ok(())
    }

    /// Adds the guides by their numbers and titles, and the headings of their blocks.
    fn add_guides(&mut self, workspace: &Workspace) -> Result<()> {
        let mut titles = HashMap::new();
        for (_, guide) in rows::<Guide>(&workspace.root)? {
            let number = format!("Guide {}", guide.number());
            let page = format!("{} guide {}", workspace.command, guide.number());
            let title = format!(": {}", guide.title);
            self.add(Kind::Guide, &number, &title, Vec::new());
            self.lead_to(page.clone());
            self.add(
                Kind::Guide,
                &guide.title,
                &format!(" ({number})"),
                Vec::new(),
            );
            self.lead_to(page);
            titles.insert(guide.guide.clone(), guide.full_title());
        }
        for (_, row) in rows::<Block>(&workspace.root)? {
            let places = self.places(&row.examples);
            let title = titles.get(row.guide()).cloned().unwrap_or_default();
            let (part, heading) = row.headings();
            let rest = format!(" ({title}, {} {part})", row.block);
            self.add(Kind::Guide, heading, &rest, places);
        }
        Ok(())
    }

    /// Makes the scores of the entries, for each kind by itself, and counts who has which stem.
    pub(crate) fn score(&mut self) {
        for at in 0..self.entries.len() {
            let entry = &mut self.entries[at];
            entry.key = whole(&entry.text[..entry.length]);
            let heading = self.stems.learn(&entry.text);
            entry.heading = heading.chars().count();
            entry.stems = heading + &entry.below;
            for target in entry.targets(at) {
                let held = self.held.entry(target).or_default();
                held.extend(entry.stems.chars());
            }
        }
        for stem in self.held.values().flatten() {
            *self.spread.entry(*stem).or_default() += 1;
        }
        let mut texts: BTreeMap<Kind, HashMap<usize, String>> = BTreeMap::new();
        let mut asked: HashMap<Target, String> = HashMap::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let own = texts.entry(entry.kind).or_default();
            own.insert(at, entry.stems.clone());
            if entry.kind == Kind::Question {
                for target in entry.targets(at) {
                    asked.entry(target).or_default().push_str(&entry.stems);
                }
            }
        }
        let fields = texts.into_iter();
        self.fields = fields.map(|(kind, it)| (kind, Field::new(&it))).collect();
        self.asked = Field::new(&asked);
    }

    fn places(&self, ids: &[String]) -> Vec<usize> {
        let places = ids.iter().filter_map(|id| self.places.get(id));
        places.copied().collect()
    }

    /// Adds the headings of the chapters, each with its chapter's, and what stands under them.
    fn add_chapters(&mut self, workspace: &Workspace) -> Result<()> {
        for heading in headings(workspace)? {
            let rest = match heading.is_title() {
                true => String::new(),
                false => format!(" ({})", heading.title),
            };
            let (at, summary) = (self.examples.len(), heading.words.clone() + &rest);
            self.add(Kind::Chapter, &heading.words, &rest, vec![at]);
            self.add(Kind::Section, &summary, "", vec![at]);
            if let Some(last) = self.entries.last_mut() {
                last.below = self.stems.learn(&heading.body);
            }
            self.places.insert(heading.id.clone(), at);
            self.examples.push(Shown {
                id: heading.id,
                summary,
                page: Some(heading.file),
            });
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
        let mut entry = Entry {
            kind,
            examples,
            ..Entry::default()
        };
        // These are longer than all others together.
        if matches!(kind, Kind::Header | Kind::Program) {
            entry.below = self.stems.learn(&text);
        } else {
            (entry.text, entry.length) = (text, key.len());
        }
        self.entries.push(entry);
    }
}

/// Returns a text without its line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}
