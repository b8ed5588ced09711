//~ E0308 mismatched types
//! A label with the path of a request, where only a name of a route fits.
//!
//! example: metrics

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

fn count(calls: &Family<Route, Counter>, user: u32) {
    let route = format!("/users/{user}");
    calls.get_or_create(&Route { route }).inc();
}

fn main() {
    count(&Family::default(), 1);
}
