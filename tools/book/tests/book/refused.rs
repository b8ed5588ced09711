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
    let places = [
        "crates/iterators/python/generator.py",
        "crates/iterators/golden/generator.txt",
        "docs/guides.tsv:",
        "docs/questions.tsv:",
        "docs/chapters/99-x.md:3:",
        "docs/chapters/99-x.md:5:",
        "crates/iterators/src/two_way_generator.rs",
    ];
    for place in places {
        assert!(said.contains(place), "{place} is not named in:\n{said}");
    }
}

#[test]
fn mistakes_in_tables_and_chapters_are_named() {
    let copy = Copy::new();
    let row = copy.rows("docs/questions.tsv").len() + 2;
    let question = "Where is it?\titerators/no_such_thing\n\
                    Which lock is it?\twhich-one#which-lock which-one#nothing\n";
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
        &format!(
            "docs/questions.tsv:{}: no example `which-one#nothing",
            row + 1
        ),
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
