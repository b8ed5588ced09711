//! The book, made from copies of the workspace in which things were changed.

#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A copy of the workspace, without what is built.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap();
        let copy = tempfile::tempdir().unwrap();
        for part in [
            "Cargo.toml",
            "Cargo.lock",
            "crates",
            "docs",
            "tests",
            "xtask",
            "tools",
        ] {
            copy_all(&root.join(part), &copy.path().join(part));
        }
        Self(copy)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from}");
        fs::write(self.at(path), text.replacen(from, to, 1)).unwrap();
    }

    /// Makes the book in `target/book`, without building or running anything.
    fn make(&self) -> Output {
        Command::new(env!("CARGO_BIN_EXE_book"))
            .arg("--no-run")
            .current_dir(self.0.path())
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .unwrap()
    }

    /// What it prints when it has to succeed.
    fn made(&self) -> String {
        let output = self.make();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert_eq!(stderr, "");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says when it has to fail.
    fn refused(&self) -> String {
        let output = self.make();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }
}

fn copy_all(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "target" && name != "node_modules" && name != "__pycache__" {
            copy_all(&from.join(&name), &to.join(&name));
        }
    }
}

/// A copy with a book in it, which nobody changes.
fn unchanged() -> &'static Copy {
    static COPY: OnceLock<Copy> = OnceLock::new();
    COPY.get_or_init(|| {
        let copy = Copy::new();
        copy.made();
        copy
    })
}

/// The pages, by their paths below the folder.
fn pages(copy: &Copy) -> Vec<(PathBuf, String)> {
    let root = copy.at("target/book");
    let mut pages = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "html")
            {
                let text = fs::read_to_string(&path).unwrap();
                pages.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(pages.len() > 100);
    pages
}

/// The values of an attribute, of whatever element.
fn attributes<'a>(page: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let start = format!(" {name}=\"");
    let tags = page.split('<').filter_map(|tag| tag.split('>').next());
    tags.filter_map(move |tag| tag.split_once(&start)?.1.split('"').next())
}

fn ids(page: &str) -> BTreeSet<&str> {
    attributes(page, "id").collect()
}

#[test]
fn every_link_inside_of_the_book_resolves() {
    let copy = unchanged();
    let pages = pages(copy);
    let root = copy.at("target/book");
    let mut broken = Vec::new();
    for (path, page) in &pages {
        let folder = root.join(path).parent().unwrap().to_owned();
        for target in attributes(page, "href").chain(attributes(page, "src")) {
            if target.contains(':') || path == Path::new("404.html") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => root.join(path),
                file => folder.join(file),
            };
            let resolved = fs::canonicalize(&file).ok().and_then(|file| {
                let name = file.strip_prefix(fs::canonicalize(&root).unwrap()).unwrap();
                let text = pages.iter().find(|(path, _)| path == name);
                (anchor.is_empty() || ids(&text?.1).contains(anchor)).then_some(())
            });
            if resolved.is_none() {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let copy = unchanged();
    for (path, page) in pages(copy) {
        let mut loaded: Vec<&str> = attributes(&page, "src").collect();
        for link in page.split("<link ").skip(1) {
            loaded.extend(attributes(&format!(" {link}"), "href").next().map(|_| link));
        }
        for target in loaded {
            let target = target.split('>').next().unwrap_or_default();
            let is_local = !target.contains("://") && !target.contains("\"//");
            assert!(is_local, "{}: {target}", path.display());
        }
    }
    let styles = fs::read_dir(copy.at("target/book/css")).unwrap();
    for style in styles {
        let text = fs::read_to_string(style.unwrap().path()).unwrap();
        assert!(!text.contains("url(http") && !text.contains("@import"));
    }
}

#[test]
fn the_text_to_copy_is_the_file() {
    let copy = unchanged();
    let mut count = 0;
    for (path, page) in pages(copy) {
        let start = "<script type=\"application/json\" id=\"file\">";
        let Some((_, after)) = page.split_once(start) else {
            continue;
        };
        let (json, _) = after.split_once("</script>").unwrap();
        let text: String = serde_json::from_str(json).unwrap();
        let (section, name) = (path.parent().unwrap(), path.file_stem().unwrap());
        let source = format!("crates/{}/src/{}.rs", section.display(), name.display());
        assert_eq!(text, copy.read(&source), "{source}");
        count += 1;
    }
    assert!(count > 100);
}

#[test]
fn pages_change_with_their_files_and_others_do_not() {
    let copy = Copy::new();
    copy.made();
    assert!(copy.made().contains(" 0 pages changed"));
    let golden = "tests/golden/iterators/generator.txt";
    copy.replace(
        golden,
        "Nothing has been generated yet",
        "Nothing is there yet",
    );
    copy.replace(
        "crates/iterators/python/generator.py",
        "def show(",
        "def present(",
    );
    copy.replace("crates/iterators/src/counter.rs", "use std::", "use  std::");
    assert!(copy.made().contains(" 2 pages changed"));
    let page = copy.read("target/book/iterators/generator.html");
    assert!(page.contains("Nothing is there yet") && page.contains("def present("));
    let page = copy.read("target/book/iterators/counter.html");
    assert!(page.contains("use  std::"));
}

#[test]
fn every_place_that_refers_to_a_deleted_example_is_named() {
    let copy = Copy::new();
    fs::create_dir_all(copy.at("docs/chapters")).unwrap();
    let chapter = "# A chapter\n\n[it](example:iterators/generator)\n\n\
                   ```rust include=iterators/generator\n```\n";
    fs::write(copy.at("docs/chapters/99-x.md"), chapter).unwrap();
    copy.made();
    copy.replace("crates/iterators/src/main.rs", "    generator,\n", "");
    fs::remove_file(copy.at("crates/iterators/src/generator.rs")).unwrap();
    let said = copy.refused();
    let mut places = vec![
        "crates/iterators/python/generator.py",
        "tests/golden/iterators/generator.txt",
        "docs/guides.tsv:",
        "docs/questions.tsv:",
        "docs/chapters/99-x.md:3:",
        "docs/chapters/99-x.md:5:",
    ];
    let own = format!("{}/", copy.0.path().display());
    assert!(!said.contains(&own), "{said}");
    let mut naming = Vec::new();
    for kind in ["src", "fails"] {
        let folder = format!("crates/iterators/{kind}");
        for entry in fs::read_dir(copy.at(&folder)).unwrap() {
            let name = entry.unwrap().file_name();
            let path = format!("{folder}/{}", name.display());
            let text = copy.read(&path);
            let header = text.lines().filter(|line| line.starts_with("//!"));
            let header: String = header.collect();
            if header.contains("`generator`") || header.contains("example: generator") {
                naming.push(path);
            }
        }
    }
    assert!(!naming.is_empty());
    places.extend(naming.iter().map(String::as_str));
    for place in places {
        assert!(said.contains(place), "{place} is not named in:\n{said}");
    }
}

#[test]
fn mistakes_in_tables_and_chapters_are_named() {
    let copy = Copy::new();
    let mut questions = copy.read("docs/questions.tsv");
    questions.push_str("Where is it?\titerators/no_such_thing\n");
    fs::write(copy.at("docs/questions.tsv"), &questions).unwrap();
    fs::create_dir_all(copy.at("docs/chapters")).unwrap();
    let chapter = "# A chapter\n\n```rust\nfn main() {}\n```\n\n\
                   ```python include=iterators/generator item=nothing\n```\n\n\
                   ```rust include=iterators/fails/nothing\n```\n\n\
                   [it](example:nothing) [it](asyncio:asyncio.nothing)\n";
    fs::write(copy.at("docs/chapters/99-x.md"), chapter).unwrap();
    let said = copy.refused();
    let row = questions.lines().count();
    for part in [
        &format!("docs/questions.tsv:{row}: no example `iterators/no_such_thing`"),
        "docs/chapters/99-x.md:3: a block of Rust or Python includes a checked file",
        "docs/chapters/99-x.md:7: there is no `nothing` in crates/iterators/python/gen",
        "docs/chapters/99-x.md:10: there is no crates/iterators/fails/nothing.rs",
        "docs/chapters/99-x.md:13: no example `nothing`",
        "docs/chapters/99-x.md:13: `asyncio.nothing` is not in docs/asyncio-api.tsv",
    ] {
        assert!(said.contains(part), "{part} is not said in:\n{said}");
    }

    fs::write(copy.at("docs/questions.tsv"), "question\texamples\n").unwrap();
    let chapter = "# A chapter\n\n\
                   ```rust include=iterators/generator item=async_range\n```\n\n\
                   ```python include=iterators/generator item=readings\n```\n\n\
                   [it](example:generator) [it](asyncio:asyncio.wait_for)\n";
    fs::write(copy.at("docs/chapters/99-x.md"), chapter).unwrap();
    copy.made();
    let page = copy.read("target/book/x.html");
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
        "only the item is there"
    );
}

#[test]
fn names_are_grouped_in_the_order_of_the_documentation_of_asyncio() {
    let copy = Copy::new();
    let mut table = copy.read("docs/asyncio-api.tsv");
    for (name, category) in [("zoo.Keeper", "zoo"), ("abacus.Bead", "abacus")] {
        table.push_str(&format!("{name}\tclass\t{category}\t\t\tnothing\tnone\n"));
    }
    fs::write(copy.at("docs/asyncio-api.tsv"), &table).unwrap();
    copy.made();
    let page = copy.read("target/book/by-name.html");
    let groups = page.split("<div class=\"group\"").skip(1);
    let groups: Vec<&str> = groups
        .map(|group| group.split(['>', '<']).nth(1).unwrap())
        .collect();
    let listed = [
        "runners",
        "tasks",
        "timeouts",
        "streams",
        "sync",
        "subprocess",
        "queues",
        "exceptions",
        "loop",
        "futures",
        "protocols/transports",
        "policies",
        "platform",
        "debugging",
        "language",
        "builtins",
    ];
    let (first, others) = groups.split_at(listed.len());
    assert_eq!(first, listed);
    assert_eq!((others[0], others[others.len() - 1]), ("abacus", "zoo"));
    assert!(others.is_sorted(), "{others:?}");
    let rows = table.lines().skip(1);
    let categories: BTreeSet<&str> =
        rows.map(|row| row.split('\t').nth(2).unwrap()).collect();
    assert_eq!(groups.len(), categories.len(), "each is there once");
}

#[test]
fn a_folder_of_somebody_else_is_not_emptied() {
    let copy = Copy::new();
    fs::create_dir(copy.at("mine")).unwrap();
    fs::write(copy.at("mine/letter.txt"), "Dear").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_book"))
        .args(["--no-run", "--out", "mine"])
        .current_dir(copy.0.path())
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("mine has something in it that is no book"),
        "{said}"
    );
    assert_eq!(copy.read("mine/letter.txt"), "Dear");
}

/// A process that is killed when the test ends, however it does.
struct Running {
    process: Child,
    /// What it prints, on standard output and standard error.
    lines: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (sender, lines) = channel();
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(process.stdout.take().unwrap()),
            Box::new(process.stderr.take().unwrap()),
        ];
        for pipe in pipes {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self { process, lines }
    }

    /// The next line that has this in it.
    fn says(&self, what: &str) -> String {
        let mut others = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(180)) {
                Ok(line) if line.contains(what) => return line,
                Ok(line) => others.push(line),
                Err(error) => panic!("no {what}, but {others:#?}: {error}"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The answer of a server at `http://HOST/`, with its head.
fn answer(address: &str, path: &str) -> String {
    let host = address
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/');
    let mut stream = TcpStream::connect(host).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    // What a browser asks for that has the page already.
    let asked = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_page_that_is_open_reloads_when_the_book_was_made_anew() {
    let copy = Copy::new();
    let server = Running::start(
        Command::new(env!("CARGO_BIN_EXE_book"))
            .args(["--no-run", "--serve"])
            .current_dir(copy.0.path())
            .env_remove("CARGO_TARGET_DIR"),
    );
    let line = server.says("(Ctrl-C ends it)");
    let address = line.split(' ').next().unwrap();
    let page = format!("{address}iterators/generator.html");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reload.js");
    let browser = Running::start(Command::new("node").arg(script).arg(&page));
    browser.says("open");
    let missing = answer(address, "/iterators/nothing.html");
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("\"/-made\""));

    // A change that cannot be made into a book, and then one that can: the page reloads
    // for the second, when what it gets is new.
    let questions = copy.read("docs/questions.tsv");
    fs::write(copy.at("docs/questions.tsv"), "Where?\tno/such_thing\n").unwrap();
    server.says("no example `no/such_thing`");
    assert!(answer(address, "/-made").ends_with("\r\n\r\n0"));
    copy.replace(
        "tests/golden/iterators/generator.txt",
        "Nothing has been generated yet",
        "Nothing is there yet",
    );
    fs::write(copy.at("docs/questions.tsv"), questions).unwrap();
    browser.says("reload");
    let served = answer(address, "/iterators/generator.html");
    assert!(served.starts_with("HTTP/1.1 200"), "{served}");
    assert!(served.contains("Nothing is there yet"));
    assert!(served.contains("\"/-made\""));

    for (path, page) in pages(&copy) {
        assert!(
            !page.contains("/-made"),
            "{} was written so",
            path.display()
        );
    }
}

/// What is looked for, and the page that has to come first.
const FOUND: [(&str, &str); 24] = [
    ("asyncio.as_completed", "by-name.html#asyncio.as_completed"),
    ("as_completed", "by-name.html#asyncio.as_completed"),
    ("asyncio.wait_for", "by-name.html#asyncio.wait_for"),
    ("wait_for", "by-name.html#asyncio.wait_for"),
    ("asyncio.gather", "by-name.html#asyncio.gather"),
    ("gather", "by-name.html#asyncio.gather"),
    ("asyncio.to_thread", "by-name.html#asyncio.to_thread"),
    ("to_thread", "by-name.html#asyncio.to_thread"),
    ("asyncio.Queue", "by-name.html#asyncio.Queue"),
    (
        "asyncio.Queue.put_nowait",
        "by-name.html#asyncio.Queue.put_nowait",
    ),
    ("asyncio.TaskGroup", "by-name.html#asyncio.TaskGroup"),
    ("TaskGroup", "by-name.html#asyncio.TaskGroup"),
    ("create_task", "by-name.html#asyncio.create_task"),
    ("asyncio.shield", "by-name.html#asyncio.shield"),
    ("shield", "by-name.html#asyncio.shield"),
    ("asyncio.sleep", "by-name.html#asyncio.sleep"),
    ("asyncio.timeout", "by-name.html#asyncio.timeout"),
    ("asyncio.Semaphore", "by-name.html#asyncio.Semaphore"),
    ("asyncio.Event", "by-name.html#asyncio.Event"),
    (
        "asyncio.CancelledError",
        "by-name.html#asyncio.CancelledError",
    ),
    (
        "asyncio.open_connection",
        "by-name.html#asyncio.open_connection",
    ),
    ("run_in_executor", "by-name.html#loop.run_in_executor"),
    ("call_later", "by-name.html#loop.call_later"),
    ("contextlib.aclosing", "by-name.html#contextlib.aclosing"),
];

#[test]
fn search_finds_names_with_dots_and_underscores() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/search.js");
    let book = unchanged().at("target/book");
    let output = Command::new("node")
        .args([&script, &book])
        .args(FOUND.map(|(word, _)| word))
        .output()
        .expect("node is needed to search as a browser does");
    assert!(output.status.success(), "{output:?}");
    let hits = String::from_utf8(output.stdout).unwrap();
    let hits: Vec<(&str, &str)> = FOUND
        .map(|(word, _)| word)
        .into_iter()
        .zip(hits.lines())
        .collect();
    assert_eq!(hits, FOUND);
}
