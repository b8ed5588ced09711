//! The settings of the process: from where they come, and what is said of wrong ones.

use std::fs;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_server");

#[test]
fn wrong_settings_are_told() {
    // If all else is right, the service fails at the database.
    let database = "/no/such/folder/notes";
    let cannot_open = format!("Error: cannot open {database}");
    let wrong = match cfg!(feature = "postgres") {
        true => "invalid value for '--database': invalid connection string",
        false => "invalid value for '--database': the program was built without",
    };
    for (name, value, code, words) in [
        (
            "APP_ADDRESS",
            "here",
            2,
            "invalid value 'here' for '--address",
        ),
        (
            "APP_QUEUE",
            "0",
            2,
            "invalid value '0' for '--queue <QUEUE>'",
        ),
        (
            "APP_DRAIN",
            "1h",
            2,
            "invalid value '1h' for '--drain <DRAIN>'",
        ),
        (
            "APP_DRAIN",
            "0",
            2,
            "invalid value '0' for '--drain <DRAIN>'",
        ),
        ("RUST_LOG", "app=loud", 2, "invalid value 'app=loud'"),
        ("APP_DRAINS", "10", 2, "there is no setting 'APP_DRAINS'"),
        (
            "APP_DATABASE",
            "postgres://me:secret@host:x/notes",
            2,
            wrong,
        ),
        ("APP_DRAIN", "10", 1, &cannot_open),
    ] {
        let mut command = Command::new(PROGRAM);
        let command = command.env("APP_DATABASE", database).env(name, value);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

/// The file has wrong lines, or right ones up to the database, which cannot be opened.
#[test]
fn a_file_of_settings_is_read_and_its_wrong_lines_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.toml");
    let database = "database = '/no/such/folder/notes'\n";
    for (line, code, words) in [
        ("queue = 10", 1, "Error: cannot open /no/such/folder/notes"),
        ("queues = 10", 2, "there is no setting 'queues'"),
        ("config = 'other.toml'", 2, "there is no setting 'config'"),
        (
            "queue = 'many'",
            2,
            "invalid value 'many' for '--queue <QUEUE>'",
        ),
        ("queue = 0", 2, "invalid value '0' for '--queue <QUEUE>'"),
        (
            "queue = true",
            2,
            "'queue' must be a text or a whole number",
        ),
        (
            "log = 'app=loud'",
            2,
            "invalid value 'app=loud' for '--log'",
        ),
        ("queue = ", 2, "TOML parse error at line 2, column 9"),
    ] {
        fs::write(&file, format!("{database}{line}\n")).unwrap();
        let output = Command::new(PROGRAM).arg("--config").arg(&file).output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(words), "{line}: {said}");
        let is_of_the_file = code == 2 && !line.starts_with("log");
        let place = format!("in {}:", file.display());
        assert_eq!(said.contains(&place), is_of_the_file, "{line}: {said}");
    }
}

#[test]
fn a_missing_file_of_settings_is_told() {
    let output = Command::new(PROGRAM)
        .env("APP_CONFIG", "/no/such.toml")
        .output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("in /no/such.toml:\nerror: No such file"),
        "{said}"
    );
}

/// Arguments win over the environment, the environment over the file, that over defaults.
#[test]
fn the_environment_wins_over_the_file_and_arguments_over_both() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.toml");
    fs::write(&file, "queue = 10\ndatabase = '/no/file/notes'").unwrap();
    for (variable, argument, opened) in [
        (None, None, "/no/file/notes"),
        (Some("/no/variable/notes"), None, "/no/variable/notes"),
        (
            Some("/no/variable/notes"),
            Some("/no/argument/notes"),
            "/no/argument/notes",
        ),
    ] {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(&file);
        command.envs(variable.map(|value| ("APP_DATABASE", value)));
        command.args(argument.iter().flat_map(|value| ["--database", value]));
        let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
        assert!(
            said.contains(&format!("Error: cannot open {opened}")),
            "{said}"
        );
    }
}
