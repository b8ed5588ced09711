//! The files of this workspace belong together.

use xtask::inventory;
use xtask::workspace::Workspace;

#[test]
fn every_file_has_its_place() {
    let workspace = Workspace::open().expect("the workspace opens");
    let failures = inventory::check(&workspace, "").expect("the files can be read");
    let failures: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "\n{}", failures.concat());
}
