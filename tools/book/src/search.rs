//! The search of the pages: mdBook's own, with an index of our own.
//!
//! mdBook would index every word of an example, its transcript too. Here an example is one
//! entry, and so is each question, name of asyncio and message. Names such as
//! `mpsc::channel` are found by their parts.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use ::search::{Index, Kind, names};
use anyhow::{Context, Result};
use catalog::files::{entries, read, stem};
use elasticlunr::IndexBuilder;
use serde_json::{Value, json};

use crate::contents::Contents;

const START: &str = "window.search = Object.assign(window.search, JSON.parse('";
const END: &str = "'));";

/// Replaces the index that mdBook has written to `out`. Returns its name, which is made from
/// what mdBook had indexed, and the name for pages, which changes with what is in it.
pub fn replace(contents: &Contents<'_>, out: &Path) -> Result<[String; 2]> {
    let is_index = |path: &PathBuf| {
        stem(path).starts_with("searchindex") && path.extension() == Some("js".as_ref())
    };
    let path = entries(out)?.into_iter().find(is_index);
    let path = path.context("mdBook has written no search index")?;
    let text = read(&path)?;
    let text = text
        .strip_prefix(START)
        .and_then(|text| text.strip_suffix(END));
    let text = text.context("mdBook has written its search index in another form")?;
    let mut search: Value =
        serde_json::from_str(&text.replace("\\'", "'").replace("\\\\", "\\"))?;
    let mut found = pages(&search);
    found.extend(own(contents)?);
    let mut index = IndexBuilder::new();
    for field in ["title", "body", "breadcrumbs"] {
        index = index.add_field_with_tokenizer(field, Box::new(words));
    }
    let mut index = index.build();
    for (number, [_, title, body, place]) in found.iter().enumerate() {
        index.add_doc(&number.to_string(), [title, body, place]);
    }
    let urls: Vec<&String> = found.iter().map(|[url, ..]| url).collect();
    search["doc_urls"] = json!(urls);
    search["index"] = serde_json::to_value(index)?;
    shrink(&mut search["index"]["index"]);
    let text = search
        .to_string()
        .replace('\\', "\\\\")
        .replace('\'', "\\'");
    fs::write(&path, format!("{START}{text}{END}"))?;
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let name = format!("{}.js", stem(&path));
    let latest = format!("{name}?{:x}", hasher.finish());
    Ok([name, latest])
}

/// Leaves out what no search needs: the empty lists of letters that end no word, and all but
/// two decimals of how often a word comes.
fn shrink(index: &mut Value) {
    match index {
        Value::Object(fields) => {
            if fields.get("df").and_then(Value::as_u64) == Some(0) {
                fields.retain(|name, _| name != "df" && name != "docs");
            }
            fields.values_mut().for_each(shrink);
        }
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|_| number.is_f64()) {
                *index = json!((float * 100.0).round() / 100.0);
            }
        }
        _ => {}
    }
}

/// The address, title, text and place of an entry.
type Entry = [String; 4];

/// Returns mdBook's entries: of the chapters, the names and other pages that have their own.
fn pages(search: &Value) -> Vec<Entry> {
    let urls = search["doc_urls"].as_array().into_iter().flatten();
    let entries = urls.zip(0..).map(|(url, number)| {
        let doc = &search["index"]["documentStore"]["docs"][i32::to_string(&number)];
        let field = |name: &str| doc[name].as_str().unwrap_or_default().to_owned();
        // The text of a guide's page says again what the entries of examples say.
        let [title, mut body, place] = ["title", "body", "breadcrumbs"].map(field);
        let url = url.as_str().unwrap_or_default();
        if url.starts_with("guide-") {
            body.clear();
        }
        [url.to_owned(), title, body, place]
    });
    entries.collect()
}

/// Returns an entry for each example, question, library, message and row of names of Rust.
fn own(contents: &Contents<'_>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in contents.entries() {
        let example = entry.example;
        let header = &example.header;
        let prose = header.paragraphs.iter().map(|it| it.text.as_str());
        let prose: Vec<&str> = prose.collect();
        let body = format!("{}\n{}", prose.join("\n"), names([&example.source]));
        let title = format!("{}: {}", example.name, header.summary);
        entries.push([format!("{}.html", example.id()), title, body, example.id()]);
    }
    let index = Index::of(contents.workspace)?;
    for (kind, text, examples) in index.written() {
        let Some(first) = examples.first() else {
            continue;
        };
        let place = match kind {
            Kind::Question => "Questions",
            Kind::Message => "Messages",
            Kind::Rust => "Names of Rust",
            Kind::Library => "Libraries",
            _ => continue,
        };
        let url = format!("{first}.html");
        entries.push([url, text.to_owned(), examples.join(" "), place.to_owned()]);
    }
    Ok(entries)
}

/// Cuts as the page cuts what is typed, at blanks and hyphens; and the parts of names besides.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text
        .to_lowercase()
        .split(|c: char| c.is_whitespace() || c == '-')
    {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let parts = word.split(|c: char| !c.is_alphanumeric() && c != '_');
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        if parts.len() > 1 {
            words.push(word.to_owned());
        }
        words.extend(parts.into_iter().map(str::to_owned));
    }
    words.retain(|word| word.len() <= 80);
    words
}
