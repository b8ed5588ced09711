//! The link that opens a program in the Rust Playground.

use xtask::dependencies::Crates;

use crate::html::query;

/// The crates that <https://play.rust-lang.org> has, as far as examples use them, each
/// with the features that it has there; `*` is all of them. The Playground offers the
/// hundred most downloaded crates and those of the Rust Cookbook, with what these depend
/// on; see `compiler/base/crate-information.json` in its repository.
///
/// Left out on purpose: `reqwest` and `rusqlite`, of which it has older versions, and
/// `async_stream`, `tokio_stream` and `axum`, which are not sure to be there.
const AVAILABLE: &[(&str, &str)] = &[
    ("anyhow", "*"),
    ("futures", "*"),
    ("serde", "*"),
    ("serde_json", "*"),
    ("tempfile", "*"),
    ("thiserror", "*"),
    ("tokio", "*"),
    ("tokio_util", "codec"),
];

/// More than this makes an address that servers refuse.
const LONGEST: usize = 8000;

/// The address that opens the program there, which is to come without its tests; nothing
/// if a crate or a feature is missing there, or if the program is too long for that.
pub fn link(program: &str, crates: &Crates) -> Option<String> {
    for (name, features) in crates {
        let (_, available) = AVAILABLE.iter().find(|(known, _)| known == name)?;
        let mut needed = features.iter().flatten();
        if *available != "*"
            && !needed.all(|need| available.split(' ').any(|it| it == need))
        {
            return None;
        }
    }
    let code = query(program);
    (code.len() <= LONGEST).then(|| {
        format!(
            "https://play.rust-lang.org/?version=stable&mode=debug&edition=2024\
             &code={code}"
        )
    })
}
