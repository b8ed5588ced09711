//! An example: its files, and what they say of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::directives;
use crate::files::{exists, read};
use crate::header::{self, Header};
use crate::tables::{Platform, Trap};
use crate::transcript::Transcript;

/// One example and the files that belong to it; only the source is known to exist.
#[derive(Debug, Clone)]
pub struct Example {
    /// The section's name.
    pub section: String,
    /// The example's own name.
    pub name: String,
    /// Whether readers paste it: its section is in `crates`.
    pub is_pasted: bool,
    /// The heading that it stands under in the section's `main.rs`: `Rate limits`.
    pub group: String,
    /// The Rust program.
    pub source: PathBuf,
    /// The demonstration, where it is a separate file.
    pub demo: Option<PathBuf>,
    /// The tests, where there are any.
    pub tests: Option<PathBuf>,
    /// The asyncio program.
    pub twin: PathBuf,
    /// The transcript that the Rust program must produce.
    pub golden: PathBuf,
    /// The transcript that the twin must produce: the same, unless the header says
    /// `differs:`.
    pub twin_golden: PathBuf,
    /// What the source says about itself.
    pub header: Header,
    /// Names of Python that it shows besides those that it is about, by the table of names.
    pub also_shows: Vec<String>,
    /// Where it was tried, by the table of platforms.
    pub platform: Option<Platform>,
    /// What is wrong with the header.
    pub header_problems: Vec<String>,
}

impl Example {
    /// `section/example`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.section, self.name)
    }

    /// The names of Python that it shows: those that it is about come first.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.header.asyncio.iter().chain(&self.also_shows)
    }

    /// What stands in backticks under `In production:`.
    pub fn in_production(&self) -> impl Iterator<Item = &str> {
        let paragraphs = self.header.labelled("In production");
        paragraphs.flat_map(|it| it.text.split('`').skip(1).step_by(2))
    }

    /// Whether the example has a twin, by its header.
    pub fn has_twin(&self) -> bool {
        self.header.checks.no_twin.is_none()
    }

    /// Whether its header says what it does otherwise on Windows.
    pub fn differs_on_windows(&self) -> bool {
        let mut told = self.header.labelled("Platforms");
        told.any(|it| it.text.contains("Windows"))
    }

    /// The Rust program as readers see and paste it: without what only checks read.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn pasted(&self) -> Result<String> {
        Ok(directives::shown(&read(&self.source)?).to_owned())
    }

    /// The Rust program, and its demonstration where that is a separate file.
    pub fn sources(&self) -> impl Iterator<Item = &PathBuf> {
        [Some(&self.source), self.demo.as_ref()]
            .into_iter()
            .flatten()
    }

    /// The program of this example that still says TODO somewhere, as `new` makes it.
    ///
    /// # Errors
    ///
    /// When a program cannot be read.
    pub fn unwritten(&self) -> Result<Option<&Path>> {
        let twin = self.has_twin().then_some(&self.twin);
        for path in [Some(&self.source), twin].into_iter().flatten() {
            // A twin that is missing is told where it is run.
            if path.exists() && read(path)?.contains("TODO") {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Gives its traps their numbers.
    pub(crate) fn number_traps(&mut self, rows: &[(String, Trap)]) {
        let id = self.id();
        let own = rows.iter().filter(|(_, row)| row.example == id);
        let paragraphs = self.header.paragraphs.iter_mut();
        let traps = paragraphs.filter(|it| it.label == Some("Trap"));
        for (trap, (_, row)) in traps.zip(own) {
            trap.number = Some(row.number.clone());
        }
    }

    /// Reads what the source says of itself.
    pub(crate) fn new(
        section: &str,
        dir: &Path,
        (group, name): &(String, String),
    ) -> Result<Self> {
        let source = dir.join("src").join(format!("{name}.rs"));
        let (header, header_problems) = header::parse(&read(&source)?);
        let beside = |folder: &str| Some(dir.join(format!("src/{folder}/{name}.rs")));
        let goldens = dir.join("golden");
        let golden = goldens.join(format!("{name}.txt"));
        Ok(Self {
            section: section.to_owned(),
            is_pasted: dir.parent().is_some_and(|it| it.ends_with("crates")),
            group: group.clone(),
            source,
            demo: beside("demos").filter(|path| exists(path)),
            tests: beside("tests").filter(|path| exists(path)),
            twin: dir.join("python").join(format!("{name}.py")),
            twin_golden: match header.differs {
                Some(_) => goldens.join(format!("{name}.python.txt")),
                None => golden.clone(),
            },
            golden,
            header,
            also_shows: Vec::new(),
            platform: None,
            header_problems,
            name: name.clone(),
        })
    }
}

/// Reads a golden, or says that there is none or what is wrong with it.
pub fn read_golden(path: &Path) -> Result<Transcript, String> {
    if !path.exists() {
        return Err(format!("there is no golden {}", path.display()));
    }
    fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|text| Transcript::parse_golden(&text))
        .map_err(|problem| format!("{}: {problem}", path.display()))
}
