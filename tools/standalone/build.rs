//! Packs the files that readers' commands read, and what `cargo metadata` says of the
//! sections, into one compressed archive.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result};
use miniz_oxide::deflate::compress_to_vec_zlib;
use serde_json::Value;

const PACKED: [&str; 8] = [
    "Cargo.toml",
    "crates",
    "docs",
    "tools/python/expressions.py",
    "tools/python/port.py",
    "tools/python/port_types.tsv",
    "tools/python/tables.py",
    "tools/python/uses.py",
];

fn main() -> Result<()> {
    let mut files = BTreeMap::new();
    let metadata = metadata()?;
    let root = metadata["workspace_root"].as_str();
    let root = root.context("a workspace has a root")?;
    for path in PACKED {
        println!("cargo::rerun-if-changed={root}/{path}");
        pack(Path::new(root), path, &mut files)?;
    }
    // The program says where the texts seem to be.
    let quoted = serde_json::to_string(root)?;
    let text = metadata.to_string();
    let text = text.replace(quoted.trim_matches('"'), "{root}");
    files.insert("metadata.json".to_owned(), text);
    let archive = compress_to_vec_zlib(&serde_json::to_vec(&files)?, 9);
    let out = env::var_os("OUT_DIR").context("cargo names a folder")?;
    fs::write(Path::new(&out).join("archive"), archive)?;
    Ok(())
}

/// Returns what cargo says of the workspace, as far as the sections go.
fn metadata() -> Result<Value> {
    let cargo = env::var_os("CARGO").context("cargo names itself")?;
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let mut metadata: Value = serde_json::from_slice(&command.output()?.stdout)?;
    let root = metadata["workspace_root"].clone();
    metadata["target_directory"] = root.clone();
    let packages = metadata["packages"].as_array_mut();
    packages.context("packages")?.retain(|package| {
        let manifest = package["manifest_path"].as_str().map(Path::new);
        let sections = root.as_str().map(|root| Path::new(root).join("crates"));
        manifest.is_some_and(|it| sections.is_some_and(|dir| it.starts_with(dir)))
    });
    Ok(metadata)
}

fn pack(root: &Path, path: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    let file = root.join(path);
    if !file.is_dir() {
        // The pages' theme and the measurements are for the book alone.
        let is_read = ["md", "py", "rs", "toml", "tsv", "txt"].map(Some);
        if is_read.contains(&file.extension().and_then(OsStr::to_str)) {
            files.insert(path.to_owned(), fs::read_to_string(file)?);
        }
        return Ok(());
    }
    for entry in fs::read_dir(file)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if name != "__pycache__" {
            pack(root, &format!("{path}/{name}"), files)?;
        }
    }
    Ok(())
}
