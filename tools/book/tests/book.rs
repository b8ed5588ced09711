//! The book, made from copies of the workspace in which things were changed.

#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use regex::Regex;
use tempfile::TempDir;

/// A copy of the workspace, without what is built.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let copy = Self(tempfile::tempdir().unwrap());
        each_file(root.unwrap(), &mut |file| {
            let to = file.strip_prefix(root.unwrap()).unwrap();
            let to = copy.0.path().join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(file, to).unwrap();
        });
        copy
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).expect(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).expect(path);
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from}");
        self.write(path, &text.replacen(from, to, 1));
    }

    /// Adds lines to the end of a file.
    fn append(&self, path: &str, lines: &str) {
        self.write(path, &(self.read(path) + lines));
    }

    /// The rows of a table, without its heading.
    fn rows(&self, path: &str) -> Vec<Vec<String>> {
        let text = self.read(path);
        let rows = text.lines().skip(1);
        rows.map(|row| row.split('\t').map(str::to_owned).collect())
            .collect()
    }

    /// The command that makes the book, without building or running anything.
    fn book(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_book"));
        command.arg("--no-run").current_dir(self.0.path());
        command.env_remove("CARGO_TARGET_DIR");
        command
    }

    /// Makes the book in `target/book`, and returns its pages by their paths.
    fn made(&self) -> BTreeMap<String, String> {
        let output = self.book().output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{stderr}");
        let mut pages = BTreeMap::new();
        let root = self.at("target/book");
        each_file(&root, &mut |path| {
            if path.extension().is_some_and(|it| it == "html") {
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                pages.insert(name, fs::read_to_string(path).unwrap());
            }
        });
        assert!(pages.len() > 100);
        pages
    }

    /// What it says when it has to fail with these arguments.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.book().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }
}

/// Calls `look` with each file below the folder, but for what is built.
fn each_file(folder: &Path, look: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let left_out = [".git", "target", "node_modules", "__pycache__"];
        if !path.is_dir() {
            look(&path);
        } else if !left_out.iter().any(|name| path.ends_with(name)) {
            each_file(&path, look);
        }
    }
}

/// A copy with its pages, which nobody changes.
fn unchanged() -> &'static (Copy, BTreeMap<String, String>) {
    static COPY: OnceLock<(Copy, BTreeMap<String, String>)> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = Copy::new();
        let pages = copy.made();
        (copy, pages)
    })
}

/// The values of an attribute, each with the name of its element.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<(&'a str, &'a str)> {
    let start = format!(" {name}=\"");
    let tags = page.split('<').filter_map(|tag| tag.split('>').next());
    let values = tags.filter_map(|tag| {
        let (_, value) = tag.split_once(&start)?;
        Some((tag.split(' ').next()?, value.split('"').next()?))
    });
    values.collect()
}

#[test]
fn links_resolve_and_nothing_is_loaded_from_elsewhere() {
    let (copy, pages) = unchanged();
    let root = fs::canonicalize(copy.at("target/book")).unwrap();
    let mut broken = Vec::new();
    for (path, page) in pages.iter().filter(|(path, _)| *path != "404.html") {
        let links = attributes(page, "href").into_iter();
        for (element, target) in links.chain(attributes(page, "src")) {
            let is_address = target.contains(':') || target.starts_with("//");
            if is_address && element == "a" {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => root.join(path),
                file => root.join(path).with_file_name(file),
            };
            let resolves = fs::canonicalize(file).is_ok_and(|file| {
                let page = file.strip_prefix(&root).unwrap().to_str().unwrap();
                let has =
                    |page| attributes(page, "id").iter().any(|(_, id)| *id == anchor);
                anchor.is_empty() || pages.get(page).is_some_and(|page| has(page))
            });
            if is_address || !resolves {
                broken.push(format!("{path}: {target}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
    for style in fs::read_dir(root.join("css")).unwrap() {
        let text = fs::read_to_string(style.unwrap().path()).unwrap();
        assert!(!text.contains("url(http") && !text.contains("@import"));
    }
}

#[test]
fn agents_and_editors_get_the_files_and_an_index_that_is_small_enough() {
    let (copy, pages) = unchanged();
    let book = copy.at("target/book");
    let made = |path: &str| fs::read_to_string(book.join(path)).expect(path);
    let llms = made("llms.txt");
    let skill = |path: &str| made(&format!("skill/asyncio-to-tokio/{path}"));
    let index = skill("SKILL.md");
    let snippets: serde_json::Value =
        serde_json::from_str(&made("snippets/rust.json")).unwrap();
    let snippets = snippets.as_object().unwrap();
    let mut names = BTreeSet::new();
    for (id, snippet) in snippets {
        let (section, name) = id.split_once('/').unwrap();
        names.insert(name);
        let source = copy.read(&format!("crates/{section}/src/{name}.rs"));
        let source = catalog::directives::shown(&source);
        assert_eq!(skill(&format!("examples/{id}.rs")), source);
        assert!(
            skill(&format!("sections/{section}.md")).contains(&format!("\n## {name}\n"))
        );
        assert!(index.contains(&format!("\n- {name}: ")), "{id}");
        assert!(llms.contains(&format!("({id}.html.md)")), "{id}");
        assert!(!snippet["body"].as_array().unwrap().is_empty(), "{id}");
    }
    let has_header = |page: &&String| page.contains("id=\"header\"");
    assert_eq!(pages.values().filter(has_header).count(), snippets.len());

    // An agent reads all of SKILL.md whenever the skill is used: at most 5,000 tokens, as
    // Anthropic's guide asks, of four bytes each. A section is read once, on demand, and
    // leaves room for the work: 20,000 tokens.
    assert!(
        index.len() <= 20_000 && index.lines().count() <= 500,
        "{}",
        index.len()
    );
    for section in fs::read_dir(book.join("skill/asyncio-to-tokio/sections")).unwrap() {
        assert!(section.unwrap().metadata().unwrap().len() <= 80_000);
    }
    let (_, description) = index.split_once("\ndescription: ").unwrap();
    assert!(description.lines().next().unwrap().chars().count() <= 1024);
    let (mistakes, _) = index.split_once("## Index").unwrap();
    let examples = Regex::new(r"\(((?:`[a-z_]+`(?:, )?)+)\)\.\n").unwrap();
    for named in examples.captures_iter(mistakes) {
        for name in named[1].split(", ") {
            assert!(names.contains(name.trim_matches('`')), "{name}");
        }
    }
    assert!(examples.captures_iter(mistakes).count() > 10);
}

/// What cargo makes of these commands in an empty project: lines of a manifest.
fn added(commands: &str) -> BTreeSet<String> {
    let project = tempfile::tempdir().unwrap();
    let manifest = project.path().join("Cargo.toml");
    fs::create_dir(project.path().join("src")).unwrap();
    fs::write(project.path().join("src/main.rs"), "fn main() {}").unwrap();
    fs::write(&manifest, "[package]\nname = \"x\"\n\n[dependencies]\n").unwrap();
    for line in commands.lines() {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["--offline", "--quiet"]);
        let output = command.current_dir(&project).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {stderr}");
    }
    needed(&fs::read_to_string(manifest).unwrap())
}

/// The lines of a manifest that name a crate.
fn needed(manifest: &str) -> BTreeSet<String> {
    let (_, lines) = manifest.split_once("[dependencies]\n").unwrap();
    let lines = lines.lines().filter(|line| line.contains(" = "));
    lines
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_commands_add_what_the_manifest_names() {
    let (_, pages) = unchanged();
    let block = |page: &str, language: &str| {
        let start = format!("<code class=\"language-{language}\">");
        let (_, code) = page.split_once(&start).expect(language);
        code.split("</code>")
            .next()
            .unwrap()
            .replace("&quot;", "\"")
    };
    let mut known = BTreeMap::new();
    for (path, page) in pages
        .iter()
        .filter(|(_, page)| page.contains("class=\"take\""))
    {
        let mut all = BTreeSet::new();
        for line in block(page, "sh").lines() {
            let lines = known.entry(line.to_owned()).or_insert_with(|| added(line));
            all.append(&mut lines.clone());
        }
        assert_eq!(all, needed(&block(page, "toml")), "{path}");
    }
    assert!(known.len() > 20);
}

#[test]
fn each_trap_and_each_crate_has_its_row() {
    let copy = Copy::new();
    let rows = copy.rows("docs/traps.tsv");
    let retired = format!("T{:03}", rows.len() + 1);
    let row = format!("{retired}\tretired: it was <none>\n");
    copy.append("docs/traps.tsv", &row);
    let pages = copy.made();
    let traps = &pages["traps.html"];
    let has_id =
        |page: &str, id: &str| attributes(page, "id").iter().any(|(_, it)| *it == id);
    for row in rows {
        let (number, page) = (&row[0], format!("{}.html", row[1]));
        if row[1].starts_with("retired") {
            assert!(has_id(traps, number), "{row:?}");
            continue;
        }
        assert!(
            has_id(traps, number) && has_id(&pages[&page], number),
            "{row:?}"
        );
        assert!(traps.contains(&format!("\"{page}#{number}\"")), "{row:?}");
    }
    assert!(has_id(traps, &retired) && traps.contains("retired: it was &lt;none&gt;"));
    let lock = copy.read("Cargo.lock");
    assert!(lock.contains("name = \"moka\""));
    let row = pages["crates.html"]
        .split("<tr id=\"moka\">")
        .nth(1)
        .unwrap();
    let row = row.split("</tr>").next().unwrap();
    let (_, tried) = lock.split_once("name = \"moka\"\nversion = \"").unwrap();
    assert!(
        row.contains(&format!(">{}</td>", tried.split('"').next().unwrap())),
        "{row}"
    );
    assert!(row.contains("href=\"real-world/ttl_cache.html\""), "{row}");
    let page = &pages["real-world/ttl_cache.html"];
    assert!(page.contains("<div class=\"box in-production\">"));
}

#[test]
fn each_guide_has_a_page_with_its_blocks_and_the_advice_at_its_place() {
    let (copy, pages) = unchanged();
    let page = |block: &str| {
        let number = block.split('-').next().unwrap().trim_start_matches('0');
        let number = if number.is_empty() { "0" } else { number };
        &pages[&format!("guide-{}.html", number.to_lowercase())]
    };
    // What stands between the heading of this block and the next heading.
    let part = |block: &str| {
        let (_, after) = page(block).split_once(&format!(">{block} ")).expect(block);
        after.split("<h").next().unwrap().to_owned()
    };
    for row in copy.rows("docs/guide-titles.tsv") {
        assert!(pages["by-guide.html"].contains(&row[1]), "{row:?}");
    }
    let advice = copy.rows("docs/advice.tsv");
    let placed = |block: &str| {
        let rows = advice.iter();
        rows.filter(|row| row[0].split(' ').any(|it| it == block))
            .count()
    };
    for row in copy.rows("docs/guides.tsv") {
        let part = part(&row[0]);
        for id in row[3].split(' ') {
            assert!(part.contains(&format!("href=\"{id}.html\"")), "{row:?}");
            // And back; that the address is there is tested with all links.
            let back = pages[&format!("{id}.html")].split("answers <a href=\"../guide-");
            let back = back.last().unwrap().split("</td>").next().unwrap();
            assert!(back.contains(&format!("\">{} ", row[0])), "{id}: {row:?}");
        }
        assert_eq!(
            part.contains("Wrong in the block"),
            !row[4].is_empty(),
            "{row:?}"
        );
        assert_eq!(
            part.matches("class=\"advice\"").count(),
            placed(&row[0]),
            "{row:?}"
        );
    }
    assert!(part("003-23").contains("Differs:"));
    let before = page("003-01").split_once(">003-01 ").unwrap().0;
    assert_eq!(before.matches("class=\"advice\"").count(), placed("003-00"));
}

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
    let tables = ["questions", "guides", "crates", "sheet", "advice"];
    let tables = tables.map(|name| format!("docs/{name}.tsv"));
    let texts = tables.each_ref().map(|path| copy.read(path));
    let row = copy.rows("docs/questions.tsv").len() + 2;
    let question = "Where is it?\titerators/no_such_thing\n";
    copy.append("docs/questions.tsv", question);
    let block = "999-01\t1\tX\titerators/stream_by_hand\t\n";
    copy.append("docs/guides.tsv", block);
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
        "docs/guide-titles.tsv has no title for the guide `999`",
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
fn each_category_of_names_is_there_once_in_the_order_of_the_table() {
    let (copy, pages) = unchanged();
    let groups = attributes(&pages["by-name.html"], "id").into_iter();
    let groups: Vec<&str> = groups
        .filter_map(|(_, id)| id.strip_prefix("group-"))
        .collect();
    let mut seen = BTreeSet::new();
    let rows = copy.rows("docs/asyncio-api.tsv").into_iter();
    let categories = rows.map(|row| row[2].replace('/', "-"));
    let categories: Vec<String> =
        categories.filter(|it| seen.insert(it.clone())).collect();
    assert_eq!(groups, categories);
    assert_eq!(
        &groups[..2],
        ["runners", "tasks"],
        "what a reader looks for first"
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
