//! Projects that get examples are built as their readers build them, and twins run in virtual
//! environments, with a pip that downloads nothing.

use catalog::workspace::cargo;
use tests::{Fixture, Ran};

use crate::fixture;

/// A twin that declares a package runs in a virtual environment, which is made when the
/// requirements change. A package without its hash is not installed.
#[test]
fn a_twin_with_a_package() {
    let fixture = fixture();
    let path = "crates/fresh/python/first.py";
    let block = "# /// script\n# dependencies = [\"greeter\"]\n# ///\nimport greeter\n";
    fixture.write(path, &format!("{block}{}", fixture.read(path)));
    let wheel = "./greeter-1.0-py3-none-any.whl";
    fixture.write(&format!("tools/python/{wheel}"), "");
    let other = format!("{wheel} --hash=sha256:00");
    let missing = "ModuleNotFoundError: No module named 'greeter'\n";
    for (requirements, is_made, said) in [
        (&*other, true, "DO NOT MATCH THE HASHES"),
        // What cannot be installed is told, each time.
        (&*other, true, "FAIL fresh/first: it cannot be run: "),
        (wheel, true, "Hashes are required"),
        ("", true, missing),
        ("", false, missing),
    ] {
        fixture.write("tools/python/requirements.txt", requirements);
        let ran = fixture.xtask(&["check-all", "--only", "twin", "first"]);
        let makes = ran.stderr.starts_with("Making the Python environment ");
        assert_eq!(makes, is_made, "{requirements}");
        ran.says(1, said);
    }
}

const MANIFEST: &str = r#"[package]
name = "mine"
version = "0.1.0"
edition = "2024"

[dependencies] # mine
tokio = { version = "1.2", default-features = false, features = ["rt"] }

[workspace]
"#;

const MAIN: &str = "//! Mine.
#![allow(
    unused_mut
)]

mod own;

#[tokio::main]
async fn main() {
    own::it();
    good::both().await.unwrap();
}
";

/// The folder of a project that exists.
fn project(fixture: &Fixture) -> impl Fn(&str) -> String {
    let path = |name: &str| format!("copied/mine/{name}");
    fixture.write(&path("Cargo.toml"), MANIFEST);
    fixture.write(&path("src/main.rs"), MAIN);
    path
}

fn add(fixture: &Fixture, words: &str) -> Ran {
    let words = format!("copy --into copied/mine {words}");
    fixture.xtask(&words.split(' ').collect::<Vec<_>>())
}

/// A project with a dependency and a module gets two examples, and compiles and runs.
#[test]
fn a_project_gets_examples() {
    let fixture = fixture();
    let path = project(&fixture);
    fixture.write(&path("src/own.rs"), "pub fn it() {}\n");
    let lock = std::fs::read_to_string(tests::root().join("Cargo.lock")).unwrap();
    fixture.write(&path("Cargo.lock"), &lock);
    let dry = add(&fixture, "good first --only --dry-run").stdout;
    let said =
        add(&fixture, "good first --only").says(0, "use crate::good; // good::both\n");
    assert_eq!(dry, format!("Nothing is written. It would be:\n{said}"));
    let changed = MANIFEST.replace("default-features = false, ", "");
    let changed = changed.replace("[\"rt\"]", "[\"full\", \"rt\"]");
    assert_eq!(fixture.read(&path("Cargo.toml")), changed);
    let allow = "#[allow(dead_code)]\nmod";
    let mods = format!("mod own;\n{allow} first;\n{allow} good;\n");
    let changed = MAIN.replace("mod own;\n", &mods);
    assert_eq!(fixture.read(&path("src/main.rs")), changed);
    assert!(!fixture.read(&path("src/good.rs")).contains("fn main"));
    // What is there already stays as it is.
    add(&fixture, "good first --only").says(0, "copied/mine/src/good.rs is there\n");
    assert_eq!(fixture.read(&path("src/main.rs")), changed);

    let mut cargo = fixture.command(cargo());
    let cargo = cargo
        .arg("run")
        .current_dir(fixture.dir.join("copied/mine"));
    Ran::of(cargo).says(0, "both are done\n");
}

/// Where there is no module yet, the lines come before the first item.
#[test]
fn a_project_without_modules_gets_one() {
    let fixture = fixture();
    let path = project(&fixture);
    let main = "#![allow(unused)]\n\nfn main() {}\n";
    fixture.write(&path("src/main.rs"), main);
    // The version is the reader's, and he is told.
    let old = MANIFEST.replace("1.2", "0.2");
    fixture.write(&path("Cargo.toml"), &old);
    add(&fixture, "good --dry-run")
        .says(0, "tokio stays 0.2; the example is tried with 1\n");
    assert_eq!(fixture.read(&path("Cargo.toml")), old);

    fixture.write(&path("Cargo.toml"), &MANIFEST.replace("tokio", "# tokio"));
    add(&fixture, "good").says(0, "\ncargo add tokio@1 --features=full\n");
    let came = fixture.read(&path("src/main.rs"));
    let with_mod = main.replace("fn", "#[allow(dead_code)]\nmod good;\n\nfn");
    assert_eq!(came, with_mod);
    let line = "tokio = { version = \"1\", features = [\"full\"] }\n";
    assert!(fixture.read(&path("Cargo.toml")).contains(line));
}

/// What is in the way is found before anything is written, and what cargo refuses leaves nothing.
#[test]
fn a_project_is_changed_wholly_or_not() {
    let fixture = fixture();
    let path = project(&fixture);
    fixture.write(&path("src/first.rs"), "// mine\n");
    let nowhere = MANIFEST.replace("tokio = ", "nowhere = { git = \"file:///no\" } #");
    for (manifest, words, code, said) in [
        (MANIFEST, "good first", 2, "first.rs has another text"),
        (MANIFEST, "good no_such", 2, "no example `no_such`"),
        (&nowhere, "good", 1, "load source for dependency `nowhere`"),
    ] {
        fixture.write(&path("Cargo.toml"), manifest);
        add(&fixture, words).says(code, said);
        assert_eq!(fixture.read(&path("Cargo.toml")), manifest);
        assert_eq!(fixture.read(&path("src/main.rs")), MAIN);
        assert_eq!(fixture.read(&path("src/first.rs")), "// mine\n");
        assert!(!fixture.dir.join(path("src/good.rs")).exists());
    }
}

#[test]
fn a_project_that_does_not_compile() {
    let fixture = fixture();
    let check = |example| fixture.xtask(&["check-all", "--only", "projects", example]);
    let failed = "FAIL sample/not_alone: its project does not compile\n";
    let said = check("not_alone").says(1, failed);
    assert!(said.contains("crate::good"), "{said}");
    check("sample/good").says(0, "\n1 passed, 0 failed\n");
}
