//! The Markdown that mdBook reads: written only where it changed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xtask::files::replace;
use xtask::inventory::entries;

use crate::material::Material;
use crate::{page, speed, ways};

/// Each page by its path below the folder.
type Files = Vec<(PathBuf, String)>;

/// Writes the pages and the table of contents into the folder, and removes from there
/// what is no page any more. Returns how many files were written.
///
/// # Errors
///
/// When a file cannot be read, written or removed.
pub fn write(material: &Material<'_>, dir: &Path) -> Result<usize> {
    let files = files(material);
    let mut written = 0;
    let mut known = BTreeSet::new();
    for (path, text) in files {
        let path = dir.join(path);
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            replace(&path, &text)?;
            written += 1;
        }
        known.insert(path);
    }
    remove_others(dir, &known)?;
    Ok(written)
}

fn files(material: &Material<'_>) -> Files {
    let mut summary = "# Summary\n\n[From asyncio to Tokio](front.md)\n\n".to_owned();
    let mut files: Files = vec![("front.md".into(), ways::front(material))];
    summary.push_str("# Chapters\n\n");
    for chapter in &material.chapters {
        let _ = writeln!(summary, "- [{}]({}.md)", chapter.title, chapter.page);
        files.push((format!("{}.md", chapter.page).into(), chapter.text.clone()));
    }
    summary.push_str("- [Rust words](glossary.md)\n\n# Ways in\n\n");
    files.push(("glossary.md".into(), material.glossary.clone()));
    for (name, title, text) in ways::pages(material) {
        let _ = writeln!(summary, "- [{title}]({name}.md)");
        files.push((format!("{name}.md").into(), text));
    }
    if let Some(measured) = &material.speed {
        summary.push_str("- [What it costs](speed.md)\n");
        files.push(("speed.md".into(), speed::page(measured)));
    }
    summary.push_str("\n# Examples\n\n");
    for part in &material.parts {
        let section = &part.section.name;
        let _ = writeln!(summary, "- [{section}](section-{section}.md)");
        files.push((format!("section-{section}.md").into(), ways::section(part)));
        for entry in &part.entries {
            let (id, name) = (entry.example.id(), &entry.example.name);
            let _ = writeln!(summary, "  - [{name}]({id}.md)");
            files.push((format!("{id}.md").into(), page::page(material, entry)));
        }
    }
    files.push(("SUMMARY.md".into(), summary));
    files
}

fn remove_others(dir: &Path, known: &BTreeSet<PathBuf>) -> Result<()> {
    for path in entries(dir)? {
        if path.is_dir() {
            remove_others(&path, known)?;
            // Succeeds only where nothing is left in it.
            let _ = fs::remove_dir(&path);
        } else if !known.contains(&path) {
            fs::remove_file(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
