//! A small workspace with sections whose programs are wrong on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use catalog::files::entries;
use catalog::workspace::cargo;

use crate::{Ran, build, root};

/// What a check must say of a file or an example of the fixture.
#[derive(Debug, Clone)]
pub struct Expected {
    /// `section/example`, or a path.
    pub subject: String,
    /// The check, as `fixture/examples.txt` names it.
    pub check: String,
    /// What it says.
    pub text: String,
}

/// The workspace that `fixture/examples.txt` describes, below the target folder.
#[derive(Debug)]
pub struct Fixture {
    /// The root of the workspace.
    pub dir: PathBuf,
    target: PathBuf,
    /// What the checks must say.
    pub expected: Vec<Expected>,
    /// The text of each file.
    pub files: BTreeMap<String, String>,
    /// Held while the fixture is in use: one test after the other changes it, and has the
    /// machine to itself.
    _lock: File,
}

impl Fixture {
    /// Makes the fixture below `tmp`, which is `CARGO_TARGET_TMPDIR`, or makes it what it
    /// was. Files that do not change are not written, so little is compiled again.
    ///
    /// # Panics
    ///
    /// When files cannot be read or written, or the description is wrong.
    pub fn new(tmp: &str) -> Self {
        let from = root().join("tests/fixture");
        let folders = paths_in(&from).into_iter().filter(|it| it.contains('/'));
        let files = folders.map(|path| (path.clone(), read(&from.join(path))));
        let entries = base("examples.txt");
        let fixture = Self::of(tmp, "fixture", &entries, files.collect());
        fixture.lay();
        fixture
    }

    /// Makes a workspace of these entries and files; [`lay`](Self::lay) writes it.
    ///
    /// # Panics
    ///
    /// When files cannot be read, or the entries are wrong.
    pub fn of(
        tmp: &str,
        name: &str,
        entries: &str,
        files: BTreeMap<String, String>,
    ) -> Self {
        let tmp = Path::new(tmp);
        fs::create_dir_all(tmp).expect("the folder for temporary files can be made");
        let lock = File::create(tmp.join("fixture.lock")).expect("a lock file");
        lock.lock().expect("the lock can be taken");
        let mut fixture = Self {
            dir: tmp.join(name),
            target: tmp.join("fixture-target"),
            expected: Vec::new(),
            files,
            _lock: lock,
        };
        fixture.describe(entries);
        fixture
    }

    /// Writes the files that are not as they should be, and removes all others.
    ///
    /// # Panics
    ///
    /// When that cannot be done.
    pub fn lay(&self) {
        // Whole folders first, such as those that `copy` has made.
        for folder in entries(&self.dir).expect("the folder can be read") {
            let is_own = |it: &String| self.dir.join(it).starts_with(&folder);
            if folder.is_dir() && !self.files.keys().any(is_own) {
                fs::remove_dir_all(folder).expect("it can be removed");
            }
        }
        for path in paths_in(&self.dir) {
            if !self.files.contains_key(&path) {
                fs::remove_file(self.dir.join(path)).expect("it can be removed");
            }
        }
        for (path, text) in &self.files {
            self.write(path, text);
        }
    }

    /// Replaces a text that stands in a file once.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn replace(&mut self, path: &str, from: &str, to: &str) {
        let text = self.files.get_mut(path).expect(path);
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {path}");
        *text = text.replace(from, to);
    }

    /// Adds a file.
    fn add(&mut self, path: impl Into<String>, text: String) {
        self.files.insert(path.into(), text);
    }

    /// Takes over files of the project, and reads the description.
    fn describe(&mut self, entries: &str) {
        for path in ["Cargo.lock", "tools/python/run_twin.py"] {
            self.add(path, read(&root().join(path)));
        }
        self.add("Cargo.toml", base("Cargo.toml"));
        self.add("tools/python/requirements.txt", String::new());
        let path = "docs/asyncio-api.tsv";
        let names = read(&root().join(path));
        // The last column leads to examples, which are not here.
        let rows = names.lines().filter_map(|row| row.rsplit_once('\t'));
        self.add(path, rows.map(|(row, _)| format!("{row}\n")).collect());
        let mut sections: BTreeMap<&str, String> = BTreeMap::new();
        for entry in entries.split("\n[").skip(1) {
            let (name, text) = entry.split_once(']').expect("the entry's name");
            let expected = text.lines().filter_map(|line| line.strip_prefix("! "));
            for (checks, text) in expected.filter_map(|line| line.split_once(": ")) {
                let expected = checks.split(' ').map(|check| Expected {
                    subject: name.to_owned(),
                    check: check.to_owned(),
                    text: text.to_owned(),
                });
                self.expected.extend(expected);
            }
            match name.split('/').collect::<Vec<_>>()[..] {
                [section, example] if !name.contains('.') => {
                    let mods = sections.entry(section).or_default();
                    *mods += &format!("mod {example};\n");
                    self.add_example(section, example, text);
                }
                _ if name.contains("/compile-fail/") => {
                    self.add(name, change(name, "compile_fail.rs", text, ""));
                }
                _ if name.contains('.') => {
                    self.files.entry(name.to_owned()).or_default();
                }
                _ => {}
            }
        }
        for (section, mods) in sections {
            self.add_section(section, mods);
        }
    }

    fn add_section(&mut self, section: &str, mut mods: String) {
        let dir = format!("crates/{section}");
        for (folder, line) in [("demos", "mod demos;"), ("tests", TESTS)] {
            let list = format!("{dir}/src/{folder}/mod.rs");
            if self.files.contains_key(&list) {
                mods += &format!("\n{line}\n");
            }
        }
        let main = format!("{MAIN}\n{mods}\nharness::section!();\n");
        self.add(format!("{dir}/src/main.rs"), main);
        // TOML takes a backslash for an escape.
        let root = root().display().to_string().replace('\\', "/");
        let manifest = base("section.toml").replace("SECTION", section);
        let manifest = manifest.replace("TOOLS", &format!("{root}/tools"));
        self.add(format!("{dir}/Cargo.toml"), manifest);
    }

    fn add_example(&mut self, section: &str, name: &str, entry: &str) {
        let has = |line: &str| entry.lines().any(|it| it == line);
        let last = entry
            .lines()
            .filter_map(|line| line.strip_prefix("header: "));
        let last: String = last.map(|line| format!("//@ {line}\n")).collect();
        let gap = if last.is_empty() { "" } else { "\n" };
        let program = change(name, "good.rs", entry, "") + gap + &last;
        let dir = format!("crates/{section}");
        if program.contains("differs:") && !has("without: python golden") {
            let golden = format!("{dir}/golden/{name}.python.txt");
            self.add(golden, base("good.txt"));
        }
        self.add(format!("{dir}/src/{name}.rs"), program);
        if !has("without: twin") {
            let twin = change(name, "good.py", entry, "py");
            self.add(format!("{dir}/python/{name}.py"), twin);
        }
        if !has("without: golden") {
            let golden = change(name, "good.txt", entry, "golden");
            self.add(format!("{dir}/golden/{name}.txt"), golden);
        }
    }

    /// Whether every file is as it was made, and no other is there.
    pub fn is_untouched(&self) -> bool {
        let is_same = |(path, text): (&String, &String)| {
            // Cargo takes out what the fixture does not use.
            path == "Cargo.lock" || read(&self.dir.join(path)) == *text
        };
        paths_in(&self.dir).iter().eq(self.files.keys()) && self.files.iter().all(is_same)
    }

    /// Returns the text of a file.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn read(&self, path: &str) -> String {
        read(&self.dir.join(path))
    }

    /// Writes a file and the folders above it, unless it has this text already.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        if fs::read_to_string(&path).is_ok_and(|now| now == text) {
            return;
        }
        fs::create_dir_all(path.parent().expect("a file is in a folder"))
            .expect("the folder can be made");
        fs::write(&path, text).expect("the file can be written");
    }

    /// Runs the xtask with these words in this workspace, as `cargo xtask` does. Words of
    /// the form `NAME=VALUE` before them are for its environment.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn xtask(&self, words: &[&str]) -> Ran {
        let mut command = self.command(crate::xtask());
        let is_variable = |word: &&&str| word.contains('=') && !word.starts_with('-');
        let variables = words.iter().take_while(is_variable);
        command.envs(variables.clone().filter_map(|word| word.split_once('=')));
        Ran::of(command.args(&words[variables.count()..]))
    }

    /// A command that is run in this workspace.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(&self.dir)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_NET_OFFLINE", "true")
            .env("RUST_BACKTRACE", "0")
            .env_remove("REQUIRE_CPYTHON")
            .stdin(Stdio::null());
        command
    }

    /// Builds a section and returns its executable.
    ///
    /// # Panics
    ///
    /// When it does not build.
    pub fn section(&self, name: &str) -> PathBuf {
        build(self.command(cargo()), name)
    }
}

const MAIN: &str = "#[macro_use(println)]\nextern crate harness as tokio;\n";

const TESTS: &str = "#[cfg(test)]\nmod tests;";

/// A file that the others are made of.
fn base(name: &str) -> String {
    read(&root().join("tests/fixture").join(name))
}

/// Replaces in a file what the entry's lines `KIND-` say by what its lines `KIND+` say.
fn change(name: &str, file: &str, entry: &str, kind: &str) -> String {
    let (minus, plus) = (format!("{kind}- "), format!("{kind}+ "));
    let mut text = base(file);
    let mut lines = entry.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(from) = line.strip_prefix(&minus) {
            let count = text.matches(from).count();
            assert_eq!(count, 1, "{name}: `{from}` must stand there once");
            let mut to = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with(&plus)) {
                to.push(&line[plus.len()..]);
            }
            text = text.replace(from, &to.join("\n"));
        }
    }
    text
}

/// The paths of all files in a folder and the folders in it, as seen from it.
fn paths_in(dir: &Path) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for path in entries(dir).expect("the folder can be read") {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        match path.is_dir() {
            true => paths.extend(paths_in(&path).iter().map(|it| format!("{name}/{it}"))),
            false => drop(paths.insert(name)),
        }
    }
    paths
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
