//! Whether the tables and the headers lead to each other: rows to examples, traps to their
//! numbers, crates to what they are for.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::chapters::headings;
use crate::inventory::Problems;
use crate::tables::{self, Crate, Message, Question, Row as _, Trap};
use crate::workspace::Example;

impl Problems<'_> {
    /// Reports each row that leads nowhere, and each header that no row answers.
    pub(crate) fn check_links(&mut self) -> Result<()> {
        let workspace = self.workspace;
        let headings = headings(workspace)?;
        let is_heading = |id: &String| headings.iter().any(|it| it.id == *id);
        for (place, examples) in tables::links(&workspace.root)? {
            // Other tables are read by those who know examples only.
            let leads_to_chapters = [Question::PATH, Message::PATH]
                .iter()
                .any(|it| place.starts_with(it));
            for (at, id) in examples.iter().enumerate() {
                let problem = match workspace.example(id) {
                    Err(_) if leads_to_chapters && is_heading(id) => continue,
                    Err(error) => error.to_string(),
                    Ok(example) if example.id() != *id => {
                        format!("write `{}` for `{id}`", example.id())
                    }
                    Ok(_) if examples[..at].contains(id) => {
                        format!("it names `{id}` twice")
                    }
                    Ok(_) => continue,
                };
                self.report_row(&place, &problem);
            }
        }
        self.check_questions()?;
        self.check_traps()?;
        self.check_crates()
    }

    fn report_row(&mut self, place: &str, problem: &str) {
        let table = place.split(':').next().unwrap_or(place);
        let path = self.workspace.root.join(table);
        self.report(table, &path, format!("{place}: {problem}"));
    }

    /// Each question is there once: a full stop or a capital letter does not make another one.
    fn check_questions(&mut self) -> Result<()> {
        let mut seen = BTreeMap::new();
        for (place, Question { question, .. }) in tables::rows(&self.workspace.root)? {
            if question.is_empty() || question.trim() != question {
                let problem = "the question is empty, or begins or ends with a blank";
                self.report_row(&place, problem);
            }
            let bare = question.trim_end_matches(['?', '.']).to_lowercase();
            if let Some(first) = seen.get(&bare) {
                self.report_row(&place, &format!("{first} asks the same"));
            }
            seen.entry(bare).or_insert(place);
        }
        Ok(())
    }

    /// The numbers of an example are those of its traps, in the order of its header. A number
    /// stays: that of a trap that is gone is `retired`.
    fn check_traps(&mut self) -> Result<()> {
        let (workspace, path) = (self.workspace, Trap::PATH);
        let rows: Vec<(String, Trap)> = tables::rows(&workspace.root)?;
        for ((place, Trap { number, example }), count) in rows.iter().zip(1..) {
            if *number != format!("T{count:03}") {
                let next = format!("and the next one is `T{count:03}`");
                self.report_row(place, &format!("it has the number `{number}`, {next}"));
            }
            let is_there = workspace.examples().any(|it| it.id() == *example);
            if !is_there && !example.starts_with("retired") {
                let problem = format!(
                    "no example `{example}`; if no other has the trap now, write `retired: \
                     WHY` for the example"
                );
                self.report_row(place, &problem);
            }
        }
        let mut next = rows.len();
        for example in workspace.examples() {
            let id = example.id();
            let own = rows.iter().filter(|(_, row)| row.example == id);
            let own: Vec<&str> = own.map(|(_, row)| row.number.as_str()).collect();
            let count = example.header.labelled("Trap").count();
            for _ in own.len()..count {
                next += 1;
                let problem =
                    format!("a trap has no number; add to {path}: `T{next:03}\t{id}`");
                self.report(&id, &example.source, problem);
            }
            if own.len() > count {
                let own = own.join(", ");
                let problem = format!(
                    "traps in its header: {count}; numbers in {path}: {own}; write `retired: \
                     WHY` for the example beside the number of a trap that is gone"
                );
                self.report(&id, &example.source, problem);
            }
        }
        Ok(())
    }

    /// The crates that headers name for production are those of the table.
    fn check_crates(&mut self) -> Result<()> {
        let (workspace, path) = (self.workspace, Crate::PATH);
        let rows: Vec<(String, Crate)> = tables::rows(&workspace.root)?;
        let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_new = |word: &&str| {
            word.starts_with(is_letter)
                && word.chars().all(|c| is_letter(c) || c == '-')
                && !rows.iter().any(|(_, row)| row.name == *word)
                && workspace.find(word).is_none()
        };
        for example in workspace.examples() {
            for word in example.in_production().filter(is_new) {
                let problem = format!(
                    "{path} does not say what the crate `{word}` is for; if it is no crate, \
                     add it with an empty second column"
                );
                self.report(&example.id(), &example.source, problem);
            }
        }
        for (place, Crate { name, .. }) in &rows {
            let mut words = workspace.examples().flat_map(Example::in_production);
            if !words.any(|word| word == name) {
                let problem = format!(
                    "no paragraph `In production:` names `{name}`; remove the row"
                );
                self.report_row(place, &problem);
            }
        }
        Ok(())
    }
}
