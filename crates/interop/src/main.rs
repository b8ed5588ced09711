//! Runs `python/NAME.py` with the modules of Rust, or without them: `[--pure] NAME`.
//!
//! The variable PYTHON names a CPython, 3.11 or later; without it `python3` is taken.

use std::env::{self, consts};
use std::error::Error;
use std::fs;
use std::io;
#[cfg(unix)]
use std::os::unix::fs::symlink;
#[cfg(windows)]
use std::os::windows::fs::symlink_file as symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const USAGE: &str = "usage: cargo run -p interop -- [--pure] NAME";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1).peekable();
    let is_pure = args.next_if(|arg| arg == "--pure").is_some();
    let name = args.next().ok_or(USAGE)?;
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("python/{name}.py"));
    if !program.exists() {
        return Err(format!("there is no {}", program.display()).into());
    }
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(&python);
    if !is_pure {
        let modules = link(&name)?;
        // The program would take a module that does not load for one that is not there.
        let import = format!("import {name}_rs");
        let mut loads = Command::new(&python);
        loads.env("PYTHONPATH", &modules).args(["-c", &import]);
        if !loads.status()?.success() {
            return Err(format!("`{name}_rs` does not load").into());
        }
        command.env("PYTHONPATH", modules);
    }
    let status = command.arg(program).status()?;
    if !status.success() {
        return Err(format!("{name}.py: {status}").into());
    }
    Ok(())
}

/// Gives the library the name of the module, and returns the folder of that link.
fn link(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let built = env::current_exe()?;
    let built = built.parent().ok_or("no folder")?;
    let library = format!("{}interop{}", consts::DLL_PREFIX, consts::DLL_SUFFIX);
    let library = built.join("deps").join(library);
    let modules = built.join("interop-modules");
    fs::create_dir_all(&modules)?;
    let ending = if cfg!(windows) { "pyd" } else { "abi3.so" };
    match symlink(library, modules.join(format!("{name}_rs.{ending}"))) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(modules),
    }
}
