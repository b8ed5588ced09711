//! Which crates a source file uses, and which of their features, from its syntax.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ItemUse, Macro, Meta, Path, UseTree};

/// A path as it is written from the crate's root: `tokio`, `time`, `sleep`.
type Segments = Vec<String>;

/// The feature that a path needs, for the crates whose features are many. The longest
/// entry that a path begins with counts; the crate itself needs none.
///
/// Whatever is missing here is found by the test that compiles every copied file.
const FEATURES: &[(&str, &[&str])] = &[
    ("tokio::fs", &["fs"]),
    ("tokio::io", &["io-util"]),
    ("tokio::io::Stderr", &["io-std"]),
    ("tokio::io::Stdin", &["io-std"]),
    ("tokio::io::Stdout", &["io-std"]),
    ("tokio::io::stderr", &["io-std"]),
    ("tokio::io::stdin", &["io-std"]),
    ("tokio::io::stdout", &["io-std"]),
    ("tokio::join", &["macros"]),
    ("tokio::main", &["macros", "rt-multi-thread"]),
    ("tokio::net", &["net"]),
    ("tokio::process", &["process"]),
    ("tokio::runtime", &["rt"]),
    (
        "tokio::runtime::Builder::new_multi_thread",
        &["rt-multi-thread"],
    ),
    ("tokio::runtime::Runtime::new", &["rt-multi-thread"]),
    ("tokio::select", &["macros"]),
    ("tokio::signal", &["signal"]),
    ("tokio::spawn", &["rt"]),
    ("tokio::sync", &["sync"]),
    ("tokio::task", &["rt"]),
    ("tokio::task::block_in_place", &["rt-multi-thread"]),
    ("tokio::task_local", &["rt"]),
    ("tokio::test", &["macros", "rt"]),
    ("tokio::time", &["time"]),
    ("tokio::time::advance", &["test-util"]),
    ("tokio::time::pause", &["test-util"]),
    ("tokio::time::resume", &["test-util"]),
    ("tokio::try_join", &["macros"]),
    ("tokio_stream::wrappers::BroadcastStream", &["sync"]),
    ("tokio_stream::wrappers::CtrlCStream", &["signal"]),
    ("tokio_stream::wrappers::LinesStream", &["io-util"]),
    ("tokio_stream::wrappers::ReadDirStream", &["fs"]),
    ("tokio_stream::wrappers::SignalStream", &["signal"]),
    ("tokio_stream::wrappers::SplitStream", &["io-util"]),
    ("tokio_stream::wrappers::TcpListenerStream", &["net"]),
    ("tokio_stream::wrappers::UnixListenerStream", &["net"]),
    ("tokio_stream::wrappers::WatchStream", &["sync"]),
    ("tokio_util::codec", &["codec"]),
    ("tokio_util::compat", &["compat"]),
    ("tokio_util::io", &["io"]),
    ("tokio_util::net", &["net"]),
    ("tokio_util::task", &["rt"]),
    ("tokio_util::time", &["time"]),
    ("tokio_util::udp", &["net"]),
];

/// Features that another one brings along, and that are not written beside it.
const IMPLIED: &[(&str, &str)] = &[
    ("rt-multi-thread", "rt"),
    ("test-util", "rt"),
    ("test-util", "sync"),
    ("test-util", "time"),
];

/// Names that begin a path but are no crates to depend on.
const BUILT_IN: &[&str] = &[
    "alloc",
    "core",
    "crate",
    "proc_macro",
    "self",
    "std",
    "super", // crates and places
    "bool",
    "char",
    "f32",
    "f64",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "isize",
    "str",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "usize", // primitive types
    "clippy",
    "diagnostic",
    "rustfmt", // tools in attributes
];

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

/// Finds the crates that the source uses.
///
/// Looked at are imports, paths, attributes and the tokens inside of macro calls.
///
/// # Errors
///
/// When the source is not Rust.
pub fn find(source: &str) -> syn::Result<Uses> {
    let file = syn::parse_file(source)?;
    let mut names = Names::default();
    names.visit_file(&file);
    let mut paths = Paths {
        names: &names,
        in_test: false,
        normal: vec![],
        test: vec![],
    };
    paths.visit_file(&file);
    let normal = crates(&paths.normal, &Crates::new());
    let test = crates(&paths.test, &normal);
    Ok(Uses { normal, test })
}

/// The crates and features of the paths, without those that are `known` already.
fn crates(paths: &[Segments], known: &Crates) -> Crates {
    let mut crates = Crates::new();
    for path in paths {
        let name = &path[0];
        let in_table = FEATURES.iter().any(|(entry, _)| begins(path, entry, 1));
        let features = crates
            .entry(name.clone())
            .or_insert(in_table.then(BTreeSet::new));
        let longest = FEATURES
            .iter()
            .filter(|(entry, _)| begins(path, entry, usize::MAX))
            .max_by_key(|(entry, _)| entry.len());
        if let (Some(features), Some((_, needed))) = (features, longest) {
            features.extend(needed.iter().map(|feature| (*feature).to_owned()));
        }
    }
    for features in crates.values_mut().flatten() {
        for (feature, implied) in IMPLIED {
            if features.contains(*feature) {
                features.remove(*implied);
            }
        }
    }
    crates.retain(|name, features| match (known.get(name), features) {
        (None, _) => true,
        (Some(Some(known)), Some(features)) => {
            let implied = |feature: &String| {
                IMPLIED
                    .iter()
                    .any(|(by, is)| is == feature && known.contains(*by))
            };
            features.retain(|feature| !known.contains(feature) && !implied(feature));
            !features.is_empty()
        }
        (Some(_), _) => false,
    });
    crates
}

/// Whether the path begins with the first `most` segments of `a::b::c`.
fn begins(path: &[String], entry: &str, most: usize) -> bool {
    let mut entry = entry.split("::").take(most).zip(1..);
    entry.all(|(segment, count)| path.get(count - 1).is_some_and(|own| own == segment))
}

/// What the file gives a name to: imports with their full path, and its own items.
#[derive(Default)]
struct Names {
    imports: BTreeMap<String, Segments>,
    items: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        flatten(&item.tree, &mut Vec::new(), &mut |path, name| {
            if let Some(name) = name {
                self.imports.insert(name.to_owned(), path.to_vec());
            }
        });
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.items.insert(item.ident.to_string());
        visit::visit_item_mod(self, item);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        self.items
            .extend(item.ident.as_ref().map(ToString::to_string));
    }
}

/// Calls `found` with the path and the name of everything that an import brings.
fn flatten(
    tree: &UseTree,
    prefix: &mut Segments,
    found: &mut dyn FnMut(&[String], Option<&str>),
) {
    let mut leaf = |last: &syn::Ident, name: Option<&syn::Ident>| {
        // `use a::b::{self}` is `use a::b`.
        let is_self = last == "self" && !prefix.is_empty();
        if !is_self {
            prefix.push(last.to_string());
        }
        let own_name = prefix.last().cloned();
        let name = name.map(ToString::to_string).or(own_name);
        found(prefix, name.as_deref().filter(|name| *name != "_"));
        if !is_self {
            prefix.pop();
        }
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, found);
            prefix.pop();
        }
        UseTree::Name(name) => leaf(&name.ident, None),
        UseTree::Rename(rename) => leaf(&rename.ident, Some(&rename.rename)),
        UseTree::Glob(_) => {
            prefix.push("*".to_owned());
            found(prefix, None);
            prefix.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, found);
            }
        }
    }
}

/// Collects the paths that lead into other crates.
struct Paths<'a> {
    names: &'a Names,
    in_test: bool,
    normal: Vec<Segments>,
    test: Vec<Segments>,
}

impl Paths<'_> {
    fn add(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let mut full = match self.names.imports.get(first) {
            // An import that is named like its crate, `use tokio;`, stands for itself.
            Some(import) => import.clone(),
            None => vec![first.clone()],
        };
        full.extend_from_slice(rest);
        let name = &full[0];
        let may_be_crate = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let is_own = self.names.items.contains(name);
        if full.len() < 2 || !may_be_crate || is_own || BUILT_IN.contains(&name.as_str())
        {
            return;
        }
        if self.in_test {
            &mut self.test
        } else {
            &mut self.normal
        }
        .push(full);
    }

    /// The paths in tokens that are no syntax yet: the arguments of macros.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Segments = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add(&std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    let joins = colons == 1 || punct.spacing() == Spacing::Joint;
                    colons = if joins { colons + 1 } else { 0 };
                }
                other => {
                    self.add(&std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add(&path);
    }

    fn visit_as_test(&mut self, is_test: bool, visit: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test |= is_test;
        visit(self);
        self.in_test = before;
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => &Vec::new(),
        };
        let is_test = attributes.iter().any(is_for_tests);
        self.visit_as_test(is_test, |paths| visit::visit_item(paths, item));
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut imported = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut |path, _| {
            imported.push(path.to_vec())
        });
        for path in imported {
            self.add(&path);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let segments = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.add(&segments.collect::<Segments>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.add_tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        visit::visit_attribute(self, attribute);
        let Meta::List(list) = &attribute.meta else {
            return;
        };
        self.add_tokens(list.tokens.clone());
        let arguments = list.tokens.to_string();
        let own = |path: &str| path.split("::").map(str::to_owned).collect::<Segments>();
        if arguments.contains("start_paused") {
            self.add(&own("tokio::time::pause"));
        }
        if arguments.contains("multi_thread") {
            self.add(&own("tokio::runtime::Builder::new_multi_thread"));
        }
    }
}

/// Whether an item with this attribute is compiled for tests only.
fn is_for_tests(attribute: &Attribute) -> bool {
    let path = attribute.path();
    let is_cfg_test = path.is_ident("cfg")
        && attribute
            .parse_args::<syn::Ident>()
            .is_ok_and(|condition| condition == "test");
    let is_test = path
        .segments
        .last()
        .is_some_and(|last| last.ident == "test");
    is_cfg_test || is_test
}

#[cfg(test)]
mod tests {
    use super::{Crates, find};

    fn describe(crates: &Crates) -> String {
        let mut words = Vec::new();
        for (name, features) in crates {
            words.push(match features {
                None => name.clone(),
                Some(features) => {
                    let features: Vec<&str> =
                        features.iter().map(String::as_str).collect();
                    format!("{name}[{}]", features.join(","))
                }
            });
        }
        words.join(" ")
    }

    #[track_caller]
    fn assert_uses(source: &str, normal: &str, test: &str) {
        let uses = find(source).expect("it is Rust");
        assert_eq!(describe(&uses.normal), normal);
        assert_eq!(describe(&uses.test), test);
    }

    #[test]
    fn imports() {
        assert_uses(
            "use std::fmt; use core::pin::pin; use crate::x; use self::y;",
            "",
            "",
        );
        assert_uses(
            "use futures::{Stream, StreamExt as _, stream::{self, select}};",
            "futures",
            "",
        );
        assert_uses(
            "use tokio::{sync::mpsc, time::{sleep, Sleep}};",
            "tokio[sync,time]",
            "",
        );
        assert_uses(
            "use tokio::io::{AsyncReadExt, stdin};",
            "tokio[io-std,io-util]",
            "",
        );
        assert_uses(
            "use tokio_util::sync::CancellationToken;",
            "tokio_util[]",
            "",
        );
        assert_uses("use anyhow::*;", "anyhow", "");
        assert_uses("use ::rayon::join as both;", "rayon", "");
        assert_uses("pub use self::tokio::x; extern crate alloc;", "", "");
    }

    #[test]
    fn paths() {
        assert_uses("fn f() { tokio::spawn(x()); }", "tokio[rt]", "");
        assert_uses("fn f() -> rusqlite::Result<()> { todo() }", "rusqlite", "");
        assert_uses("impl serde::Serialize for X {}", "serde", "");
        assert_uses(
            "#[derive(Debug, thiserror::Error)] struct E;",
            "thiserror",
            "",
        );
        assert_uses(
            "#[tokio::main] async fn main() {}",
            "tokio[macros,rt-multi-thread]",
            "",
        );
        assert_uses(
            "fn f() { tokio::runtime::Builder::new_multi_thread(); }",
            "tokio[rt-multi-thread]",
            "",
        );
        assert_uses(
            "use tokio::runtime::Builder; fn f() { Builder::new_current_thread(); }",
            "tokio[rt]",
            "",
        );
        assert_uses(
            "use tokio::time; fn f() { time::sleep(D); time::pause(); }",
            "tokio[test-util]",
            "",
        );
    }

    #[test]
    fn what_is_no_crate() {
        assert_uses("use std::fmt; fn f() { fmt::write(); }", "", "");
        assert_uses("fn f() { u32::MAX; str::len(x); f64::from(1); }", "", "");
        assert_uses(
            "enum E { A } fn f() { E::A; Vec::<u8>::new(); Self::g() }",
            "",
            "",
        );
        assert_uses("mod own { pub fn f() {} } fn g() { own::f() }", "", "");
        assert_uses("#![allow(clippy::all)] fn f() {}", "", "");
        assert_uses("fn f<S: T>() -> S::Item { a.b::<C>() }", "", "");
    }

    #[test]
    fn inside_of_macros() {
        assert_uses(
            "fn f() { async_stream::stream! { tokio::time::sleep(D).await; yield 1; } }",
            "async_stream tokio[time]",
            "",
        );
        assert_uses(
            "fn f() { println!(\"{}\", vec![serde_json::to_string(&x)?][0]); }",
            "serde_json",
            "",
        );
        assert_uses(
            "fn f() { tokio::select! { _ = a => {} } }",
            "tokio[macros]",
            "",
        );
        assert_uses(
            "fn f() { m!(a: b, Vec::new(), c::<D>(), x ? y : z); }",
            "",
            "",
        );
    }

    #[test]
    fn what_only_tests_use() {
        let tests = "#[cfg(test)] mod tests { use super::f; use tempfile::tempdir;
             #[tokio::test(start_paused = true)] async fn t() { tokio::time::sleep(D); } }";
        assert_uses(
            &format!("use tokio::time::sleep; {tests}"),
            "tokio[time]",
            "tempfile tokio[macros,test-util]",
        );
        assert_uses(
            &format!("#[tokio::main] async fn main() {{}} {tests}"),
            "tokio[macros,rt-multi-thread]",
            "tempfile tokio[test-util]",
        );
        assert_uses(
            "#[cfg(test)] use serde::X; use futures::Y;",
            "futures",
            "serde",
        );
        assert_uses(
            "#[test] fn t() { futures::f() } fn g() { futures::g() }",
            "futures",
            "",
        );
    }

    #[test]
    fn what_is_not_rust() {
        assert!(find("fn f( {").is_err());
    }
}
