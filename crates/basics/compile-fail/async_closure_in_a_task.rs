//~ error implementation of `Send` is not general enough
//! A task passes on an async closure that borrows what is around it: `move` is missing.
//!
//! example: async_functions

async fn print_all(words: [&str; 2], change: impl AsyncFn(&str) -> String) {
    for word in words {
        println!("{}", change(word).await);
    }
}

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async {
        let ending = String::from("!");
        let shout = async |word: &str| word.to_uppercase() + &ending;
        print_all(["hello", "world"], shout).await;
    });
    task.await.expect("the task does not fail");
}
