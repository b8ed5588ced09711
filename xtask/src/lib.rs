//! What the commands of `cargo xtask` have in common.

pub mod copy;
