//! Port `Cache.get`. While a page loads, other pages can be read and loaded.
//!
//!     class Cache:
//!         def __init__(self):
//!             self.pages = {}
//!
//!         async def get(self, name, load):
//!             if name not in self.pages:
//!                 self.pages[name] = await load(name)
//!             return self.pages[name]
//!
//! `#[derive(Default)] pub struct Cache`, whose method
//! `pub async fn get(&self, name: u32, load: impl AsyncFn(u32) -> String) -> String` is called
//! by many tasks.

use super::prelude::*;

mod naive {
    use std::collections::HashMap;

    use tokio::sync::Mutex;

    #[derive(Default)]
    pub struct Cache(Mutex<HashMap<u32, String>>);

    impl Cache {
        pub async fn get(&self, name: u32, load: impl AsyncFn(u32) -> String) -> String {
            let mut pages = self.0.lock().await;
            if let Some(page) = pages.get(&name) {
                return page.clone();
            }
            let page = load(name).await;
            pages.insert(name, page.clone());
            page
        }
    }
}

mod right {
    use std::collections::HashMap;
    use std::sync::Mutex;

    #[derive(Default)]
    pub struct Cache(Mutex<HashMap<u32, String>>);

    impl Cache {
        pub async fn get(&self, name: u32, load: impl AsyncFn(u32) -> String) -> String {
            let known = self.0.lock().expect("no panic").get(&name).cloned();
            if let Some(page) = known {
                return page;
            }
            let page = load(name).await;
            self.0.lock().expect("no panic").insert(name, page.clone());
            page
        }
    }
}

judge!("one_lock" refuses "the loads wait for each other" {
    let load = async |name: u32| {
        sleep(Duration::from_secs(1)).await;
        format!("page {name}")
    };
    let cache = answer::Cache::default();
    let start = Instant::now();
    let pages = tokio::join!(cache.get(1, load), cache.get(2, load), cache.get(3, load));
    assert_eq!(pages, ("page 1".to_owned(), "page 2".to_owned(), "page 3".to_owned()));
    assert_eq!(start.elapsed().as_secs(), 1, "the loads wait for each other");
    assert_eq!(cache.get(2, load).await, "page 2");
    assert_eq!(start.elapsed().as_secs(), 1, "a known page is loaded again");
});
