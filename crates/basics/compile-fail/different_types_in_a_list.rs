//~ E0308 expected `Cache`, found `Server`
//! A list of boxes takes its type from the first: write `Vec<Box<dyn Fetch>>`.
//!
//! example: dyn_async_trait

trait Fetch {
    fn fetch(&self) -> String;
}

struct Cache;

struct Server;

impl Fetch for Cache {
    fn fetch(&self) -> String {
        String::from("from the cache")
    }
}

impl Fetch for Server {
    fn fetch(&self) -> String {
        String::from("from the server")
    }
}

fn main() {
    let fetchers = vec![Box::new(Cache), Box::new(Server)];
    for fetcher in &fetchers {
        println!("{}", fetcher.fetch());
    }
}
