//~ E0277 couldn't convert the error: `dyn std::error::Error + Send + Sync: Sized`
//! `?` on a boxed error in a function that returns `anyhow::Result`. Write
//! `.map_err(anyhow::Error::from_boxed)?`.
//!
//! example: error_context

use std::error::Error;

fn port() -> Result<u16, Box<dyn Error + Send + Sync>> {
    Ok("80a".parse()?)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = port()?;
    println!("{port}");
    Ok(())
}
