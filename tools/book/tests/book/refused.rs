//! What the book refuses, and what it says then.

use std::fs;

use crate::Copy;

#[test]
fn every_place_that_refers_to_a_deleted_example_is_named() {
    let copy = Copy::new();
    let chapter = "# A chapter\n\n[it](example:iterators/generator)\n\n\
                   ```rust include=iterators/generator\n```\n";
    copy.write("docs/chapters/99-x.md", chapter);
    copy.made();
    copy.replace("crates/iterators/src/main.rs", "mod generator;\n", "");
    fs::remove_file(copy.at("crates/iterators/src/generator.rs")).unwrap();
    let said = copy.refused(&[]);
    assert!(
        !said.contains(&format!("{}/", copy.0.path().display())),
        "{said}"
    );
    let mut places = [
        "crates/iterators/python/generator.py",
        "crates/iterators/golden/generator.txt",
        "docs/guides.tsv:",
        "docs/questions.tsv:",
        "docs/chapters/99-x.md:3:",
        "docs/chapters/99-x.md:5:",
    ]
    .map(str::to_owned)
    .to_vec();
    let known = places.len();
    for folder in ["crates/iterators/src", "crates/iterators/compile-fail"] {
        for entry in fs::read_dir(copy.at(folder)).unwrap() {
            let path = format!("{folder}/{}", entry.unwrap().file_name().display());
            let text = fs::read_to_string(copy.at(&path)).unwrap_or_default();
            let mut header = text.lines().filter(|line| line.starts_with("//!"));
            let names = ["`generator`", "example: generator"];
            if header.any(|line| names.iter().any(|name| line.contains(name))) {
                places.push(path);
            }
        }
    }
    assert!(places.len() > known);
    for place in places {
        assert!(said.contains(&place), "{place} is not named in:\n{said}");
    }
}

#[test]
fn mistakes_in_tables_and_chapters_are_named() {
    let copy = Copy::new();
    let tables = ["questions", "crates", "sheet", "advice"];
    let tables = tables.map(|name| format!("docs/{name}.tsv"));
    let texts = tables.each_ref().map(|path| copy.read(path));
    let row = copy.rows("docs/questions.tsv").len() + 2;
    let question = "Where is it?\titerators/no_such_thing\n";
    copy.append("docs/questions.tsv", question);
    let advice = "003-99\tX\twhich-one\n003-01\tX\twhich-one#nothing\n";
    copy.append("docs/advice.tsv", advice);
    copy.replace("docs/crates.tsv", "moka\t", "mocca\t");
    copy.replace("docs/sheet.tsv", "asyncio.sleep(0.1", "asyncio.slept(0.1");
    let chapter = "# A chapter\n\n```rust\nfn main() {}\n```\n\n\
                   ```python include=iterators/generator item=nothing\n```\n\n\
                   ```rust include=iterators/compile-fail/nothing\n```\n\n\
                   [it](example:nothing) [it](asyncio:asyncio.nothing)\n";
    copy.write("docs/chapters/99-x.md", chapter);
    let said = copy.refused(&[]);
    for part in [
        &format!("docs/questions.tsv:{row}: no example `iterators/no_such"),
        "no block `003-99`",
        "no example or chapter `which-one#nothing`",
        "docs/chapters/99-x.md:3: a block of Rust or Python includes a checked file",
        "docs/chapters/99-x.md:7: there is no `nothing` in crates/iterators/python/gen",
        "docs/chapters/99-x.md:10: there is no crates/iterators/compile-fail/nothing.rs",
        "docs/chapters/99-x.md:13: no example `nothing`",
        "docs/chapters/99-x.md:13: `asyncio.nothing` is not in docs/asyncio-api.tsv",
        "ttl_cache.rs: docs/crates.tsv does not say what the crate `moka` is for",
        ": iterators/async_range does not show `slept(`",
        "no paragraph `In production:` names `mocca`; remove the row",
    ] {
        assert!(said.contains(part), "{part} is not said in:\n{said}");
    }

    for (path, text) in tables.iter().zip(&texts) {
        copy.write(path, text);
    }
    let chapter = "# A chapter\n\n\
                   ```rust include=iterators/generator item=async_range\n```\n\n\
                   ```python include=iterators/generator item=readings\n```\n\n\
                   [it](example:generator) [it](asyncio:asyncio.wait_for)\n";
    copy.write("docs/chapters/99-x.md", chapter);
    let page = &copy.made()["x.html"];
    for part in [
        "pub fn async_range(",
        "async def readings(count):",
        "href=\"iterators/generator.html\"",
        "href=\"by-name.html#asyncio.wait_for\"",
    ] {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
    assert!(
        !page.contains("The generator starts\");"),
        "more than the item"
    );
}

#[test]
fn a_folder_of_somebody_else_is_not_emptied() {
    let copy = Copy::new();
    fs::create_dir(copy.at("mine")).unwrap();
    copy.write("mine/letter.txt", "Dear");
    let said = copy.refused(&["--out", "mine"]);
    assert!(
        said.contains("mine has something in it that is no book"),
        "{said}"
    );
    assert_eq!(copy.read("mine/letter.txt"), "Dear");
}
