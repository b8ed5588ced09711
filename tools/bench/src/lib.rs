//! What is needed to measure: contestants, rounds and reports. The measurements are those
//! of the binary, which is apart from this because it takes in the files of examples,
//! whose tests are run where they belong.

pub mod measurement;
pub mod report;
pub mod rounds;
