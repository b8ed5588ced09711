//! CPython, which runs the twins, and the packages that some of them need.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::files::read;
use crate::process::printed;
use crate::workspace::{Example, Workspace};

/// The oldest minor version of Python 3 that has what the twins use.
const OLDEST_MINOR: u32 = 11;

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

/// How an interpreter may be called.
const NAMES: &[&str] = if cfg!(windows) {
    &["python3", "python", "py"]
} else {
    &["python3", "python"]
};

impl Python {
    /// The interpreter that the variable `PYTHON` names, or else `python3` or `python` (on
    /// Windows also `py`) if that is CPython 3.11 or later; or a message that says what was
    /// found instead.
    pub fn find() -> Result<Self, String> {
        if let Some(program) = env::var_os("PYTHON") {
            return probe(&program)
                .map_err(|problem| format!("PYTHON={}: {problem}", program.display()));
        }
        let mut problems = String::new();
        for name in NAMES {
            match probe(name.as_ref()) {
                Ok(python) => return Ok(python),
                Err(problem) => problems += &format!("; {name}: {problem}"),
            }
        }
        Err(format!(
            "this needs CPython 3.{OLDEST_MINOR} or later; install it, or name it in \
             the variable PYTHON{problems}"
        ))
    }

    /// The interpreter; or nothing, which is said, unless it is required here, or by the
    /// variable `REQUIRE_CPYTHON`.
    pub fn if_there(is_required: bool) -> Result<Option<Self>, String> {
        match Self::find() {
            Ok(python) => Ok(Some(python)),
            Err(problem) if is_required || env::var_os("REQUIRE_CPYTHON").is_some() => {
                Err(problem)
            }
            Err(problem) => {
                eprintln!("The twins are not run: {problem}");
                Ok(None)
            }
        }
    }

    /// Whether it is as new as the example says that its twin needs: `python: 3.13`.
    pub fn is_new_enough_for(&self, example: &Example) -> bool {
        example.header.checks.python.unwrap_or(OLDEST_MINOR) <= self.minor
    }

    /// The interpreter itself.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The interpreter for a twin: this one, or one in a virtual environment with the
    /// packages of `tools/python/requirements.txt` if the twin has a script block:
    /// <https://packaging.python.org/en/latest/specifications/inline-script-metadata/>.
    ///
    /// The environment is made on first use, below the target folder, and made again when
    /// the requirements change. A second process waits until the first has made it.
    pub fn interpreter_for(
        &self,
        workspace: &Workspace,
        twin: &Path,
    ) -> Result<OsString> {
        match read(twin)?.contains("# /// script") {
            true => Ok(self.environment(workspace)?.into_os_string()),
            false => Ok(self.program.clone()),
        }
    }

    /// The interpreter of a virtual environment with the packages of
    /// `tools/python/requirements.txt`, which is made on first use. A package that has no
    /// hash there, or another one, is not installed.
    pub fn environment(&self, workspace: &Workspace) -> Result<PathBuf> {
        let requirements = workspace.root.join("tools/python/requirements.txt");
        let wanted = read(&requirements)?;
        let dir = workspace.target.join(format!("python3.{}", self.minor));
        let python = dir.join(match cfg!(windows) {
            true => "Scripts/python.exe",
            false => "bin/python",
        });
        fs::create_dir_all(&workspace.target)?;
        let lock_path = dir.with_extension(format!("{}.lock", self.minor));
        let lock = File::create(&lock_path)
            .with_context(|| format!("cannot create {}", lock_path.display()))?;
        lock.lock()?;
        // Written last, so that an environment that was left half-made is not taken.
        let stamp = dir.join("made-from.txt");
        let made_from = match fs::read_to_string(&stamp) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).context(format!("cannot read {}", stamp.display()));
            }
        };
        // The interpreter that it was made with may be gone.
        if made_from.as_ref() == Some(&wanted) && python.exists() {
            return Ok(python);
        }
        eprintln!("Making the Python environment {}", dir.display());
        let mut make = Command::new(&self.program);
        printed(make.args(["-m", "venv", "--clear"]).arg(&dir))?;
        let options =
            "-m pip install --quiet --disable-pip-version-check --require-hashes -r";
        let mut install = Command::new(&python);
        install.args(options.split(' ')).arg(&requirements);
        printed(install.current_dir(workspace.root.join("tools/python")))?;
        fs::write(&stamp, wanted)?;
        Ok(python)
    }
}

fn probe(program: &OsStr) -> Result<Python, String> {
    let script = "import sys; print(sys.implementation.name, *sys.version_info[:2]); \
                  print(sys.executable)";
    let output = Command::new(program)
        .args(["-I", "-c", script])
        .output()
        .map_err(|_| "there is no such program")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let (words, executable) = stdout.split_once('\n').unwrap_or((&stdout, ""));
    let words: Vec<&str> = words.split_whitespace().collect();
    let &[implementation, major, minor] = words.as_slice() else {
        return Err("it does not answer as Python 3 does".to_owned());
    };
    let minor: u32 = minor.parse().unwrap_or(0);
    if implementation != "cpython" || major != "3" || minor < OLDEST_MINOR {
        return Err(format!(
            "it is {implementation} {major}.{minor}, not CPython 3.{OLDEST_MINOR} or later"
        ));
    }
    // The program may be a launcher that takes longer to start than Python itself.
    let executable = Path::new(executable.trim_end());
    let program = match executable.is_file() {
        true => executable.as_os_str(),
        false => program,
    };
    Ok(Python {
        program: program.to_owned(),
        minor,
    })
}
