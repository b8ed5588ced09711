//! Names of users, kept elsewhere, with a cache before them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::ttl_cache::{LoadError, TtlCache};

/// There is no user with this number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user {0} not found")]
struct NotFound(u32);

/// Names of users, kept elsewhere, with a cache before them.
struct Users {
    names: Mutex<HashMap<u32, &'static str>>,
    latency: Duration,
    cache: TtlCache<u32, &'static str, NotFound>,
}

impl Users {
    /// Returns the name of a user, perhaps as it was a while ago.
    async fn name(
        self: &Arc<Self>,
        id: u32,
    ) -> Result<&'static str, LoadError<NotFound>> {
        let users = Arc::clone(self);
        let load = async move { users.load(id).await };
        self.cache.get_or_load(id, load).await
    }

    async fn load(&self, id: u32) -> Result<&'static str, NotFound> {
        println!("loading user {id}");
        let name = self.lock().get(&id).copied();
        sleep(self.latency).await;
        name.ok_or(NotFound(id))
    }

    /// The next caller loads the new name.
    fn rename(&self, id: u32, name: &'static str) {
        self.lock().insert(id, name);
        self.cache.remove(&id);
    }

    /// The next caller need not load it.
    fn add(&self, id: u32, name: &'static str) {
        self.lock().insert(id, name);
        self.cache.insert(id, name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, &'static str>> {
        // A panic leaves a map of plain values whole.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for a name after some milliseconds, and returns the outcome.
async fn ask(users: &Arc<Users>, millis: u64, id: u32) -> String {
    sleep(Duration::from_millis(millis)).await;
    match users.name(id).await {
        Ok(name) => name.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Asks concurrently, and prints the outcomes in one line.
async fn ask_all(users: &Arc<Users>, asked: &[(u64, u32)]) {
    let asked = asked.iter().map(|(millis, id)| ask(users, *millis, *id));
    println!("{}", join_all(asked).await.join(", "));
}

pub async fn run() {
    let names = [(1, "Ann"), (2, "Ben"), (3, "Cid"), (4, "Dan"), (5, "Eve")];
    let users = Arc::new(Users {
        names: Mutex::new(HashMap::from(names)),
        latency: Duration::from_millis(200),
        cache: TtlCache::new(2, Duration::from_millis(600)),
    });

    println!("Three ask while it is loaded, one later:");
    ask_all(&users, &[(0, 1), (50, 1), (100, 1), (300, 1)]).await;

    println!("After 0.4 s, when it is still kept, and after 0.7 s:");
    ask_all(&users, &[(300, 1), (600, 1)]).await;

    println!("Two fit; a third evicts the least recently used:");
    for id in [2, 1, 3, 1, 2] {
        println!("asking for user {id}");
        ask_all(&users, &[(0, id)]).await;
    }

    println!("A failure goes to all waiting callers, and is not kept:");
    ask_all(&users, &[(0, 9), (100, 9), (300, 9)]).await;

    println!("The caller that started the load leaves after 0.1 s:");
    let first = timeout(Duration::from_millis(100), ask(&users, 0, 4));
    let (first, second) = tokio::join!(first, ask(&users, 50, 4));
    let first = first.unwrap_or_else(|_| "gave up".to_string());
    println!("{first}, {second}");
    println!("kept: {}", users.cache.get(&4).unwrap_or("nothing"));

    println!("A name is changed while it is loaded:");
    let change = async {
        sleep(Duration::from_millis(100)).await;
        users.rename(5, "Eva");
    };
    tokio::join!(ask_all(&users, &[(0, 5)]), change);
    ask_all(&users, &[(0, 5)]).await;

    println!("A new name is kept at once:");
    users.add(6, "Flo");
    ask_all(&users, &[(0, 6)]).await;

    println!("All are removed:");
    users.cache.clear();
    ask_all(&users, &[(0, 6)]).await;
}
