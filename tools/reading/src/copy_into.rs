//! `cargo xtask copy --into`: examples as modules of a project that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use cargo_metadata::semver::{Version, VersionReq};
use cargo_metadata::{Dependency, DependencyKind, MetadataCommand, Package};
use catalog::component::component;
use catalog::files::{make_files, replace};
use catalog::platforms::OLDEST;
use catalog::process::printed;
use catalog::workspace::{Example, Workspace, cargo};
use catalog::{dependencies, refuse};

/// A file of the project, and its text.
type File = (PathBuf, String);

/// Adds the examples to the package in `project`: each as a file in `src`, with a `mod` line
/// in `lib.rs` or else `main.rs`, and, by `cargo add`, what it depends on. Returns what was
/// done and what to write next.
///
/// `only` leaves out `main`, and what only `main` calls. `dry_run` writes nothing.
///
/// # Errors
///
/// [`WrongCall`](catalog::WrongCall) when there is no package, when another file has a name
/// that is needed, or when an example has nothing but its `main` to add and `only` is set. Any
/// other error when a file cannot be read or written, or cargo fails. Nothing is changed then.
pub fn copy_into(
    workspace: &Workspace,
    examples: &[&Example],
    project: &Path,
    only: bool,
    dry_run: bool,
) -> Result<String> {
    let (manifest, source) = (opened(project.join("Cargo.toml"))?, project.join("src"));
    let package = package(&manifest.0)?;
    let roots = ["lib.rs", "main.rs"].map(|name| source.join(name));
    let Some(root) = roots.into_iter().find(|path| path.is_file()) else {
        refuse!("{} has neither lib.rs nor main.rs", source.display());
    };
    let root = opened(root)?;
    let (mut texts, mut crates) = (BTreeMap::new(), BTreeMap::new());
    for example in examples {
        let (name, text) = (example.name.as_str(), added_text(example, only)?);
        let section = workspace.section(&example.section)?;
        for (name, (dependency, features)) in dependencies::used(section, &text)? {
            let (_, all) = crates.entry(name).or_insert((dependency, BTreeSet::new()));
            all.extend(features);
        }
        let before = texts.insert(name, text.clone());
        if before.is_some_and(|it| it != text) {
            refuse!("two of the examples are src/{name}.rs");
        }
    }
    let mut said = Vec::new();
    let (files, mods) = new_modules(&source, &root, &texts, &mut said)?;
    let mut commands = Vec::new();
    for (dependency, features) in crates.values() {
        commands.extend(cargo_add(&package, dependency, features, &mut said));
    }
    said.extend(commands.iter().map(|it| format!("cargo {}", it.join(" "))));
    if dry_run {
        said.insert(0, "Nothing is written. It would be:".to_owned());
    } else {
        write(&files, &manifest, &root, &mods, &commands)?;
    }
    if package.edition.as_str() < OLDEST.0 {
        let (needed, edition) = (OLDEST.0, package.edition);
        said.push(format!(
            "the examples need edition {needed}, and this project is of {edition}"
        ));
    }
    let uses = imports(&texts);
    if !uses.is_empty() {
        said.push("Now write what you need of:".to_owned());
        said.extend(uses);
    }
    Ok(said.join("\n") + "\n")
}

fn opened(path: PathBuf) -> Result<File> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => {
            let folder = path.parent().unwrap_or(&path).display();
            let path = path.display();
            refuse!("{folder} is no project: cannot read {path}: {error}")
        }
    }
}

/// What cargo says of the package.
fn package(manifest: &Path) -> Result<Package> {
    let mut command = MetadataCommand::new();
    let metadata = command.manifest_path(manifest).no_deps().exec()?;
    let path = manifest.canonicalize()?;
    let is_it = |it: &Package| it.manifest_path.canonicalize().is_ok_and(|it| it == path);
    match metadata.packages.into_iter().find(is_it) {
        Some(package) => Ok(package),
        None => {
            let path = manifest.display();
            refuse!("{path} has no [package]; name the folder of one package")
        }
    }
}

/// What is added of the example.
fn added_text(example: &Example, only: bool) -> Result<String> {
    let text = example.pasted()?;
    if !only {
        return Ok(text);
    }
    match component(&text)? {
        Some(component) => Ok(component),
        None => {
            let id = example.id();
            refuse!("{id} is a `main` alone; add it without --only")
        }
    }
}

/// The files that the project lacks, and the lines that it lacks in its root.
fn new_modules(
    source: &Path,
    (root_path, root): &File,
    texts: &BTreeMap<&str, String>,
    said: &mut Vec<String>,
) -> Result<(Vec<File>, Vec<String>)> {
    let (mut files, mut mods) = (Vec::new(), Vec::new());
    for (name, text) in texts {
        match new_file(source, root, name, text)? {
            Some(file) => {
                said.push(format!("new file: {}", file.0.display()));
                files.push(file);
            }
            None => said.push(format!("{}/{name}.rs is there", source.display())),
        }
        if !root.lines().any(|line| module(line) == Some((*name, ';'))) {
            let is_library = root_path.ends_with("lib.rs");
            mods.push(format!(
                "{}mod {name};",
                if is_library { "pub " } else { "" }
            ));
        }
    }
    said.extend(
        mods.iter()
            .map(|line| format!("{}: {line}", root_path.display())),
    );
    Ok((files, mods))
}

/// The file that the project needs, unless it is there.
fn new_file(source: &Path, root: &str, name: &str, text: &str) -> Result<Option<File>> {
    let path = source.join(format!("{name}.rs"));
    let folder = source.join(name).join("mod.rs");
    let is_inline = |line: &str| module(line) == Some((name, '{'));
    if folder.exists() || root.lines().any(is_inline) {
        refuse!("the project has another module `{name}`");
    }
    match fs::read_to_string(&path) {
        Ok(old) if old == *text => Ok(None),
        // Whatever is there, it is not this text.
        _ if path.symlink_metadata().is_ok() => {
            refuse!("{} has another text; nothing was written", path.display())
        }
        _ => Ok(Some((path, text.to_owned()))),
    }
}

/// The words behind `cargo` that add the dependency, or to one that is there the features
/// that it lacks. Its version is the reader's, who is told.
fn cargo_add(
    package: &Package,
    dependency: &Dependency,
    features: &BTreeSet<String>,
    said: &mut Vec<String>,
) -> Option<Vec<String>> {
    let key = |it: &Dependency| it.rename.clone().unwrap_or(it.name.clone());
    let name = key(dependency);
    let mut own = package.dependencies.iter();
    let own = own.find(|it| it.kind == DependencyKind::Normal && key(it) == name);
    let ours = dependencies::version(dependency);
    let mut words = vec!["add".to_owned()];
    if let Some(own) = own {
        if !fits(&own.req, &dependency.req) {
            let theirs = dependencies::version(own);
            said.push(format!(
                "{name} stays {theirs}; the example is tried with {ours}"
            ));
        }
        let is_whole = own.uses_default_features || !dependency.uses_default_features;
        if is_whole && features.iter().all(|it| own.features.contains(it)) {
            return None;
        }
        words.push(name);
    } else {
        words.push(format!("{}@{ours}", dependency.name));
        words.extend((name != dependency.name).then(|| format!("--rename={name}")));
    }
    let default = match (own, dependency.uses_default_features) {
        (Some(own), true) if !own.uses_default_features => Some("--default-features"),
        (None, false) => Some("--no-default-features"),
        _ => None,
    };
    words.extend(default.map(str::to_owned));
    words.extend(features.iter().map(|it| format!("--features={it}")));
    Some(words)
}

/// Whether one version can be what the project asks for and what the example asks for.
fn fits(theirs: &VersionReq, ours: &VersionReq) -> bool {
    let matches = |asked: &VersionReq, other: &VersionReq| {
        other.comparators.first().is_none_or(|it| {
            let (minor, patch) = (it.minor.unwrap_or(0), it.patch.unwrap_or(0));
            asked.matches(&Version::new(it.major, minor, patch))
        })
    };
    matches(theirs, ours) || matches(ours, theirs)
}

/// Makes the new files and changes the others; all of it, or nothing.
fn write(
    files: &[File],
    manifest: &File,
    (root, old): &File,
    mods: &[String],
    commands: &[Vec<String>],
) -> Result<()> {
    make_files(files)?;
    let change = || -> Result<()> {
        if !mods.is_empty() {
            replace(root, &with_mods(old, mods))?;
        }
        for words in commands {
            let mut command = Command::new(cargo());
            command.args(words).arg("--manifest-path").arg(&manifest.0);
            printed(&mut command)?;
        }
        Ok(())
    };
    // The first error is the one to tell.
    change().inspect_err(|_| {
        for (path, old) in [manifest, &(root.clone(), old.clone())] {
            let _ = replace(path, old);
        }
        for (path, _) in files {
            let _ = fs::remove_file(path);
        }
    })
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

/// How an item begins, and what belongs to it.
const ITEMS: [&str; 8] = [
    "use ", "pub ", "fn ", "async ", "const ", "struct ", "#[", "///",
];

/// The text with these `mod` lines: behind the last that it has, or else before its first
/// item.
fn with_mods(text: &str, mods: &[String]) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let is_mod = |line: &&str| matches!(module(line), Some((_, ';')));
    let is_item = |line: &&str| ITEMS.iter().any(|it| line.starts_with(it));
    let last = lines.iter().rposition(is_mod);
    let first = lines.iter().position(is_item).unwrap_or(lines.len());
    let at = last.map_or(first, |index| index + 1);
    // What the project does not use yet is no warning.
    let new = mods.iter().flat_map(|line| ["#[allow(dead_code)]", line]);
    let gap = last.is_none().then_some("");
    lines.splice(at..at, new.chain(gap));
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    lines.join(end) + end
}

/// The lines that import what the files give to other modules. A name that two files give
/// is imported from neither: it is written behind the name of its module.
fn imports(texts: &BTreeMap<&str, String>) -> Vec<String> {
    let all: Vec<_> = texts
        .iter()
        .map(|(module, text)| (module, public(text)))
        .collect();
    let is_shared = |name: &&&str| {
        let with = all.iter().filter(|(_, names)| names.contains(*name));
        with.count() > 1
    };
    let import = |(module, names): &(&&str, Vec<&str>)| {
        let (shared, own): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| is_shared(name));
        let path = match (own.as_slice(), shared.as_slice()) {
            ([], []) => return None,
            ([], _) => String::new(),
            ([name], []) => format!("::{name}"),
            (names, []) => format!("::{{{}}}", names.join(", ")),
            (names, _) => format!("::{{self, {}}}", names.join(", ")),
        };
        let shared = shared.iter().map(|name| format!("{module}::{name}"));
        let shared = shared.collect::<Vec<_>>().join(", ");
        let shared = if shared.is_empty() {
            shared
        } else {
            format!(" // {shared}")
        };
        Some(format!("    use crate::{module}{path};{shared}"))
    };
    all.iter().filter_map(import).collect()
}

/// What the file gives to other modules, each name once.
fn public(source: &str) -> Vec<&str> {
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
    let mut names = Vec::new();
    for line in source.lines() {
        let item = line.strip_prefix("pub ");
        let item =
            item.and_then(|it| ITEMS.iter().find_map(|kind| it.strip_prefix(kind)));
        let end = |it: &str| it.find(|c: char| !c.is_alphanumeric() && c != '_');
        let name = item.map(|it| &it[..end(it).unwrap_or(it.len())]);
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_two_files_is_imported_from_neither() {
        let file = |items: &[&str]| {
            let items = items.iter().map(|it| format!("pub {it} {{}}\n"));
            items.collect::<String>()
        };
        let texts = BTreeMap::from([
            ("both", file(&["struct Limits", "async fn serve()"])),
            ("one", file(&["fn close()"])),
            // As for two systems.
            ("other", file(&["fn serve()", "fn serve()", "enum Ended"])),
            ("third", file(&["struct Limits", "fn serve()"])),
            ("without", "fn private() {}\n".to_owned()),
        ]);
        let lines = [
            "    use crate::both; // both::Limits, both::serve",
            "    use crate::one::close;",
            "    use crate::other::{self, Ended}; // other::serve",
            "    use crate::third; // third::Limits, third::serve",
        ];
        assert_eq!(imports(&texts), lines);
    }
}
