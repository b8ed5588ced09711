//! `cargo xtask copy --into`: examples as modules of a project that exists.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::Dependency;
use cargo_metadata::semver::{Version, VersionReq};
use catalog::files::{make_files, replace};
use catalog::platforms::OLDEST;
use catalog::workspace::{Example, Workspace};
use catalog::{dependencies, refuse};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Value};

/// Adds the examples to the package in `project`: each as a file in `src`, with a `mod` line
/// in `lib.rs` or else `main.rs`, and what it depends on in `Cargo.toml`. Returns what was
/// done and what to write next.
///
/// `only` leaves out `main`. `dry_run` writes nothing.
///
/// # Errors
///
/// [`WrongCall`](catalog::WrongCall) when there is no package, when another file has a name
/// that is needed, or when an example has nothing but its `main` to add and `only` is set. Any
/// other error when a file cannot be read or written. Nothing is changed then.
pub fn copy_into(
    workspace: &Workspace,
    examples: &[&Example],
    project: &Path,
    only: bool,
    dry_run: bool,
) -> Result<String> {
    let mut manifest = Changed::open(project.join("Cargo.toml"))?;
    let Ok(mut document) = manifest.old.parse::<DocumentMut>() else {
        refuse!("{} is not valid TOML", manifest.path.display());
    };
    let Some(package) = document.get("package") else {
        let path = manifest.path.display();
        refuse!("{path} has no [package]; name the folder of one package");
    };
    let edition = package.get("edition").and_then(Item::as_str);
    let older = edition
        .filter(|edition| *edition < OLDEST.0)
        .map(str::to_owned);
    let source = project.join("src");
    let roots = ["lib.rs", "main.rs"].map(|name| source.join(name));
    let Some(root) = roots.into_iter().find(|path| path.is_file()) else {
        refuse!("{} has neither lib.rs nor main.rs", source.display());
    };
    let mut root = Changed::open(root)?;
    let is_library = root.path.ends_with("lib.rs");

    let (mut files, mut mods, mut said, mut uses) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, example) in examples.iter().enumerate() {
        let name = &example.name;
        if let Some(other) = examples[..index].iter().find(|it| it.name == *name) {
            if other.id() == example.id() {
                continue;
            }
            refuse!("{} and {} are both src/{name}.rs", other.id(), example.id());
        }
        let mut text = example.pasted()?;
        if only {
            let Some(component) = without_main(&text) else {
                let id = example.id();
                refuse!("{id} is a `main` alone; add it without --only");
            };
            text = component;
        }
        merge_all(workspace, example, &text, &mut document, &mut said)
            .with_context(|| format!("{} cannot be added", example.id()))?;
        uses.extend(public(name, &text));
        let path = source.join(format!("{name}.rs"));
        let folder = source.join(name).join("mod.rs");
        let is_inline = |line: &str| module(line) == Some((name, '{'));
        if folder.exists() || root.old.lines().any(is_inline) {
            refuse!("the project has another module `{name}`");
        }
        match fs::read_to_string(&path) {
            Ok(old) if old == text => said.push(format!("{} is there", path.display())),
            // Whatever is there, it is not this text.
            _ if path.symlink_metadata().is_ok() => {
                refuse!("{} has another text; nothing was written", path.display())
            }
            _ => {
                said.push(format!("new file: {}", path.display()));
                files.push((path, text));
            }
        }
        if !root
            .old
            .lines()
            .any(|line| module(line) == Some((name, ';')))
        {
            let line = if is_library { "pub mod" } else { "mod" };
            mods.push(format!("{line} {name};"));
        }
    }
    for line in &mods {
        said.push(format!("{}: {line}", root.path.display()));
    }
    root.new = with_mods(&root.old, &mods);
    manifest.new = document.to_string();
    if dry_run {
        said.insert(0, "Nothing is written. It would be:".to_owned());
    } else {
        write(&files, &[manifest, root])?;
    }
    if let Some(edition) = older {
        let needed = OLDEST.0;
        said.push(format!(
            "the examples need edition {needed}, and this project is of {edition}"
        ));
    }
    if !uses.is_empty() {
        said.push("Now write what you need of:".to_owned());
        said.extend(uses);
    }
    Ok(said.join("\n") + "\n")
}

/// A file of the project with its old and its new text.
struct Changed {
    path: PathBuf,
    old: String,
    new: String,
}

impl Changed {
    fn open(path: PathBuf) -> Result<Self> {
        match fs::read_to_string(&path) {
            Ok(old) => Ok(Self {
                new: old.clone(),
                path,
                old,
            }),
            Err(error) => {
                let folder = path.parent().unwrap_or(&path).display();
                refuse!(
                    "{folder} is no project: cannot read {}: {error}",
                    path.display()
                )
            }
        }
    }
}

/// Makes the new files and changes the others; all of it, or nothing.
fn write(files: &[(PathBuf, String)], changed: &[Changed]) -> Result<()> {
    make_files(files)?;
    for (index, file) in changed.iter().enumerate() {
        if file.new == file.old {
            continue;
        }
        // The first error is the one to tell.
        replace(&file.path, &file.new).inspect_err(|_| {
            for file in &changed[..index] {
                let _ = replace(&file.path, &file.old);
            }
            for (path, _) in files {
                let _ = fs::remove_file(path);
            }
        })?;
    }
    Ok(())
}

/// The module that the line declares, and whether its text follows or lies in a file.
fn module(line: &str) -> Option<(&str, char)> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
    let rest = line.strip_prefix("mod ")?;
    let (name, _) = rest.split_once([';', ' ', '{'])?;
    let kind = rest[name.len()..].trim_start().chars().next()?;
    Some((name, kind))
}

/// The text with these `mod` lines: behind the last that it has, or else behind the
/// comments and attributes that are about the file.
fn with_mods(text: &str, mods: &[String]) -> String {
    if mods.is_empty() {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    let last = lines
        .iter()
        .rposition(|line| matches!(module(line), Some((_, ';'))));
    let inner = head_end(&lines);
    let at = last.or(inner).map_or(0, |index| index + 1);
    let (before, after) = lines.split_at(at);
    let mut new: Vec<&str> = before.to_vec();
    if last.is_none() && inner.is_some() {
        new.push("");
    }
    for line in mods {
        // What the project does not use yet is no warning.
        new.extend(["#[allow(dead_code)]", line]);
    }
    if after.first().is_some_and(|line| !line.is_empty()) {
        new.push("");
    }
    new.extend(after);
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    new.join(end) + end
}

/// The last line of the comments and attributes at the beginning that are about the file.
fn head_end(lines: &[&str]) -> Option<usize> {
    let (mut last, mut until) = (None, None);
    for (index, line) in lines.iter().enumerate() {
        let is_inner = ["//!", "/*!", "#!["].iter().any(|it| line.starts_with(it));
        if until.is_none() && !is_inner && !line.is_empty() && !line.starts_with("//") {
            break;
        }
        if is_inner {
            let end = [("/*!", "*/"), ("#![", "]")];
            until = end.into_iter().find(|(begin, _)| line.starts_with(begin));
            last = Some(index);
        }
        if let Some((_, end)) = until {
            last = Some(index);
            until = until.filter(|_| !line.trim_end().ends_with(end));
        }
    }
    last
}

/// The source without its function `main`; nothing if no other module can use the rest.
pub fn without_main(source: &str) -> Option<String> {
    let lines: Vec<&str> = source.lines().collect();
    let main = lines.iter().position(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.starts_with("async fn main(") || line.starts_with("fn main(")
    });
    let mut rest = lines.clone();
    if let Some(main) = main {
        // Its attributes and its documentation end at an empty line.
        let begin = lines[..main].iter().rposition(|line| line.is_empty());
        let is_short = lines[main].ends_with('}');
        let length = lines[main..]
            .iter()
            .position(|line| is_short || *line == "}")?;
        rest.drain(begin.unwrap_or(0)..=main + length);
    }
    let text = rest.join("\n") + "\n";
    public("", &text).map(|_| text)
}

/// The line that imports what the file gives to other modules, if it gives anything.
fn public(module: &str, source: &str) -> Option<String> {
    const ITEMS: [&str; 8] = [
        "async fn ",
        "const ",
        "enum ",
        "fn ",
        "static ",
        "struct ",
        "trait ",
        "type ",
    ];
    let item = |line: &str| {
        let line = line.strip_prefix("pub ")?;
        let rest = ITEMS.iter().find_map(|item| line.strip_prefix(item))?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        Some(rest[..end.unwrap_or(rest.len())].to_owned())
    };
    let names: Vec<String> = source.lines().filter_map(item).collect();
    match names.as_slice() {
        [] => None,
        [name] => Some(format!("    use crate::{module}::{name};")),
        names => Some(format!(
            "    use crate::{module}::{{{}}};",
            names.join(", ")
        )),
    }
}

/// Adds what the source depends on to the manifest.
fn merge_all(
    workspace: &Workspace,
    example: &Example,
    source: &str,
    document: &mut DocumentMut,
    said: &mut Vec<String>,
) -> Result<()> {
    let section = workspace.section(&example.section)?;
    for (dependency, features) in dependencies::used(section, source)?.values() {
        merge(dependency, features, document, said)?;
    }
    Ok(())
}

/// Adds the dependency; to one that is there, only the features that it lacks.
fn merge(
    dependency: &Dependency,
    features: &[String],
    document: &mut DocumentMut,
    said: &mut Vec<String>,
) -> Result<()> {
    let table = document.entry("dependencies").or_insert(toml_edit::table());
    let Some(table) = table.as_table_like_mut() else {
        refuse!("`dependencies` of the Cargo.toml is no table");
    };
    let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
    let line = dependencies::entry(dependency, features);
    let Some(item) = table.get_mut(name) else {
        let line: DocumentMut = line.parse()?;
        said.push(format!("Cargo.toml: {}", line.to_string().trim_end()));
        table.insert(name, line[name].clone());
        return Ok(());
    };
    let ours = dependencies::version(dependency);
    let theirs = item.as_str().or_else(|| item.get("version")?.as_str());
    if let Some(theirs) = theirs.filter(|theirs| !fits(theirs, &dependency.req)) {
        let kept = format!("Cargo.toml: {name} stays {theirs}");
        let note = format!("{kept}; the example is tried with {ours}");
        if !said.contains(&note) {
            said.push(note);
        }
    }
    if let Some(version) = item.as_str().map(str::to_owned) {
        if features.is_empty() {
            return Ok(());
        }
        let mut long = InlineTable::new();
        long.insert("version", version.into());
        *item = Item::Value(Value::InlineTable(long));
    }
    let Some(entry) = item.as_table_like_mut() else {
        refuse!("`{name}` of the Cargo.toml is no dependency");
    };
    if dependency.uses_default_features && entry.get("default-features").is_some() {
        entry.remove("default-features");
        said.push(format!("Cargo.toml: {name} has its default features"));
    }
    let own = entry.entry("features").or_insert(Item::None);
    if own.is_none() {
        *own = Item::Value(Value::Array(Array::new()));
    }
    let Some(own) = own.as_array_mut() else {
        refuse!("`features` of `{name}` in the Cargo.toml is no list");
    };
    let has = |own: &Array, new: &str| own.iter().any(|it| it.as_str() == Some(new));
    let mut new: Vec<&str> = features.iter().map(String::as_str).collect();
    new.retain(|feature| !has(own, feature));
    own.extend(new.iter().copied());
    if own.is_empty() {
        entry.remove("features");
    }
    if let Item::Value(Value::InlineTable(table)) = item {
        table.fmt();
    }
    if !new.is_empty() {
        said.push(format!("Cargo.toml: {name} has also {}", new.join(", ")));
    }
    Ok(())
}

/// Whether one version can be what the project asks for and what the example asks for.
fn fits(theirs: &str, ours: &VersionReq) -> bool {
    let lowest = |asked: &VersionReq| {
        let first = asked.comparators.first()?;
        let (minor, patch) = (first.minor.unwrap_or(0), first.patch.unwrap_or(0));
        Some(Version::new(first.major, minor, patch))
    };
    let matches = |asked: &VersionReq, other: &VersionReq| {
        lowest(other).is_none_or(|lowest| asked.matches(&lowest))
    };
    VersionReq::parse(theirs)
        .is_ok_and(|theirs| matches(&theirs, ours) || matches(ours, &theirs))
}
