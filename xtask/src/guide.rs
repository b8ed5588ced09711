//! `cargo xtask guide`: the guides to asyncio, block by block.

use anyhow::Result;
use catalog::refuse;
use catalog::tables::{self, Block, Guide};
use catalog::workspace::Workspace;

/// Returns the guides with their numbers; or the blocks of one, in its order, each with what
/// goes wrong in it and the examples that answer it.
///
/// # Errors
///
/// A [`WrongCall`](catalog::WrongCall) if no guide has the number.
pub fn guide(workspace: &Workspace, number: Option<usize>) -> Result<String> {
    let guides: Vec<(String, Guide)> =
        tables::read(&workspace.root, "docs/guide-titles.tsv")?;
    let Some(number) = number else {
        let lines = guides.iter().enumerate();
        let lines =
            lines.map(|(at, (_, guide))| format!("{}  {}\n", at + 1, guide.title));
        return Ok(lines.collect());
    };
    let Some((_, guide)) = number.checked_sub(1).and_then(|at| guides.get(at)) else {
        refuse!(
            "there is no guide {number}; `cargo xtask guide` lists the {}",
            guides.len()
        );
    };
    let mut text = format!("{}\n", guide.title);
    for (_, row) in tables::read::<Block>(&workspace.root, "docs/guides.tsv")? {
        if row.guide() != guide.guide {
            continue;
        }
        text += &format!("\n{} {}\n", row.block, row.heading);
        if !row.wrong.is_empty() {
            text += &format!("  Wrong in the block: {}\n", row.wrong);
        }
        for id in &row.examples {
            let example = workspace.example(id)?;
            text += &format!("  {id}: {}\n", example.header.summary);
        }
    }
    Ok(text)
}
