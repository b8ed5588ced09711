//! Which versions of tools and packages there are.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::Result;

use crate::process::printed;

/// The compiler's, as `rustc 1.95.0`.
pub fn rustc() -> Result<String> {
    let version = printed(Command::new("rustc").arg("-V"))?;
    let version = version.split(" (").next().unwrap_or_default();
    Ok(version.trim().to_owned())
}

/// That of an interpreter, as `CPython 3.11.7`.
pub fn cpython(program: impl AsRef<OsStr>) -> Result<String> {
    let version = printed(Command::new(program).arg("-V"))?;
    Ok(version.trim().replacen("Python", "CPython", 1))
}

/// That of a package, in the text of a `Cargo.lock`.
pub fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    after.split('"').next()
}
