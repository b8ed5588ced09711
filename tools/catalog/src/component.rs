//! The component of a program: what other modules can use of it, without `main` and the
//! demonstration that only `main` calls.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::dependencies::leaves;

/// Attributes by which something outside the source calls an item.
const CALLED: [&str; 7] = [
    "cfg",
    "macro_export",
    "pyclass",
    "pyfunction",
    "pymodule",
    "test",
    "tokio",
];

/// An item of the source, without what is inside.
struct Item {
    /// Its lines, with its attributes and its documentation.
    lines: Range<usize>,
    /// `fn`, `use` and so on; empty for the call of a macro.
    keyword: String,
    /// What it is called; of an `impl`, its type; of a `use`, the tree.
    name: String,
    /// Other modules, or an attribute, may call it.
    is_public: bool,
    /// What it names.
    words: BTreeSet<String>,
}

/// Returns the public items of a program, and what these need; nothing if there are none.
///
/// # Errors
///
/// When the source is not Rust.
pub fn component(source: &str) -> Result<Option<String>> {
    let items = items(source)?;
    let local: BTreeSet<&str> = items
        .iter()
        .filter(|it| it.has_own_name())
        .map(|it| &*it.name)
        .collect();
    let is_impl = |it: &Item| it.keyword == "impl" && local.contains(&*it.name);
    let (mut kept, mut rest): (Vec<&Item>, Vec<&Item>) = items
        .iter()
        .filter(|it| it.keyword != "use")
        .partition(|it| it.is_public && !is_impl(it));
    if !kept.iter().any(|it| it.has_own_name()) {
        return Ok(None);
    }
    loop {
        let named = |word: &str| kept.iter().any(|it| it.words.contains(word));
        let is_kept =
            |name: &str| kept.iter().any(|it| it.has_own_name() && it.name == name);
        let is_needed = |it: &&Item| match is_impl(it) {
            true => is_kept(&it.name),
            false => it.name != "main" && named(&it.name),
        };
        let (more, others): (Vec<&Item>, Vec<&Item>) =
            rest.iter().partition(|it| is_needed(it));
        if more.is_empty() {
            break;
        }
        kept.extend(more);
        rest = others;
    }
    let in_some =
        |items: &[&Item], word: &str| items.iter().any(|it| it.words.contains(word));
    let is_unused = |word: &str| in_some(&rest, word) && !in_some(&kept, word);
    let mut lines: Vec<Option<String>> =
        source.lines().map(|line| Some(line.to_owned())).collect();
    for item in items.iter().filter(|it| it.keyword == "use") {
        if let Some(text) = without(&item.name, &is_unused) {
            lines[item.lines.clone()].fill(None);
            lines[item.lines.start] = text;
        }
    }
    for item in rest {
        lines[item.lines.clone()].fill(None);
        // And the blank line before it, if there is one.
        if let Some(before) = item.lines.start.checked_sub(1)
            && lines[before].as_ref().is_some_and(String::is_empty)
        {
            lines[before] = None;
        }
    }
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    Ok(Some(lines.join("\n") + "\n"))
}

impl Item {
    fn has_own_name(&self) -> bool {
        !["", "use", "impl", "mod"].contains(&&*self.keyword)
    }

    fn new(tokens: &[TokenTree]) -> Self {
        let line = |it: &TokenTree| it.span().start().line - 1;
        let start = tokens.first().map_or(0, line);
        let end = tokens.last().map_or(0, |it| it.span().end().line);
        let (mut words, mut rest, mut is_called) = (BTreeSet::new(), tokens, false);
        while let [TokenTree::Punct(_), TokenTree::Group(attribute), after @ ..] = rest {
            let name = attribute
                .stream()
                .into_iter()
                .next()
                .map(|it| it.to_string());
            is_called |= name.is_some_and(|it| CALLED.contains(&&*it));
            rest = after;
        }
        collect(tokens, &mut words);
        let is_pub = matches!(rest, [TokenTree::Ident(it), TokenTree::Ident(_), ..] if it == "pub");
        let mut idents = rest.iter().enumerate().filter_map(|(at, it)| match it {
            TokenTree::Ident(it) => Some((at, it.to_string())),
            _ => None,
        });
        let is_modifier = |it: &str| ["pub", "async", "unsafe"].contains(&it);
        let (at, mut keyword) =
            idents.find(|(_, it)| !is_modifier(it)).unwrap_or_default();
        let mut name = match &rest.get(at + 1) {
            Some(TokenTree::Ident(it)) => it.to_string(),
            _ => String::new(),
        };
        if keyword == "const" && name == "fn" {
            keyword = name;
            name = idents.nth(1).map(|it| it.1).unwrap_or_default();
        }
        match &*keyword {
            "use" => name = text(&rest[at + 1..rest.len() - 1]),
            "impl" => name = implemented(&rest[at + 1..]).unwrap_or_default(),
            "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "mod" => {}
            _ => (keyword, name) = (String::new(), String::new()),
        }
        let is_item = !keyword.is_empty() && keyword != "impl" && keyword != "mod";
        Self {
            lines: start..end,
            is_public: (is_pub || is_called || !is_item) && name != "main",
            keyword,
            name,
            words,
        }
    }
}

/// Returns the items of a source, in its order.
fn items(source: &str) -> Result<Vec<Item>> {
    let tokens: TokenStream = source.parse().map_err(|error| anyhow!("{error}"))?;
    let (mut items, mut item) = (Vec::new(), Vec::new());
    for token in tokens {
        let is_end = match &token {
            TokenTree::Punct(it) => it.as_char() == ';',
            TokenTree::Group(it) => {
                it.delimiter() == Delimiter::Brace && !ends_at_semicolon(&item)
            }
            _ => false,
        };
        // `#![allow(..)]` and the header are no items.
        let is_inner = matches!(
            &item[..],
            [TokenTree::Punct(_), TokenTree::Punct(it)] if it.as_char() == '!'
        );
        item.push(token);
        if is_inner {
            item.clear();
        } else if is_end {
            items.push(Item::new(&std::mem::take(&mut item)));
        }
    }
    Ok(items)
}

/// Whether braces do not end the item: those of a `use`, or of a value.
fn ends_at_semicolon(item: &[TokenTree]) -> bool {
    let mut idents = item.iter().filter_map(|it| match it {
        TokenTree::Ident(it) => Some(it.to_string()),
        _ => None,
    });
    let first = idents.find(|it| it != "pub");
    let mut is_function = || idents.next().is_some_and(|it| it == "fn");
    match first.as_deref() {
        Some("use" | "static" | "type") => true,
        Some("const") => !is_function(),
        _ => false,
    }
}

/// Returns the name of the type that an `impl` is for.
fn implemented(tokens: &[TokenTree]) -> Option<String> {
    let is = |it: &TokenTree, word: &str| it.to_string() == word;
    let mut tokens = match tokens.iter().position(|it| is(it, "for")) {
        Some(at) => &tokens[at + 1..],
        None => tokens,
    };
    let mut depth = 0;
    while let [first, after @ ..] = tokens {
        depth += i32::from(is(first, "<")) - i32::from(is(first, ">"));
        match first {
            TokenTree::Ident(it) if depth == 0 => return Some(it.to_string()),
            _ => tokens = after,
        }
    }
    None
}

/// Collects the names that the tokens contain, also those in braces inside a text. Leaves out
/// the documentation, and `B` of `A::B`.
fn collect(tokens: &[TokenTree], words: &mut BTreeSet<String>) {
    let is_colon =
        |it: &TokenTree| matches!(it, TokenTree::Punct(it) if it.as_char() == ':');
    let is_here = |it: &TokenTree| ["crate", "self", "super"].contains(&&*it.to_string());
    for (at, token) in tokens.iter().enumerate() {
        let is_inside = match &tokens[..at] {
            [.., module, first, second] => {
                is_colon(first) && is_colon(second) && !is_here(module)
            }
            before => before.len() == 2 && before.iter().all(is_colon),
        };
        match token {
            TokenTree::Ident(_) if is_inside => {}
            TokenTree::Ident(it) => drop(words.insert(it.to_string())),
            TokenTree::Literal(it) => {
                let text = it.to_string();
                let inside = text
                    .split('{')
                    .skip(1)
                    .map(|it| it.split(['}', ':']).next());
                words.extend(inside.flatten().map(ToOwned::to_owned));
            }
            TokenTree::Group(it) => {
                let inside: Vec<TokenTree> = it.stream().into_iter().collect();
                if !matches!(inside.first(), Some(TokenTree::Ident(it)) if it == "doc") {
                    collect(&inside, words);
                }
            }
            TokenTree::Punct(_) => {}
        }
    }
}

fn text(tokens: &[TokenTree]) -> String {
    let tokens: TokenStream = tokens.iter().cloned().collect();
    let text = tokens.to_string().replace(" as ", "#");
    text.split_whitespace()
        .collect::<String>()
        .replace('#', " as ")
}

/// Returns the import without the names that are unused, if it has some; nothing in place of
/// an import that is left empty.
fn without(tree: &str, is_unused: &dyn Fn(&str) -> bool) -> Option<Option<String>> {
    let leaves = leaves(tree);
    let is_needed = |leaf: &&String| {
        let name = leaf.trim_end_matches("::self").rsplit([':', ' ']).next();
        // A trait without a name has methods.
        name.is_none_or(|name| name == "_" || !is_unused(name))
    };
    let kept: Vec<&String> = leaves.iter().filter(is_needed).collect();
    if kept.len() == leaves.len() {
        return None;
    }
    let mut modules: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for leaf in kept {
        let (module, name) = leaf.rsplit_once("::").unwrap_or(("", leaf));
        modules.entry(module).or_default().push(name);
    }
    let imports = modules.into_iter().map(|(module, names)| match &names[..] {
        ["self"] => format!("use {module};"),
        [name] => format!("use {module}::{name};"),
        names => format!("use {module}::{{{}}};", names.join(", ")),
    });
    let imports: Vec<String> = imports.collect();
    Some(Some(imports.join("\n")).filter(|it| !it.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::component;

    const PROGRAM: &str = "\
//! A program.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write as _};
use std::time::Duration;

/// The most.
const MOST: usize = 9;
const LIMIT: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Names(HashMap<u32, String>);

impl Names {
    /// As [`show`].
    pub fn text(&self) -> String {
        format!(\"{} of {MOST}\", seen(self))
    }
}

fn seen(names: &Names) -> usize {
    names.0.len()
}

/// For the demonstration.
struct Shown<'a>(&'a HashSet<u32>);

impl<'a> From<&'a HashSet<u32>> for Shown<'a> {
    fn from(seen: &'a HashSet<u32>) -> Self {
        Self(seen)
    }
}

pub(crate) fn show(names: &Names) -> io::Result<()> {
    let seen = HashSet::from([seen(names)]);
    let Shown(_) = Shown::from(&seen);
    std::io::stdout().flush()
}

fn main() -> io::Result<()> {
    std::thread::sleep(LIMIT);
    show(&Names::default())
}
";

    #[test]
    fn a_component_is_what_other_modules_use_and_what_it_needs() {
        let text = component(PROGRAM).expect("it is Rust").expect("`Names`");
        let (kept, gone) = PROGRAM.split_once("/// For the dem").expect("it is there");
        let kept = kept.replace("{HashMap, HashSet}", "HashMap");
        let kept = kept.replace(
            "use std::io::{self, Write as _};",
            "use std::io::Write as _;",
        );
        let kept = kept.replace("use std::time::Duration;\n", "");
        let kept = kept.replace("const LIMIT: Duration = Duration::from_secs(1);\n", "");
        assert_eq!(text.trim_end(), kept.trim_end());
        let alone = component(&format!("struct Names;{gone}")).expect("it is Rust");
        assert_eq!(alone, None);
    }
}
