//! What a test sees of a source that answers, fails, or is too slow.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

use crate::unit_testing::{Calculator, FetchError, Source};

/// Returns a fixed answer after a delay, and records the pages that it is asked for.
/// Clones share the record.
#[derive(Clone)]
struct FakeSource {
    answer: Result<u32, FetchError>,
    delay: Duration,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Source for FakeSource {
    async fn fetch(&self, page: &str) -> Result<u32, FetchError> {
        self.asked
            .lock()
            .expect("nobody panics")
            .push(page.to_owned());
        sleep(self.delay).await;
        self.answer.clone()
    }
}

impl FakeSource {
    fn new(answer: Result<u32, FetchError>, millis: u64) -> Self {
        Self {
            answer,
            delay: Duration::from_millis(millis),
            asked: Arc::default(),
        }
    }

    fn print_asked(&self) {
        let asked = self.asked.lock().expect("nobody panics");
        println!("asked for: [{}]", asked.join(", "));
    }
}

async fn fetch_and_print(answer: Result<u32, FetchError>, millis: u64) {
    let source = FakeSource::new(answer, millis);
    let calculator = Calculator::new(source.clone());
    match calculator.fetch_and_add("/data", 10).await {
        Ok(sum) => println!("sum: {sum}"),
        Err(error) => println!("error: {error}"),
    }
    source.print_asked();
}

pub async fn run() {
    println!("The source answers 42 after a second:");
    fetch_and_print(Ok(42), 1000).await;

    println!("The source has no such page:");
    fetch_and_print(Err(FetchError::NotFound("/data".to_owned())), 100).await;

    println!("The source answers just before the limit of 2 s, and then after it:");
    fetch_and_print(Ok(42), 1900).await;
    fetch_and_print(Ok(42), 2100).await;

    println!("The await is forgotten, and nothing warns:");
    let source = FakeSource::new(Ok(42), 1000);
    let calculator = Calculator::new(source.clone());
    let _sum = calculator.fetch_and_add("/data", 10);
    sleep(Duration::from_secs(1)).await;
    source.print_asked();
}
