//~ E0283 type annotations needed
//! The call of a recursive function in a plain box: to be awaited, it has to be `Unpin`.
//!
//! example: recursion

async fn sum(numbers: &[u32]) -> u32 {
    match numbers {
        [] => 0,
        [first, rest @ ..] => first + Box::new(sum(rest)).await,
    }
}

#[tokio::main]
async fn main() {
    println!("{}", sum(&[1, 2, 3]).await);
}
