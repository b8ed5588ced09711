//! Lets the program find libpython where it was found when it was built.
fn main() {
    pyo3_build_config::add_libpython_rpath_link_args();
}
