//! What the program does for some command lines.

use clap::Parser;

use crate::async_main_with_args::{Args, execute};

pub async fn run() {
    for line in [
        "tool home news",
        "tool home attic",
        "tool --timeout-ms 300 home news",
    ] {
        println!("$ {line}");
        let args = Args::parse_from(line.split(' '));
        let print = |line: &str| {
            println!("{line}");
            Ok(())
        };
        println!("Exit code {}", execute(args, print).await);
    }
}
