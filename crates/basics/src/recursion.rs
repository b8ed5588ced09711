//! Recursion: an async function that calls itself, as in a walk over a tree of folders.
//!
//! A future holds the futures that it awaits, so a future that awaits a future of its own
//! type would have no finite size. `Box::pin` at the call puts the inner future on the
//! heap. To run all children concurrently, collect their futures in a `FuturesUnordered`
//! (a set of futures), or spawn each as a task. The macro of the crate async-recursion
//! boxes the whole function instead. Before its version 1.1, a reference inside another
//! type, as in `Option<&str>`, needs a named lifetime.
//!
//! Trap: If you forget `Box::pin`, the compiler reports "recursion in an async fn
//! requires boxing".
//!
//! Trap: If an `async fn` spawns itself, the compiler reports "cannot satisfy
//! `impl Future<Output = ()>: Send`". Write a plain function that returns
//! `impl Future<Output = T> + Send`.
//!
//! Trap: If a generic function calls itself with a larger type each time, such as
//! `Option<T>`, no limit is high enough: "queries overflow the depth limit". Pass an enum
//! or a boxed trait object, so that each call has the same type.
//!
//! Trap: If you box the call by `Box::new(..)` or `.boxed()`, the compiler reports
//! "cannot satisfy `impl Future<Output = u32>: Unpin`", or `: Send`. Write
//! `Box::pin(..)`.
//!
//! See also: `boxed_futures`, `first_error_wins`, `gather`.
//!
//! asyncio: async def, await, asyncio.TaskGroup

use std::time::Duration;

use futures::stream::{FuturesUnordered, TryStreamExt};
use tokio::time::sleep;

/// A folder, its own size, and the folders in it.
pub struct Folder {
    pub name: &'static str,
    pub size: u32,
    pub folders: Vec<Folder>,
}

impl Folder {
    fn new(name: &'static str, size: u32, folders: Vec<Folder>) -> Self {
        Self {
            name,
            size,
            folders,
        }
    }

    /// Simulates reading a folder: a larger one takes longer.
    async fn read(&self) -> Result<u32, String> {
        sleep(Duration::from_millis(self.size.into())).await;
        if self.name == "secret" {
            return Err(format!("{}: permission denied", self.name));
        }
        println!("{}: {}", self.name, self.size);
        Ok(self.size)
    }
}

/// Returns the size of the whole tree. Reads one folder after another.
pub async fn total_size(folder: &Folder) -> Result<u32, String> {
    let mut total = folder.read().await?;
    for inner in &folder.folders {
        total += Box::pin(total_size(inner)).await?;
    }
    Ok(total)
}

/// Reads all folders inside a folder concurrently. The first error drops the other
/// futures.
pub async fn total_size_at_once(folder: &Folder) -> Result<u32, String> {
    let mut total = folder.read().await?;
    let inner = folder.folders.iter().map(total_size_at_once);
    // Not `try_join_all`: of more than 30 futures it returns errors in list order.
    let mut sizes: FuturesUnordered<_> = inner.map(Box::pin).collect();
    while let Some(size) = sizes.try_next().await? {
        total += size;
    }
    Ok(total)
}

fn show(total: Result<u32, String>) {
    match total {
        Ok(total) => println!("Total: {total}"),
        Err(error) => println!("Error: {error}"),
    }
}

#[tokio::main]
async fn main() {
    let photos = Folder::new("photos", 200, vec![Folder::new("2026", 100, vec![])]);
    let home = Folder::new("home", 100, vec![photos, Folder::new("music", 250, vec![])]);

    println!("One after another:");
    show(total_size(&home).await);

    println!("All at once, and one of them is unreadable:");
    let backup = Folder::new("backup", 50, vec![Folder::new("secret", 150, vec![])]);
    show(total_size_at_once(&Folder::new("disk", 100, vec![home, backup])).await);
}
