//! What `copy_in_capitals` does to a file that is there, and which errors it returns.

use std::fs;
use std::io::{self, ErrorKind};

use tempfile::TempDir;

use crate::read_file::copy_in_capitals;

#[tokio::test]
async fn a_longer_file_is_replaced_and_an_error_leaves_it() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = |name| folder.path().join(name).display().to_string();
    fs::write(path("copy"), "longer than the notes")?;
    fs::write(path("notes"), "notes")?;
    fs::write(path("bytes"), [0xff])?;
    copy_in_capitals(&path("notes"), &path("copy")).await?;
    assert_eq!(fs::read_to_string(path("copy"))?, "NOTES");
    for (from, kind) in [
        ("missing", ErrorKind::NotFound),
        ("bytes", ErrorKind::InvalidData),
    ] {
        let error = copy_in_capitals(&path(from), &path("copy")).await;
        let error = error.expect_err("nothing to copy");
        assert_eq!(error.kind(), kind);
        assert!(
            !error.to_string().contains(from),
            "the error names the file"
        );
        assert_eq!(fs::read_to_string(path("copy"))?, "NOTES");
    }
    Ok(())
}
