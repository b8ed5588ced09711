//! Tests, debugging, profiling, costs, pitfalls: the section's examples, in reading
//! order.

#[macro_use]
extern crate example_runner;

examples! {
    unit_testing,
    debugging,
    profiling,
    cpu_bound,
    dos_and_donts,
    pitfalls,
}
