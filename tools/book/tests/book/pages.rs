//! What the pages show, and what is next to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use regex::Regex;

use crate::{Copy, attributes, unchanged};

#[test]
fn links_resolve_and_nothing_is_loaded_from_elsewhere() {
    let (copy, pages) = unchanged();
    let root = fs::canonicalize(copy.at("target/book")).unwrap();
    assert!(pages["404.html"].contains("<base href=\"/below/a/folder/\">"));
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
fn agents_and_editors_get_the_files_and_an_index() {
    let (copy, pages) = unchanged();
    let book = copy.at("target/book");
    let made = |path: &str| fs::read_to_string(book.join(path)).expect(path);
    let llms = made("llms.txt");
    let skill = |path: &str| made(&format!("skill/asyncio-to-tokio/{path}"));
    let index = skill("SKILL.md");
    let snippets: serde_json::Value =
        serde_json::from_str(&made("asyncio-to-tokio.code-snippets")).unwrap();
    let snippets = snippets.as_object().unwrap();
    let mut names = BTreeSet::new();
    let examples = pages
        .iter()
        .filter(|(_, page)| page.contains("id=\"header\""));
    for id in examples.filter_map(|(path, _)| path.strip_suffix(".html")) {
        let (section, name) = id.split_once('/').unwrap();
        names.insert(name);
        let source = copy.read(&format!("crates/{section}/src/{name}.rs"));
        let source = catalog::directives::shown(&source);
        let program = skill(&format!("examples/{id}.rs"));
        assert!(source.ends_with(&program) && !program.is_empty(), "{id}");
        assert!(
            skill(&format!("sections/{section}.md")).contains(&format!("\n## {name}\n"))
        );
        // The index has modules of Python by their section alone.
        let is_module = copy.at(&format!("crates/{section}/src/lib.rs")).exists();
        let line = format!("\n- {name}: ");
        assert!(
            index.contains(if is_module {
                "sections/interop.md"
            } else {
                &line
            }),
            "{id}"
        );
        assert!(llms.contains(&format!("/{id}.html.md)")), "{id}");
        if let Some(snippet) = snippets.get(id) {
            assert!(snippet["body"].as_str().unwrap().ends_with("$0"), "{id}");
        }
    }
    assert!(snippets.len() > names.len() / 2);
    let without = ["404.html", "index.html", "toc.html"];
    for name in pages.keys().filter(|it| !without.contains(&it.as_str())) {
        let text = made(&format!("{name}.md"));
        let html = ["<p>", "<li>", "<td>", "<div", "<a href"];
        let html = html
            .iter()
            .find(|it| !name.contains('/') && text.contains(**it));
        assert_eq!(html, None, "{name}.md");
    }
    // Rows that lead to chapters lead to their text.
    let crates = skill("choosing-crates.md");
    assert!(
        crates.contains("\n### DNS: ") && crates.contains("](beyond-one-machine.md#")
    );
    let links = "beyond-one-machine.html#kafka";
    assert!(pages["by-question.html"].contains(links), "{links}");
}

/// An agent reads all of SKILL.md whenever the skill is used: at most 5,000 tokens, as
/// Anthropic's guide asks, of four bytes each. A section is read once, on demand, and leaves
/// room for the work: 25,000 tokens.
#[test]
fn what_an_agent_reads_is_small_and_names_what_is_there() {
    let (copy, _) = unchanged();
    let skill = copy.at("target/book/skill/asyncio-to-tokio");
    let index = fs::read_to_string(skill.join("SKILL.md")).unwrap();
    assert!(
        index.len() <= 20_000 && index.lines().count() <= 500,
        "{}",
        index.len()
    );
    for section in fs::read_dir(skill.join("sections")).unwrap() {
        assert!(section.unwrap().metadata().unwrap().len() <= 100_000);
    }
    let (_, description) = index.split_once("\ndescription: ").unwrap();
    assert!(description.lines().next().unwrap().chars().count() <= 1024);
    let examples = skill.join("examples");
    let is_there = |name: &str| {
        let mut sections = fs::read_dir(&examples).unwrap();
        sections.any(|it| it.unwrap().path().join(format!("{name}.rs")).exists())
    };
    let (mistakes, _) = index.split_once("## Index").unwrap();
    let named = Regex::new(r"\(((?:`[a-z_]+`(?:, )?)+)\)\.\n").unwrap();
    for names in named.captures_iter(mistakes) {
        for name in names[1].split(", ") {
            assert!(is_there(name.trim_matches('`')), "{name}");
        }
    }
    assert!(named.captures_iter(mistakes).count() > 10);
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
    // The first trap stands before the program, the notes after it.
    let places = ["box trap", "bar", "notes", "box in-production"];
    let places = places.map(|it| page.find(&format!("<div class=\"{it}\"")).expect(it));
    assert!(places.is_sorted(), "{places:?}");
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
