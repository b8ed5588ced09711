//~ E0382 use of moved value: `executor`
//! A generic executor, as sqlx has it, is used up by one statement.
//!
//! example: transaction

struct Transaction;

trait Executor {
    fn execute(self, sql: &str);
}

impl Executor for &mut Transaction {
    fn execute(self, sql: &str) {
        println!("{sql}");
    }
}

fn replace_users(executor: impl Executor) {
    executor.execute("DELETE FROM users");
    executor.execute("INSERT INTO users VALUES ('Anna')");
}

fn main() {
    replace_users(&mut Transaction);
}
