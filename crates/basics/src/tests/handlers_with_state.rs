use std::sync::Arc;

use futures::future::join_all;
use tokio::task::yield_now;

use crate::handlers_with_state::{Commands, List};

fn commands() -> Commands {
    let mut commands = Commands::default();
    commands.on("add", |list: Arc<List>, item: String| async move {
        yield_now().await;
        list.lock().await.push(item);
        Ok(String::new())
    });
    commands.on("count", |list: Arc<List>, _: String| async move {
        Ok(list.lock().await.len().to_string())
    });
    commands.on("panic", |_: Arc<List>, _: String| async {
        panic!("in a handler")
    });
    commands
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_on_several_threads_share_the_table_and_its_state() {
    for tasks in [0, 1, 31, 129, 1_000] {
        let commands = Arc::new(commands());
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                let commands = Arc::clone(&commands);
                tokio::spawn(async move { commands.run("add milk").await })
            })
            .collect();
        let count = tasks.len();
        for task in join_all(tasks).await {
            task.expect("no panic").expect("no error");
        }
        assert_eq!(commands.run("count").await, Ok(count.to_string()));
    }
}

#[tokio::test]
async fn after_a_panic_the_other_handlers_still_answer() {
    let commands = Arc::new(commands());
    let other = Arc::clone(&commands);
    let task = tokio::spawn(async move { other.run("panic now").await });
    assert!(task.await.expect_err("a panic").is_panic());
    commands.run("add milk").await.expect("no error");
    assert_eq!(commands.run("count").await, Ok("1".to_owned()));
}

#[tokio::test]
async fn a_handler_gets_the_text_behind_its_command_and_its_answer_is_passed_on() {
    let mut commands = commands();
    commands.on("echo", |_: Arc<List>, text: String| async { Ok(text) });
    commands.on("fail", |_: Arc<List>, text: String| async { Err(text) });
    for (line, text) in [
        ("", ""),
        (" ", ""),
        (" milk", "milk"),
        (" sour milk  and tea ", "sour milk  and tea "),
        ("  milk", " milk"),
    ] {
        let echo = commands.run(&format!("echo{line}")).await;
        assert_eq!(echo, Ok(text.to_owned()));
        let fail = commands.run(&format!("fail{line}")).await;
        assert_eq!(fail, Err(text.to_owned()));
    }
}

#[tokio::test]
async fn unknown_empty_and_replaced_commands() {
    let mut commands = commands();
    for (line, command) in [
        ("", ""),
        (" ", ""),
        ("addmilk", "addmilk"),
        ("sell it", "sell"),
    ] {
        assert_eq!(
            commands.run(line).await,
            Err(format!("no command {command}"))
        );
    }
    commands.on("add", |_: Arc<List>, _: String| async {
        Ok("another".to_owned())
    });
    assert_eq!(commands.run("add milk").await, Ok("another".to_owned()));
    assert_eq!(commands.run("count").await, Ok("0".to_owned()));
}
