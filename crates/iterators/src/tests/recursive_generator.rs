use std::env;
use std::process::Command;

use futures::StreamExt;

use super::support::{SIZES, unknown_size};
use crate::recursive_generator::{Comment, walk, walk_with_stack};

fn wide(size: u32) -> Comment {
    let reply = |_| Comment {
        text: "reply",
        replies: Vec::new(),
    };
    let replies = unknown_size(0..size).map(reply).collect();
    let text = "comment";
    Comment { text, replies }
}

fn deep(size: u32) -> Comment {
    (0..size).fold(wide(0), |below, _| Comment {
        text: "comment",
        replies: vec![below],
    })
}

#[tokio::test(start_paused = true)]
async fn any_number_of_replies() {
    for size in SIZES {
        let expected = size as usize + 1;
        let lines = tokio::spawn(walk(wide(size), 0).count()).await;
        assert_eq!(lines.expect("no panic"), expected);
        let lines = tokio::spawn(walk_with_stack(wide(size)).count()).await;
        assert_eq!(lines.expect("no panic"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn any_depth() {
    for size in SIZES {
        let expected = size as usize + 1;
        if size < 1000 {
            assert_eq!(walk(deep(size), 0).count().await, expected);
        }
        assert_eq!(walk_with_stack(deep(size)).count().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn both_yield_the_same_order() {
    let tree = || Comment {
        text: "tree",
        replies: vec![deep(2), wide(3), deep(1)],
    };
    let lines: Vec<String> = walk(tree(), 0).collect().await;
    assert_eq!(lines.len(), 10);
    assert_eq!(walk_with_stack(tree()).collect::<Vec<_>>().await, lines);
}

/// The trap, in a separate process. The one with a stack reads the same tree.
#[test]
fn a_deep_tree_overflows_the_stack_of_the_recursion_and_ends_the_process() {
    const CHILD: &str = "RECURSIVE_GENERATOR_CHILD";
    const DEEP: u32 = 100_000;
    if env::var_os(CHILD).is_some() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true);
        let runtime = builder.build().expect("a runtime");
        let lines = runtime.block_on(walk_with_stack(deep(DEEP)).count());
        println!("with a stack: {lines}");
        runtime.block_on(walk(deep(DEEP), 0).count());
        return;
    }
    let (_crate, module) = module_path!().split_once("::").expect("a module");
    let name = "a_deep_tree_overflows_the_stack_of_the_recursion_and_ends_the_process";
    let output = Command::new(env::current_exe().expect("a path"))
        .args(["--exact", "--nocapture", &format!("{module}::{name}")])
        .env(CHILD, "1")
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("with a stack: 100001"), "{text}");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("has overflowed its stack"), "{text}");
}
