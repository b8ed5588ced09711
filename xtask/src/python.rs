//! CPython, which runs the twins, and the packages that some of them need.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;

/// The oldest minor version of Python 3 that has what the twins use.
const OLDEST_MINOR: u32 = 11;

/// The environment variable that names the interpreter to use.
const VARIABLE: &str = "PYTHON";

/// A CPython that can run the twins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    program: OsString,
    minor: u32,
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPython 3.{} ({})", self.minor, self.program.display())
    }
}

impl Python {
    /// The interpreter that the variable `PYTHON` names, or else the first of the usual
    /// names on the path that is CPython 3.11 or later.
    ///
    /// # Errors
    ///
    /// A message that says what was looked for and what was found instead.
    pub fn find() -> Result<Self, String> {
        if let Some(program) = env::var_os(VARIABLE) {
            return probe(&program).map_err(|problem| {
                format!("{VARIABLE}={}: {problem}", program.display())
            });
        }
        let versioned = (OLDEST_MINOR..OLDEST_MINOR + 10).rev();
        let names = ["python3".to_owned(), "python".to_owned()]
            .into_iter()
            .chain(versioned.map(|minor| format!("python3.{minor}")));
        let mut problems = Vec::new();
        for name in names {
            match probe(&OsString::from(&name)) {
                Ok(python) => return Ok(python),
                Err(problem) if problem == NOT_FOUND => {}
                Err(problem) => problems.push(format!("{name}: {problem}")),
            }
        }
        let mut message = format!(
            "the twins need CPython 3.{OLDEST_MINOR} or later; install it, or name it in \
             the variable {VARIABLE}"
        );
        if !problems.is_empty() {
            message.push_str(&format!(" (found: {})", problems.join(", ")));
        }
        Err(message)
    }

    /// The interpreter itself.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The interpreter for a twin: this one, or one in a virtual environment with the
    /// packages of `tests/python/requirements.txt` if the twin declares dependencies.
    ///
    /// The environment is made on first use, below the target folder, and made anew when
    /// the requirements change. A second process waits until the first has made it.
    ///
    /// # Errors
    ///
    /// When the twin cannot be read or the environment cannot be made.
    pub fn interpreter_for(
        &self,
        workspace: &Workspace,
        twin: &Path,
    ) -> Result<OsString> {
        let source = fs::read_to_string(twin)
            .with_context(|| format!("cannot read {}", twin.display()))?;
        if dependencies(&source)?.is_empty() {
            return Ok(self.program.clone());
        }
        Ok(self.environment(workspace)?.into_os_string())
    }

    fn environment(&self, workspace: &Workspace) -> Result<PathBuf> {
        let requirements = requirements_path(workspace);
        let wanted = fs::read_to_string(&requirements)
            .with_context(|| format!("cannot read {}", requirements.display()))?;
        let dir = workspace.target.join(format!("python3.{}", self.minor));
        let python = dir.join(if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        });
        fs::create_dir_all(&workspace.target)?;
        let lock_path = dir.with_extension(format!("{}.lock", self.minor));
        let lock = File::create(&lock_path)
            .with_context(|| format!("cannot create {}", lock_path.display()))?;
        lock.lock()?;
        // Written last, so that an environment that was left half-made is not taken.
        let stamp = dir.join("made-from.txt");
        let is_current =
            fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted);
        // The interpreter that it was made with may be gone.
        if is_current && python.exists() {
            return Ok(python);
        }
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        eprintln!("Making the Python environment {}", dir.display());
        run(Command::new(&self.program).args(["-m", "venv"]).arg(&dir))?;
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(&requirements)
            .current_dir(workspace.root.join("tests/python")))?;
        fs::write(&stamp, wanted)?;
        Ok(python)
    }
}

/// The pinned packages of all twins.
pub fn requirements_path(workspace: &Workspace) -> PathBuf {
    workspace.root.join("tests/python/requirements.txt")
}

/// The program that runs a twin on the virtual clock.
pub fn twin_runner(workspace: &Workspace) -> PathBuf {
    workspace.root.join("tests/python/run_twin.py")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

const NOT_FOUND: &str = "there is no such program";

fn probe(program: &OsString) -> Result<Python, String> {
    let script = "import sys; print(sys.implementation.name, *sys.version_info[:2])";
    let output = Command::new(program)
        .args(["-I", "-c", script])
        .stdin(Stdio::null())
        .output()
        .map_err(|_| NOT_FOUND.to_owned())?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let words: Vec<&str> = stdout.split_whitespace().collect();
    let &[implementation, major, minor] = words.as_slice() else {
        return Err("it does not answer as Python 3 does".to_owned());
    };
    let minor: u32 = minor.parse().unwrap_or(0);
    if implementation != "cpython" || major != "3" || minor < OLDEST_MINOR {
        return Err(format!(
            "it is {implementation} {major}.{minor}, not CPython 3.{OLDEST_MINOR} or later"
        ));
    }
    Ok(Python {
        program: program.clone(),
        minor,
    })
}

/// The packages that a program declares in a `script` block of inline metadata
/// (<https://packaging.python.org/en/latest/specifications/inline-script-metadata/>).
///
/// # Errors
///
/// When the block does not end, or is not TOML with a list of strings.
pub fn dependencies(source: &str) -> Result<Vec<String>> {
    let mut lines = source.lines().skip_while(|line| *line != "# /// script");
    if lines.next().is_none() {
        return Ok(Vec::new());
    }
    let mut block = String::new();
    for line in lines {
        if line == "# ///" {
            let block: toml::Table = block.parse()?;
            let Some(dependencies) = block.get("dependencies") else {
                return Ok(Vec::new());
            };
            return Ok(dependencies.clone().try_into()?);
        }
        let Some(text) = line.strip_prefix('#') else {
            break;
        };
        block.push_str(text.strip_prefix(' ').unwrap_or(text));
        block.push('\n');
    }
    bail!("the block `# /// script` does not end with `# ///`")
}

/// The name at the start of a requirement such as `aiohttp==3.13.2`, in lower case.
pub fn package_name(requirement: &str) -> String {
    requirement
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .map(|c| {
            if c == '_' || c == '.' {
                '-'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{dependencies, package_name};

    #[test]
    fn declared_dependencies() {
        let source = "\
# /// script
# requires-python = \">=3.11\"
# dependencies = [
#     \"aiohttp\",
#     \"aiofiles\",
# ]
# ///
import aiohttp
";
        assert_eq!(dependencies(source).unwrap(), ["aiohttp", "aiofiles"]);
        assert_eq!(
            dependencies("import asyncio\n").unwrap(),
            Vec::<String>::new()
        );
        let empty = "# /// script\n# ///\n";
        assert_eq!(dependencies(empty).unwrap(), Vec::<String>::new());
        assert!(dependencies("# /// script\n# dependencies = []\nimport x\n").is_err());
        assert!(dependencies("# /// script\n# dependencies = 1\n# ///\n").is_err());
    }

    #[test]
    fn package_names_are_compared_without_case_and_version() {
        assert_eq!(package_name("AioHTTP==3.13.2"), "aiohttp");
        assert_eq!(package_name("typing_extensions >= 4"), "typing-extensions");
    }
}
