//! Which crates a source file uses, and which of their features, from its tokens.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};

/// A path as it is written from the crate's root: `tokio`, `time`, `sleep`.
type Segments = Vec<String>;

/// For the crates whose features are many: on each line the crate, a feature, and the
/// paths that need it. The longest that a path begins with counts; the crate itself needs
/// none. A method's name has a dot in front.
///
/// Whatever is missing here is found by the test that compiles every copied file.
const FEATURES: &str = "\
reqwest blocking blocking
reqwest json .json
reqwest rustls tls
reqwest stream .bytes_stream Body::wrap_stream
tokio fs fs
tokio io-std io::Stderr io::Stdin io::Stdout io::stderr io::stdin io::stdout
tokio io-util io
tokio macros join main select test try_join
tokio net net
tokio process process
tokio rt runtime spawn task task_local test
tokio rt-multi-thread main runtime::Builder::new_multi_thread
tokio rt-multi-thread runtime::Runtime::new task::block_in_place
tokio signal signal
tokio sync sync
tokio test-util .start_paused time::advance time::pause time::resume
tokio time time
tokio_stream fs wrappers::ReadDirStream
tokio_stream io-util wrappers::LinesStream wrappers::SplitStream
tokio_stream net wrappers::TcpListenerStream wrappers::UnixListenerStream
tokio_stream signal wrappers::CtrlCStream wrappers::SignalStream
tokio_stream sync wrappers::BroadcastStream wrappers::WatchStream
tokio_util codec codec
tokio_util compat compat
tokio_util io io
tokio_util join-map task::JoinMap
tokio_util net net udp
tokio_util rt task
tokio_util time time
";

/// What attributes such as `#[tokio::test(start_paused = true)]` need by their arguments.
const ARGUMENTS: [(&str, &str); 2] = [
    ("start_paused", "tokio::time::pause"),
    ("\"multi_thread\"", "tokio::main"),
];

/// Names that begin a path but are no crates to depend on: crates and places that are
/// always there, primitive types, tools in attributes.
const BUILT_IN: &str = "alloc core crate proc_macro self std super bool char f32 f64 i128 i16 \
                        i32 i64 i8 isize str u128 u16 u32 u64 u8 usize clippy diagnostic \
                        rustfmt";

/// The crates of one kind (normal or for tests), each with the features in use; nothing
/// in place of the features where the table does not know the crate.
pub type Crates = BTreeMap<String, Option<BTreeSet<String>>>;

/// The crates that a file uses, by the names that they have in Rust code.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Uses {
    /// For the program itself.
    pub normal: Crates,
    /// For its tests, as far as the program itself does not need the same.
    pub test: Crates,
}

/// Finds the crates that the source uses, if it is Rust.
pub fn find(source: &str) -> Result<Uses> {
    let (normal, test) = paths(source)?;
    let (normal, mut test) = (crates(&normal), crates(&test));
    test.retain(|name, features| {
        let Some(known) = normal.get(name) else {
            return true;
        };
        if let (Some(features), Some(known)) = (&mut *features, known) {
            features.retain(|feature| !known.contains(feature));
        }
        features.as_ref().is_some_and(|some| !some.is_empty())
    });
    Ok(Uses { normal, test })
}

/// The full paths, such as `std::thread::sleep`, of what the program itself uses from the
/// standard library and from other crates, if it is Rust.
pub fn full_paths(source: &str) -> Result<BTreeSet<String>> {
    let (normal, _) = paths(source)?;
    let paths = normal.iter().filter(|path| !is_method(path));
    Ok(paths.map(|path| path.join("::")).collect())
}

/// The crates and features of the paths.
fn crates(paths: &[Segments]) -> Crates {
    let mut crates = Crates::new();
    let (methods, paths): (Vec<&Segments>, _) =
        paths.iter().partition::<Vec<_>, _>(|path| is_method(path));
    for path in paths {
        let name = &path[0];
        if BUILT_IN.split(' ').any(|built_in| built_in == name) {
            continue;
        }
        let in_table = FEATURES
            .lines()
            .any(|line| line.starts_with(&format!("{name} ")));
        let features = crates
            .entry(name.clone())
            .or_insert(in_table.then(BTreeSet::new));
        if let Some(features) = features {
            features.extend(features_of(path));
        }
    }
    for (name, features) in &mut crates {
        let Some(features) = features else { continue };
        for method in &methods {
            features.extend(features_of(&vec![name.clone(), method[0].clone()]));
        }
    }
    crates
}

/// Whether this is the name of a method and no path. Whose method it is, tokens do not
/// tell; it counts for each crate in the table that has one of that name.
fn is_method(path: &Segments) -> bool {
    path[0].starts_with('.')
}

/// The features of the longest part of the path that the table knows.
fn features_of(path: &Segments) -> Vec<String> {
    let of_part = |length: usize| -> Vec<String> {
        let part = path[1..length].join("::");
        let entries = FEATURES.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let feature = (words.next()? == path[0]).then(|| words.next())??;
            words.any(|path| path == part).then(|| feature.to_owned())
        });
        entries.collect()
    };
    let mut parts = (2..=path.len()).rev().map(of_part);
    parts.find(|found| !found.is_empty()).unwrap_or_default()
}

/// The full paths that lead out of the file: those of the program, and of its tests.
fn paths(source: &str) -> Result<(Vec<Segments>, Vec<Segments>)> {
    let tokens: TokenStream = source.parse().map_err(|error| anyhow!("{error}"))?;
    let mut walk = Walk::default();
    walk.tokens(&read(tokens), false);
    let (mut normal, mut test) = (Vec::new(), Vec::new());
    for (path, in_test) in &walk.found {
        if is_method(path) {
            if *in_test { &mut test } else { &mut normal }.push(path.clone());
            continue;
        }
        let mut full = match walk.imports.get(&path[0]) {
            // An import that is named like its crate, `use tokio;`, stands for itself.
            Some(import) => import.clone(),
            None => vec![path[0].clone()],
        };
        full.extend_from_slice(&path[1..]);
        let starts_small =
            full[0].starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if full.len() > 1 && starts_small && !walk.own.contains(&full[0]) {
            if *in_test { &mut test } else { &mut normal }.push(full);
        }
    }
    Ok((normal, test))
}

/// A token as it is written and, if it is a group, what stands in it.
struct Token {
    text: String,
    inner: Option<Vec<Token>>,
}

fn read(tokens: TokenStream) -> Vec<Token> {
    let token = |token: TokenTree| Token {
        text: token.to_string(),
        inner: match token {
            TokenTree::Group(group) => Some(read(group.stream())),
            _ => None,
        },
    };
    tokens.into_iter().map(token).collect()
}

/// Collects paths from tokens, which are the same in items, expressions, attributes and
/// the arguments of macros.
#[derive(Default)]
struct Walk {
    /// Each with whether it stands in a test.
    found: Vec<(Segments, bool)>,
    /// What imports give a name to.
    imports: BTreeMap<String, Segments>,
    /// Modules and macros of the file itself.
    own: BTreeSet<String>,
}

impl Walk {
    fn tokens(&mut self, tokens: &[Token], test: bool) {
        let mut in_test = test;
        let mut rest = tokens;
        while let [token, after @ ..] = rest {
            rest = after;
            let text_at = |index: usize| after.get(index).map_or("", |next| &next.text);
            match (token.text.as_str(), &token.inner) {
                (";", _) => in_test = test,
                ("#", _) if text_at(0).starts_with('[') => {
                    in_test |= self.attribute(text_at(0), in_test);
                }
                // The rest of a struct, or a range.
                (".", _) if text_at(0) == "." => rest = &after[1..],
                (".", _) if is_word(text_at(0)) => {
                    self.found.push((vec![format!(".{}", text_at(0))], in_test));
                    rest = &after[1..];
                }
                ("mod", _) => drop(self.own.insert(text_at(0).to_owned())),
                ("macro_rules", _) => drop(self.own.insert(text_at(1).to_owned())),
                // `impl Trait + use<T>` imports nothing.
                ("use", _) if text_at(0) != "<" => {
                    let end = after.iter().position(|token| token.text == ";");
                    let (import, after) = after.split_at(end.unwrap_or(after.len()));
                    self.import(&[], import, in_test);
                    rest = after;
                }
                (text, Some(inner)) => {
                    self.tokens(inner, in_test);
                    if text.starts_with('{') {
                        in_test = test;
                    }
                }
                (text, None) if is_word(text) => {
                    let mut path = vec![text.to_owned()];
                    while let [a, b, next, after @ ..] = rest
                        && (a.text == ":" && b.text == ":" && is_word(&next.text))
                    {
                        path.push(next.text.clone());
                        rest = after;
                    }
                    self.found.push((path, in_test));
                }
                _ => {}
            }
        }
    }

    /// Takes `#[...]`, and returns whether it makes a test of what follows.
    fn attribute(&mut self, text: &str, in_test: bool) -> bool {
        let text = text.replace(' ', "");
        let text = text.trim_matches(['[', ']']);
        let name = text.split('(').next().unwrap_or_default();
        let is_test = text == "cfg(test)" || name == "test" || name.ends_with("::test");
        for (argument, path) in ARGUMENTS {
            if text.starts_with("tokio::") && text.contains(argument) {
                let path = path.split("::").map(str::to_owned).collect();
                self.found.push((path, in_test || is_test));
            }
        }
        is_test
    }

    /// Takes what an import says behind `use`, or in a group behind the prefix.
    fn import(&mut self, prefix: &[String], tokens: &[Token], in_test: bool) {
        for tree in tokens.split(|token| token.text == ",") {
            let mut path = prefix.to_vec();
            let mut words = tree.iter().filter(|token| token.text != ":");
            let mut name = None;
            while let Some(Token { text, inner }) = words.next() {
                match (text.as_str(), inner) {
                    (_, Some(group)) => {
                        self.import(&path, group, in_test);
                        path.clear();
                    }
                    ("as", _) => name = words.next().map(|name| name.text.clone()),
                    // `use a::b::{self}` is `use a::b`.
                    ("self", _) if !path.is_empty() => {}
                    (word, _) => path.push(word.to_owned()),
                }
            }
            if let Some(last) = path.last() {
                let name = name.unwrap_or_else(|| last.clone());
                self.imports.insert(name, path.clone());
                self.found.push((path, in_test));
            }
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::{Crates, find, full_paths};

    fn describe(crates: &Crates) -> String {
        let words = crates.iter().map(|(name, features)| match features {
            None => name.clone(),
            Some(features) => {
                let features: Vec<&str> = features.iter().map(String::as_str).collect();
                format!("{name}[{}]", features.join(","))
            }
        });
        words.collect::<Vec<String>>().join(" ")
    }

    /// Sources, each with what it uses, and what only its tests use.
    const USES: &str = r#"
use std::fmt; use core::pin::pin; use crate::x; use self::y; //
use futures::{Stream, StreamExt as _, stream::{self, select}}; // futures
use tokio::{sync::mpsc, time::{sleep, Sleep}}; // tokio[sync,time]
use tokio::io::{AsyncReadExt, stdin}; // tokio[io-std,io-util]
use tokio_util::sync::CancellationToken; // tokio_util[]
use anyhow::*; // anyhow
use ::rayon::join as both; // rayon
pub use self::tokio::x; extern crate alloc; //
use std::io; use tokio::io::{stdin}; fn f() { io::stdout() } // tokio[io-std]

fn f() { tokio::spawn(x()); } // tokio[rt]
fn f() -> rusqlite::Result<()> { todo() } // rusqlite
impl serde::Serialize for X {} // serde
#[derive(Debug, thiserror::Error)] struct E; // thiserror
#[tokio::main] async fn main() {} // tokio[macros,rt-multi-thread]
#[tokio::main(flavor = "multi_thread")] async fn main() {} // tokio[macros,rt-multi-thread]
fn f() { tokio::runtime::Builder::new_multi_thread(); } // tokio[rt-multi-thread]
use tokio::runtime::Builder; fn f() { Builder::new_current_thread(); } // tokio[rt]
use tokio::time; fn f() { time::sleep(D); time::pause(); } // tokio[test-util,time]
fn f() -> impl Trait + use<T> { tokio::spawn(::rayon::join(x)) } // rayon tokio[rt]

use std::fmt; fn f() { fmt::write(); } //
fn f() { u32::MAX; str::len(x); f64::from(1); } //
enum E { A } fn f() { E::A; Vec::<u8>::new(); Self::g() } //
mod own { pub fn f() {} } fn g() { own::f() } //
macro_rules! own { () => {} } fn g() { own::f() } //
#![allow(clippy::all)] fn f() {} //
fn f<S: T>() -> S::Item { a.b::<C>() } //

fn f() { reqwest::get(u).await?.json(); } // reqwest[json]
use reqwest::{tls::Version, Client}; fn f() { c.bytes_stream() } // reqwest[rustls,stream]
fn f() { X { a: 1, ..tokio::time::d() }; a..tokio::task::id() } // tokio[rt,time]
fn f() { axum::x().json(a.await, tokio::spawn(b)) } // axum tokio[rt]

fn f() { async_stream::stream! { tokio::time::sleep(D).await; } } // async_stream tokio[time]
fn f() { println!("{}", vec![serde_json::to_string(&x)?][0]); } // serde_json
fn f() { tokio::select! { _ = a => {} } } // tokio[macros]
fn f() { m!(a: b, Vec::new(), c::<D>(), x ? y : z); } //

use tokio::time::sleep; #[cfg(test)] mod tests { use super::f; use tempfile::tempdir;
#[tokio::test(start_paused = true)] async fn t() { tokio::time::sleep(D); } }
// tokio[time] // tempfile tokio[macros,rt,test-util]
#[tokio::main] async fn main() {} #[cfg(test)] mod tests {
#[tokio::test(start_paused = true)] async fn t() { tokio::time::sleep(D); } }
// tokio[macros,rt-multi-thread] // tokio[rt,test-util,time]
#[cfg(test)] use serde::X; use futures::Y; // futures // serde
#[test] fn t() { futures::f() } fn g() { futures::g() } // futures
"#;

    #[test]
    fn what_a_program_and_its_tests_use() {
        let mut source = String::new();
        for line in USES.lines() {
            let (code, uses) = line.split_once("//").unwrap_or((line, ""));
            source.push_str(code);
            if line.contains("//") {
                let found = find(&source).expect("it is Rust");
                let (normal, test) = uses.split_once(" // ").unwrap_or((uses, ""));
                assert_eq!(describe(&found.normal), normal.trim(), "{source}");
                assert_eq!(describe(&found.test), test, "{source}");
                source.clear();
            }
        }
        assert!(find("fn f( {").is_err());
    }

    #[test]
    fn full_paths_through_imports() {
        let source = "use std::{thread, time::Duration}; use tokio::time::sleep as wait;
             fn f() { thread::sleep(Duration::ZERO); println!(\"{}\", wait(D)); }
             #[cfg(test)] mod tests { use std::net; }";
        let found = full_paths(source).expect("it is Rust");
        let expected = "std::thread std::thread::sleep std::time::Duration \
                        std::time::Duration::ZERO tokio::time::sleep";
        assert!(found.iter().eq(expected.split(' ')), "{found:?}");
    }
}
