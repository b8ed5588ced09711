//! Recursion: an async function that calls itself, as in a walk over a tree of folders.
//!
//! A future holds the futures that it awaits, so one that awaits its own kind would have
//! no size: "recursion in an async fn requires boxing". `Box::pin` at the call puts the
//! inner one on the heap, and that is all that differs from Python. It serves for one
//! child after another and for all at once. A function that spawns itself as a task needs
//! no box, yet as an `async fn` it is refused: "cannot satisfy `impl Future<Output = ()>:
//! Send`". Write it as a plain function that promises the `Send`: it returns `impl
//! Future<Output = T> + Send`, by an `async move` block.
//!
//! asyncio: async def, await, asyncio.TaskGroup

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub struct Folder {
    name: &'static str,
    size: u32,
    folders: Vec<Arc<Folder>>,
}

impl Folder {
    fn new<const N: usize>(name: &'static str, size: u32, folders: [Folder; N]) -> Self {
        let folders = folders.map(Arc::new).into();
        Self {
            name,
            size,
            folders,
        }
    }

    /// Reads this folder alone; the larger it is, the longer it takes.
    async fn read(&self) -> Result<u32, String> {
        sleep(Duration::from_millis(self.size.into())).await;
        if self.name == "secret" {
            return Err(format!("{}: permission denied", self.name));
        }
        println!("{}: {}", self.name, self.size);
        Ok(self.size)
    }
}

/// One folder after another.
pub async fn total_size(folder: &Folder) -> Result<u32, String> {
    let mut total = folder.read().await?;
    for inner in &folder.folders {
        total += Box::pin(total_size(inner)).await?;
    }
    Ok(total)
}

/// All folders inside one at once.
pub async fn total_size_at_once(folder: &Folder) -> Result<u32, String> {
    let own = folder.read().await?;
    let inner = folder.folders.iter().map(|inner| total_size_at_once(inner));
    let sizes = Box::pin(try_join_all(inner)).await?;
    Ok(own + sizes.iter().sum::<u32>())
}

/// Each folder in a task of its own, which owns its share of the tree. If one of them
/// fails, the set is dropped with the others, and that stops them.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` does not promise `Send`"
)]
pub fn total_size_in_tasks(
    folder: Arc<Folder>,
) -> impl Future<Output = Result<u32, String>> + Send {
    async move {
        let mut total = folder.read().await?;
        let inner = folder.folders.iter().map(Arc::clone);
        let mut tasks: JoinSet<_> = inner.map(total_size_in_tasks).collect();
        while let Some(outcome) = tasks.join_next().await {
            total += outcome.map_err(|error| error.to_string())??;
        }
        Ok(total)
    }
}

fn show(total: Result<u32, String>) {
    match total {
        Ok(total) => println!("Total: {total}"),
        Err(error) => println!("Error: {error}"),
    }
}

pub async fn run() {
    let photos = Folder::new("photos", 200, [Folder::new("2026", 100, [])]);
    let home = Folder::new("home", 100, [photos, Folder::new("music", 250, [])]);

    println!("One after another:");
    show(total_size(&home).await);

    println!("All at once:");
    show(total_size_at_once(&home).await);

    println!("All at once, one of them unreadable:");
    let disk = Folder::new("disk", 100, [home, Folder::new("secret", 200, [])]);
    show(total_size_at_once(&disk).await);

    println!("Each in a task of its own, one of them unreadable:");
    let disk = Arc::new(disk);
    show(total_size_in_tasks(Arc::clone(&disk)).await);

    println!("Each in a task of its own:");
    show(total_size_in_tasks(Arc::clone(&disk.folders[0])).await);
}

#[tokio::main]
pub async fn main() {
    run().await;
}
