//~ E0521 borrowed data escapes outside of method
//! A call that runs in a task of its own borrows what the caller borrows.
//!
//! example: single_flight

struct Flights;

impl Flights {
    async fn run(&self, call: impl Future<Output = String> + Send + 'static) -> String {
        tokio::spawn(call).await.expect("the call does not fail")
    }
}

struct Users {
    flights: Flights,
    host: String,
}

impl Users {
    async fn load(&self, id: u32) -> String {
        format!("{}/{id}", self.host)
    }

    async fn get(&self, id: u32) -> String {
        self.flights.run(self.load(id)).await
    }
}

#[tokio::main]
async fn main() {
    let host = String::from("api.com");
    let users = Users {
        flights: Flights,
        host,
    };
    println!("{}", users.get(1).await);
}
