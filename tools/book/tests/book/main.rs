//! The book, made from copies of the workspace in which things were changed.

#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

mod pages;
mod refused;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

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
        command.env("MDBOOK_OUTPUT__HTML__SITE_URL", "/below/a/folder/");
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
