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
    let mut words = Vec::new();
    flatten(tokens, &mut words);
    let mut walk = Walk::default();
    walk.words(&words);
    let full = walk
        .found
        .into_iter()
        .map(|path| match walk.imports.get(&path[0]) {
            Some(import) => [import.as_slice(), &path[1..]].concat(),
            None => path,
        });
    let leads_out = |path: &Vec<String>| path.len() > 1 && !walk.own.contains(&path[0]);
    Ok(full.filter(leads_out).map(|path| path.join("::")).collect())
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

/// Appends the tokens as words, with a group's brackets around what stands in it.
fn flatten(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        let text = token.to_string();
        let TokenTree::Group(group) = token else {
            words.push(text);
            continue;
        };
        words.extend(text.chars().next().map(String::from));
        flatten(group.stream(), words);
        words.extend(text.chars().next_back().map(String::from));
    }
}

/// Collects paths from words.
#[derive(Default)]
struct Walk {
    found: Vec<Vec<String>>,
    /// What imports give a name to.
    imports: BTreeMap<String, Vec<String>>,
    /// Modules and macros of the file itself.
    own: BTreeSet<String>,
}

impl Walk {
    fn words(&mut self, mut rest: &[String]) {
        while let [word, after @ ..] = rest {
            rest = after;
            let text_at = |index: usize| after.get(index).map_or("", String::as_str);
            match word.as_str() {
                // A method; or the rest of a struct, or a range.
                "." => rest = &after[1.min(after.len())..],
                "mod" => drop(self.own.insert(text_at(0).to_owned())),
                "macro_rules" => drop(self.own.insert(text_at(1).to_owned())),
                // `impl Trait + use<T>` imports nothing.
                "use" if text_at(0) != "<" => {
                    let end = after.iter().position(|word| word == ";");
                    let (import, after) = after.split_at(end.unwrap_or(after.len()));
                    self.import(&mut import.iter().filter(|word| *word != ":"), &[]);
                    rest = after;
                }
                text if is_word(text) => {
                    let mut path = vec![word.clone()];
                    while let [a, b, next, after @ ..] = rest
                        && (a == ":" && b == ":" && is_word(next))
                    {
                        path.push(next.clone());
                        rest = after;
                    }
                    self.found.push(path);
                }
                _ => {}
            }
        }
    }

    /// Takes an import up to its end or to the bracket that closes its group.
    fn import<'a>(
        &mut self,
        words: &mut impl Iterator<Item = &'a String>,
        prefix: &[String],
    ) {
        let (mut path, mut name, mut is_empty) = (prefix.to_vec(), None, true);
        loop {
            let word = words.next().map_or("}", String::as_str);
            match word {
                "," | "}" => {
                    if let (false, Some(last)) = (is_empty, path.last()) {
                        let name = name.take().unwrap_or_else(|| last.clone());
                        self.imports.insert(name, path.clone());
                        self.found.push(path);
                    }
                    if word == "}" {
                        return;
                    }
                    (path, is_empty) = (prefix.to_vec(), true);
                    continue;
                }
                "{" => {
                    self.import(words, &path);
                    path.clear();
                }
                "as" => name = words.next().cloned(),
                // `use a::b::{self}` is `use a::b`.
                "self" if !path.is_empty() => {}
                _ => path.push(word.to_owned()),
            }
            is_empty = false;
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
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
macro_rules! own { () => {} } fn g() { own::f() } //
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
