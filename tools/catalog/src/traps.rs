//! `docs/traps.tsv`: the numbers by which the traps in the headers are cited.
//!
//! A number stays. The numbers of an example are those of its traps, in the order of its
//! header. Whoever takes a trap away marks its number as `retired`, so that the others keep
//! theirs.

use anyhow::Result;

use crate::tables::{self, Trap};
use crate::workspace::{Example, Workspace};

/// Where the numbers stand, below the workspace's root.
pub const PATH: &str = "docs/traps.tsv";

/// What is wrong with a table, and then with the numbers of single examples.
pub type Problems<'a> = (Vec<String>, Vec<(&'a Example, String)>);

/// Says what is wrong with the numbers.
///
/// # Errors
///
/// When the table cannot be read.
pub fn problems(workspace: &Workspace) -> Result<Problems<'_>> {
    let (mut of_rows, mut of_examples) = (Vec::new(), Vec::new());
    let rows: Vec<(String, Trap)> = tables::rows(&workspace.root)?;
    for ((place, row), count) in rows.iter().zip(1..) {
        let (number, example) = (&row.number, &row.example);
        if *number != format!("T{count:03}") {
            of_rows.push(format!(
                "{place}: it has the number `{number}`, and the next one is `T{count:03}`"
            ));
        }
        let is_there = workspace.examples().any(|it| it.id() == *example);
        if !is_there && !example.starts_with("retired") {
            of_rows.push(format!(
                "{place}: no example `{example}`; if no other has the trap now, write \
                 `retired: WHY` for the example"
            ));
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
                format!("a trap has no number; add to {PATH}: `T{next:03}\t{id}`");
            of_examples.push((example, problem));
        }
        if own.len() > count {
            let own = own.join(", ");
            let problem = format!(
                "traps in its header: {count}; numbers in {PATH}: {own}; write `retired: \
                 WHY` for the example beside the number of a trap that is gone"
            );
            of_examples.push((example, problem));
        }
    }
    Ok((of_rows, of_examples))
}
