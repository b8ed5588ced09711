use std::env;
use std::process::{Command, abort, exit};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::drop_guard::Reservation;

/// Set for the process that is to end.
const END: &str = "DROP_GUARD_END";

/// Not a test but the process that `after` starts.
#[test]
fn child() {
    let Ok(end) = env::var(END) else { return };
    println!("child began");
    let _reservation = Reservation::new(&Arc::new(AtomicU32::new(1)), "Ann");
    match end.as_str() {
        "return" => {}
        "exit" => exit(0),
        _ => abort(),
    }
}

/// What a process prints that ends in this way.
fn after(end: &str) -> String {
    let this = env::current_exe().expect("there is a path");
    let (_crate, module) = module_path!().split_once("::").expect("a module");
    let output = Command::new(this)
        .args(["--exact", &format!("{module}::child"), "--nocapture"])
        .env(END, end)
        .output();
    let output = output.expect("it starts").stdout;
    let output = String::from_utf8(output).expect("it is text");
    assert!(output.contains("child began"), "{end}: {output}");
    output
}

#[test]
fn it_does_not_run_when_the_process_exits_or_aborts() {
    assert!(after("return").contains("the seat of Ann is free again"));
    for end in ["exit", "abort"] {
        assert!(
            !after(end).contains("the seat of Ann is free again"),
            "{end}"
        );
    }
}
