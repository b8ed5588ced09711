//! What has changed in the examples: `CHANGELOG.md` as a page and as a feed.

use std::collections::BTreeSet;

use anyhow::Result;
use askama::Template;
use catalog::chapters::slug;
use catalog::files::read;
use catalog::workspace::Workspace;

use crate::links::meant;

/// The changes of a version.
#[derive(Debug)]
pub struct Change {
    pub title: String,
    /// Its text, in which the names of examples are links.
    text: String,
    /// The examples that it names.
    pub examples: BTreeSet<String>,
}

#[derive(Template)]
#[template(path = "changes.xml", escape = "html")]
struct Feed<'a> {
    changes: &'a [Change],
    address: &'a str,
}

/// Returns the feed, whose pages are below the address.
pub fn feed(changes: &[Change], address: &str) -> Result<String> {
    Ok(Feed { changes, address }.render()?)
}

/// Returns the page's Markdown.
pub fn page(changes: &[Change]) -> String {
    let texts = changes
        .iter()
        .map(|it| format!("## {}\n{}", it.title, it.text));
    let intro = "# Changes\n\nWhat was wrong in a component that you may have pasted, who is \
                 affected, and what to change. The newest come first. There is a \
                 [feed](changes.xml).\n\n";
    intro.to_owned() + &texts.collect::<String>()
}

/// Reads the changes, the newest first.
pub fn read_all(workspace: &Workspace) -> Result<Vec<Change>> {
    let text = read(&workspace.root.join("CHANGELOG.md"))?;
    let changes = text.split("\n## ").skip(1).map(|change| {
        let (title, rest) = change.split_once('\n').unwrap_or((change, ""));
        let (mut text, mut examples) = (String::new(), BTreeSet::new());
        for part in rest.split_inclusive("\n### ") {
            let section = part.lines().next();
            for (at, code) in part.split('`').enumerate() {
                let example = meant(workspace, code, section).filter(|_| at % 2 == 1);
                text += &match example {
                    Some(example) => format!("[`{code}`]({}.md)", example.id()),
                    None if at % 2 == 1 => format!("`{code}`"),
                    None => code.to_owned(),
                };
                examples.extend(example.map(|it| it.id()));
            }
        }
        let title = title.to_owned();
        Change {
            title,
            text,
            examples,
        }
    });
    Ok(changes.collect())
}
