//~ E0521 borrowed data escapes outside of method
//! A cache's load that borrows the struct whose method began it. It runs in a task, which
//! may outlive the struct.
//!
//! example: ttl_cache

use std::sync::Mutex;

use tokio::task::JoinError;

struct Users {
    cache: Mutex<Option<String>>,
}

impl Users {
    async fn name(&self, id: u32) -> Result<String, JoinError> {
        let load = async move { self.load(id).await };
        tokio::spawn(load).await
    }

    async fn load(&self, id: u32) -> String {
        let name = format!("User_{id}");
        if let Ok(mut cache) = self.cache.lock() {
            *cache = Some(name.clone());
        }
        name
    }
}

#[tokio::main]
async fn main() {
    let cache = Mutex::new(None);
    println!("{:?}", Users { cache }.name(1).await);
}
