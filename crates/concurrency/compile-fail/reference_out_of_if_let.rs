//~ E0499 returning this value requires that `self.page` is borrowed for `'1`
//! A method returns a reference from an `if let`, so the borrow lasts until its end, even
//! where nothing is returned. Test with `is_none` first, then borrow once.
//!
//! example: once_cell

#[derive(Default)]
struct Cache {
    page: Option<String>,
}

impl Cache {
    fn page(&mut self) -> &mut String {
        if let Some(page) = self.page.as_mut() {
            return page;
        }
        self.page.insert(String::from("loaded"))
    }
}

fn main() {
    println!("{}", Cache::default().page());
}
