//! Which crates a source file uses, from its tokens, and how a manifest names them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use cargo_metadata::{Dependency, DependencyKind};
use proc_macro2::{TokenStream, TokenTree};

use crate::workspace::Section;

/// What needs Tokio's feature `test-util`, which `full` leaves out.
const TEST_UTIL: [&str; 3] =
    ["start_paused", "tokio::time::advance", "tokio::time::pause"];

/// Returns the full paths of what the source uses from other crates, such as
/// `std::thread::sleep`.
///
/// # Errors
///
/// When the source is not Rust.
pub fn full_paths(source: &str) -> Result<BTreeSet<String>> {
    let tokens: TokenStream = source.parse().map_err(|error| anyhow!("{error}"))?;
    let mut text = " ".to_owned();
    flatten(tokens, &mut text);
    let text = text.replace(" : : ", "::").replace(" use::", " use ");
    let (mut imports, mut rest, mut found) = (BTreeMap::new(), String::new(), Vec::new());
    for (index, part) in text.split(" use ").enumerate() {
        // `impl Trait + use<T>` imports nothing.
        let is_import = index > 0 && !part.starts_with('<');
        let (tree, after) = part.split_once(';').unwrap_or((part, ""));
        rest += if is_import { after } else { part };
        for leaf in is_import.then(|| leaves(tree)).into_iter().flatten() {
            let (path, name) = leaf.split_once(" as ").unwrap_or((&leaf, ""));
            let path = path.trim_end_matches("::self");
            let last = path.rsplit("::").next().unwrap_or(path);
            let name = if name.is_empty() { last } else { name };
            imports.insert(name.to_owned(), path.to_owned());
            found.push(path.to_owned());
        }
    }
    let words = rest.split(|c: char| !c.is_alphanumeric() && !"_:".contains(c));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let own = words.windows(2).filter(|pair| pair[0] == "mod");
    let own: BTreeSet<&str> = own.map(|pair| pair[1]).collect();
    found.extend(words.iter().map(|word| {
        let path = word.trim_matches(':');
        let (head, tail) = path.split_at(path.find("::").unwrap_or(path.len()));
        let import = imports.get(head);
        import.map_or(path.to_owned(), |import| import.clone() + tail)
    }));
    let leads_out = |path: &String| {
        let head = path.split_once("::").map(|(head, _)| head);
        head.is_some_and(|head| !own.contains(head))
    };
    Ok(found.into_iter().filter(leads_out).collect())
}

/// Appends the names and marks of the source, with blanks between them.
fn flatten(tokens: TokenStream, text: &mut String) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                text.push_str("{ ");
                flatten(group.stream(), text);
                text.push_str("} ");
            }
            TokenTree::Literal(_) => {}
            other => text.push_str(&format!("{other} ")),
        }
    }
}

/// Returns what an import names: of `a::{b, c as d}`, `a::b` and `a::c as d`.
pub(crate) fn leaves(tree: &str) -> Vec<String> {
    let mut tree = tree.to_owned();
    while let Some(open) = tree.rfind('{') {
        let close = tree[open..].find('}').map_or(tree.len(), |at| open + at);
        let start = tree[..open].rfind(['{', ',']).map_or(0, |at| at + 1);
        let prefix = tree[start..open].trim();
        let inside = tree[open + 1..close].split(',').map(str::trim);
        let inside = inside
            .filter(|it| !it.is_empty())
            .map(|it| format!("{prefix}{it}"));
        let inside: Vec<String> = inside.collect();
        tree.replace_range(start..tree.len().min(close + 1), &inside.join(","));
    }
    tree.split(',').map(|leaf| leaf.trim().to_owned()).collect()
}

/// Returns those of the section's crates that the source uses, by the names that they have
/// in code, each with its line for a manifest. Tokio has all features, as its own
/// documentation recommends to begin with, and the features of the section in a comment.
///
/// # Errors
///
/// When the source is not Rust.
pub fn find(section: &Section, source: &str) -> Result<BTreeMap<String, String>> {
    let used = used(section, source)?.into_iter();
    let lines = used.map(|(name, (dependency, features))| {
        let line = entry(dependency, &features);
        if name != "tokio" {
            return (name, line);
        }
        let mut few = dependency.features.clone();
        few.sort();
        few.retain(|feature| feature != "test-util");
        let line = format!("# For a shorter build: features = {few:?}\n{line}");
        (name, line)
    });
    Ok(lines.collect())
}

/// Returns the commands that add those crates to a project, with the same features.
///
/// # Errors
///
/// When the source is not Rust.
pub fn cargo_add(section: &Section, source: &str) -> Result<String> {
    let (mut plain, mut others) = (String::new(), String::new());
    for (dependency, features) in used(section, source)?.values() {
        let crate_name = format!(" {}@{}", dependency.name, version(dependency));
        let mut options = String::new();
        if !dependency.uses_default_features {
            options += " --no-default-features";
        }
        if !features.is_empty() {
            options += &format!(" --features {}", features.join(","));
        }
        match options.as_str() {
            "" => plain += &crate_name,
            options => others += &format!("cargo add{crate_name}{options}\n"),
        }
    }
    if !plain.is_empty() {
        others += &format!("cargo add{plain}\n");
    }
    Ok(others)
}

/// Returns the dependencies that the source uses, each with its features.
///
/// # Errors
///
/// When the source is not Rust.
pub fn used<'a>(
    section: &'a Section,
    source: &str,
) -> Result<BTreeMap<String, (&'a Dependency, Vec<String>)>> {
    let mut dependencies: Vec<&Dependency> = section.dependencies.iter().collect();
    // A crate that the section has twice is that of its programs, not of its tests.
    dependencies.sort_by_key(|it| it.kind == DependencyKind::Development);
    let paths = full_paths(source)?;
    let name = |path: &String| path.split("::").next().map(str::to_owned);
    let used: BTreeSet<String> = paths.iter().filter_map(name).collect();
    let needs_test_util = TEST_UTIL
        .iter()
        .any(|name| source.contains(name) || paths.contains(*name));
    let mut found = BTreeMap::new();
    for dependency in dependencies.into_iter().filter(|it| it.path.is_none()) {
        let name = code_name(dependency);
        if !used.contains(&name) || found.contains_key(&name) {
            continue;
        }
        let mut features = dependency.features.clone();
        if name == "tokio" {
            let test_util = needs_test_util.then_some("test-util");
            features = ["full"]
                .into_iter()
                .chain(test_util)
                .map(str::to_owned)
                .collect();
        }
        features.sort();
        found.insert(name, (dependency, features));
    }
    Ok(found)
}

/// Returns the name that a dependency has in code.
pub fn code_name(dependency: &Dependency) -> String {
    let key = dependency.rename.as_ref().unwrap_or(&dependency.name);
    key.replace('-', "_")
}

/// Returns the version that a manifest asks for.
pub fn version(dependency: &Dependency) -> String {
    let version = dependency.req.to_string();
    version.trim_start_matches('^').to_owned()
}

/// Returns the line of a manifest for the dependency, with these features.
pub fn entry(dependency: &Dependency, features: &[String]) -> String {
    let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
    let version = version(dependency);
    let mut parts = vec![format!("version = \"{version}\"")];
    if !dependency.uses_default_features {
        parts.push("default-features = false".to_owned());
    }
    if !features.is_empty() {
        parts.push(format!("features = {features:?}"));
    }
    if dependency.rename.is_some() {
        parts.push(format!("package = \"{}\"", dependency.name));
    }
    match parts.as_slice() {
        [_version_alone] => format!("{name} = \"{version}\"\n"),
        parts => format!("{name} = {{ {} }}\n", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::full_paths;

    /// Sources, each with the full paths that it uses.
    const USES: &str = r#"
use std::fmt; fn f() { fmt::write(); } // std::fmt std::fmt::write
use a::{B, C as D, e::{self, f}}; // a::B a::C a::e a::e::f
use a::b as c; fn f() { c::d::<E>() } // a::b a::b::d
use ::rayon::join as both; fn f() { both() } // rayon::join
use anyhow::*; // anyhow::*
use a::{b}; use c::{d, e,}; // a::b c::d c::e
#[tokio::main] async fn main() {} // tokio::main
#[derive(Debug, thiserror::Error)] struct E; // thiserror::Error
fn f() { X { a: 1, ..tokio::time::d() }; a..tokio::task::id() } // tokio::task::id tokio::time::d
fn f() { async_stream::stream! { tokio::time::sleep(D).await; } } // async_stream::stream tokio::time::sleep
fn f() -> impl Trait + use<T> { tokio::spawn(::rayon::join(x)) } // rayon::join tokio::spawn
fn f() { x.spawn::<Y>().a.b() } //
mod own { pub fn f() {} } fn g() { own::f() } //
fn f() { m!(a: b, c::<D>(), x ? y : z); } //
"#;

    #[test]
    fn full_paths_through_imports() {
        for line in USES.trim().lines() {
            let (code, expected) = line.split_once("//").expect("both");
            let found = full_paths(code).expect("it is Rust");
            let found: Vec<&str> = found.iter().map(String::as_str).collect();
            assert_eq!(found.join(" "), expected.trim(), "{code}");
        }
        assert!(full_paths("fn f( {").is_err());
    }
}
