//! Which versions of tools and packages there are.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::Result;
use cargo_metadata::Dependency;

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
    all_locked(lock, package).first().copied()
}

/// That of a dependency, in the text of a `Cargo.lock`, which may have several of its
/// package.
pub fn locked_for<'a>(lock: &'a str, dependency: &Dependency) -> Option<&'a str> {
    let is_meant =
        |it: &&str| matches!(it.parse(), Ok(it) if dependency.req.matches(&it));
    all_locked(lock, &dependency.name)
        .into_iter()
        .find(is_meant)
}

fn all_locked<'a>(lock: &'a str, package: &str) -> Vec<&'a str> {
    let start = format!("name = \"{package}\"\nversion = \"");
    let after = lock.split(&start).skip(1);
    after.filter_map(|it| it.split('"').next()).collect()
}
