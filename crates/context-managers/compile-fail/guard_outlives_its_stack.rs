//~ E0505 cannot move out of `stack` because it is borrowed
//! A body returns the guard of a resource that its stack closes: use it in the body.
//!
//! example: exit_stack

struct ExitStack;

struct Entered<'a>(&'a ExitStack, u32);

impl ExitStack {
    fn enter(&self, resource: u32) -> Entered<'_> {
        Entered(self, resource)
    }

    async fn close<T>(self, body: T) -> T {
        body
    }
}

#[tokio::main]
async fn main() {
    let stack = ExitStack;
    let guard = async { stack.enter(1) }.await;
    let Entered(_, resource) = stack.close(guard).await;
    println!("{resource} is closed");
}
