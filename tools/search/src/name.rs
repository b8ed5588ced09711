//! A query that is one name: it is answered by the name's own row.

use crate::words::whole;
use crate::{Entry, Index, Kind};

/// Words that ask for the counterpart of the name next to them.
const AROUND: &str = "a alternative alternatives counterpart crate equivalent for in is like \
                      library module of package python replacement replaces rust the to tokio \
                      version what what's where";

/// Returns the name, if the query is a name, or asks for its counterpart.
pub fn bare(query: &str) -> Option<String> {
    let ends = |c: char| "`?,.:()".contains(c);
    let words = query.split_whitespace().map(|word| word.trim_matches(ends));
    let is_around = |word: &str| AROUND.split(' ').any(|it| it == word.to_lowercase());
    let mut names = words.filter(|word| !is_around(word));
    let name = names.next().filter(|name| !name.is_empty())?;
    names.next().is_none().then(|| name.to_owned())
}

/// Returns what means the name: itself, and the plain questions for it.
pub fn meant(name: &str) -> Vec<String> {
    let name = whole(name);
    let questions = ["where is ", "where is asyncio.", "what replaces "];
    let questions = questions.map(|question| format!("{question}{name}"));
    [name].into_iter().chain(questions).collect()
}

impl Index {
    /// Returns the row of a name of Python, Rust or a library, or what a crate is for, and
    /// the page of a saved row.
    pub(crate) fn answer(&self, name: &str) -> Option<(String, Option<String>)> {
        let name = whole(name);
        let row = self.row(&name);
        let of_crate = || {
            let purpose = self.crates.get(&name).filter(|it| !it.is_empty())?;
            let page = format!("crates.html#{name}");
            Some((format!("Crate: {name}: {purpose}"), Some(page)))
        };
        let of_row = || {
            let entry = row?.1;
            Some((entry.kind.reason(&entry.text)?, entry.page.clone()))
        };
        match row {
            Some((found, _)) if found == name => of_row(),
            _ => of_crate().or_else(of_row),
        }
    }

    /// Returns the row of a name, and the part of the name that the row has. What a module or
    /// a library contains leads to it: `email.utils.parseaddr`, `aiohttp.ClientSession`.
    pub(crate) fn row<'a>(&self, name: &'a str) -> Option<(&'a str, &Entry)> {
        let kinds = [Kind::Name, Kind::Library, Kind::Rust];
        let key = whole(name);
        let mut entries = self.entries.iter();
        let found = entries.find(|it| kinds.contains(&it.kind) && it.is_meant_by(&key));
        match found {
            Some(entry) => Some((name, entry)),
            None => self.row(name.rsplit_once('.')?.0),
        }
    }
}
