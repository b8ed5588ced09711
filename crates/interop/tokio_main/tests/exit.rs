//! The program prints what its part in Python prints alone, and ends well each time.

use std::env;
use std::process::{Command, Output};

fn checked(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    assert_eq!(error, "");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn it_prints_what_python_prints_alone_and_ends_well_fifty_times() {
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut alone = Command::new(python);
    let alone = alone.arg("src/service.py").output().expect("CPython");
    let expected = checked(alone);
    assert!(expected.ends_with("answered: 2\n"), "{expected}");
    for _ in 0..50 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokio_main"));
        let output = command.output().expect("it starts");
        assert_eq!(checked(output), expected);
    }
}
