//! `cargo xtask guide`: the guides to asyncio, block by block.

use anyhow::Result;
use catalog::chapters::headings;
use catalog::refuse;
use catalog::tables::{self, Advice, Block, Guide};
use catalog::workspace::Workspace;

/// Returns the guides with their numbers; or the blocks of one, in its order, each with what
/// goes wrong in it, the examples that answer it, and where they differ; and the guide's
/// advice at its place. The guide is a number or words of its title.
///
/// # Errors
///
/// A [`WrongCall`](catalog::WrongCall) if no guide, or more than one, is meant.
pub fn guide(workspace: &Workspace, words: &[String]) -> Result<String> {
    let (root, command) = (&workspace.root, workspace.command);
    let guides: Vec<(String, Guide)> = tables::rows(root)?;
    let words = words.join(" ").to_lowercase();
    let is_number = |guide: &Guide| guide.number().to_lowercase() == words;
    let is_meant = |guide: &Guide| {
        is_number(guide) || guide.full_title().to_lowercase().contains(&words)
    };
    let mut meant: Vec<&Guide> = guides.iter().map(|(_, guide)| guide).collect();
    meant.retain(|guide| is_meant(guide));
    if let Some(exact) = meant.iter().find(|guide| is_number(guide)) {
        meant = vec![exact];
    }
    let [guide] = meant[..] else {
        if meant.is_empty() {
            refuse!("there is no guide `{words}`; `{command} guide` lists all");
        }
        let lines = meant.iter().map(|guide| guide.full_title() + "\n");
        return Ok(lines.collect());
    };
    let advice: Vec<(String, Advice)> = tables::rows(root)?;
    let advice_after = |block: &str| -> Result<String> {
        let rows = advice.iter().map(|(_, row)| row);
        let rows = rows.filter(|row| row.after.iter().any(|it| it == block));
        let rows = rows.map(|row| {
            let places: Result<Vec<String>> =
                row.here.iter().map(|it| place(workspace, it)).collect();
            Ok(format!(
                "  Said here: {} See {}.\n",
                row.advice,
                places?.join(", ")
            ))
        });
        rows.collect()
    };
    let mut text = guide.full_title() + "\n";
    text += &advice_after(&format!("{}-00", guide.guide))?;
    for (_, row) in tables::rows::<Block>(root)? {
        if row.guide() != guide.guide {
            continue;
        }
        text += &format!("\n{} {}\n", row.block, row.heading);
        if !row.wrong.is_empty() {
            text += &format!("  Wrong in the block: {}\n", row.wrong);
        }
        for id in &row.examples {
            let header = &workspace.example(id)?.header;
            text += &format!("  {id}: {}\n", header.summary);
            if let Some(why) = &header.differs {
                text += &format!("    Differs: {why}\n");
            }
        }
        text += &advice_after(&row.block)?;
    }
    Ok(text)
}

/// Returns the file of a chapter, with the heading, or the name of an example or page.
fn place(workspace: &Workspace, name: &str) -> Result<String> {
    let heading = headings(workspace)?.into_iter().find(|it| it.id == name);
    Ok(match heading {
        Some(it) => it.file + it.id.find('#').map_or("", |at| &it.id[at..]),
        None if name.contains('/') => name.to_owned(),
        None if name == "guide-ex" => format!("{} guide ex", workspace.command),
        None => format!("the book's page {name}"),
    })
}
