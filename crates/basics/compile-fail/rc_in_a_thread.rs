//~ E0277 cannot be sent between threads safely
//! Data with an `Rc`, created outside of the thread whose runtime uses it.
//!
//! Create the data inside of the thread.
//!
//! example: runtime_per_thread

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::thread;

use tokio::runtime::Builder;

async fn serve(data: Rc<RefCell<HashMap<String, u32>>>) {
    data.borrow_mut().insert("Ada".to_owned(), 3);
}

fn main() -> std::io::Result<()> {
    let data = Rc::default();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let thread = thread::spawn(move || runtime.block_on(serve(data)));
    thread.join().expect("no panic");
    Ok(())
}
