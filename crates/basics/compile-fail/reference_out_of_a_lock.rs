//~ E0515 cannot return value referencing temporary value
//! A method returns a reference into a `Mutex`: return a clone, the guard would be gone.
//!
//! example: share_state

use std::sync::Mutex;

struct Shop {
    names: Mutex<Vec<String>>,
}

impl Shop {
    fn first(&self) -> Option<&String> {
        self.names.lock().expect("nobody panics").first()
    }
}

fn main() {
    let names = Mutex::new(vec![String::from("Ada")]);
    println!("{:?}", Shop { names }.first());
}
