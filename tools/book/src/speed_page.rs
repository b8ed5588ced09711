//! What each pattern costs: a page of tables.

use anyhow::Result;
use askama::Template;
use catalog::speed::{Measured, Of, Peer, Ratio, Speed, figures};

use crate::markup::anchor;

#[derive(Template)]
#[template(path = "speed.md", escape = "html")]
struct Page<'a>(&'a Speed);

/// Returns the page's Markdown.
pub fn page(speed: &Speed) -> Result<String> {
    Ok(Page(speed).render()?)
}

/// Returns the share of one item in a value for all.
pub fn each(measured: &Measured, value: f64) -> String {
    measured.unit.amount(value / measured.items as f64)
}

impl<'a> Page<'a> {
    /// Returns the measurements with peers that are compared like this.
    fn compared(&self, of: Of) -> Vec<(&'a Measured, Vec<&'a Peer>)> {
        let with_peers = self.0.all().map(|it| {
            let peers = it.peers.iter().filter(|peer| peer.ratio.of == of);
            (it, peers.collect())
        });
        with_peers
            .filter(|(_, peers): &(_, Vec<_>)| !peers.is_empty())
            .collect()
    }

    /// Returns those in which ours is not the better one.
    fn lost(&self, of: Of) -> Vec<(&'a Measured, &'a Peer)> {
        let all = self.compared(of).into_iter();
        let all =
            all.flat_map(|(it, peers)| peers.into_iter().map(move |peer| (it, peer)));
        let is_lost = |ratio: Ratio| match of {
            Of::PeerByOurs | Of::ServerByOurs => ratio.median < 1.0,
            Of::OursByPeer => ratio.median > 1.0,
        };
        all.filter(|(_, peer)| is_lost(peer.ratio)).collect()
    }

    /// Returns how long the bar of a ratio is, in percent.
    fn bar(&self, ratio: &Ratio) -> f64 {
        let peers = self
            .compared(ratio.of)
            .into_iter()
            .flat_map(|(_, peers)| peers);
        let highest = peers.map(|peer| peer.ratio.median).fold(1.0, f64::max);
        (ratio.median / highest * 1000.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::page;

    fn made(of: &str, median: f64) -> String {
        let ratio = json!({ "of": of, "median": median, "low": 0.5, "high": 20.5 });
        let speed = json!({
            "date": "2026-01-02", "machine": "2 cores", "versions": ["tokio 1.0.0"],
            "rounds": 7,
            "measurements": [
                { "name": "some_work", "title": "some <work>", "example": "basics/timers",
                  "unit": "seconds", "items": 1000, "ours": 0.002,
                  "peers": [{ "name": "other", "value": 0.004, "ratio": ratio }] },
                { "name": "alone", "title": "alone", "example": "basics/timers",
                  "unit": "seconds", "items": 10, "ours": 0.05, "peers": [] },
            ],
        });
        page(&serde_json::from_value(speed).expect("it is a measurement"))
            .expect("a page")
    }

    #[test]
    fn the_page_has_every_figure_and_says_what_is_lost() {
        let lost = "Where Rust loses:\n\n- [some &#60;work&#62;](#some_work), next to other: 0.75.";
        assert!(made("peer_by_ours", 0.75).contains(lost));
        let lost = "Where the crate is cheaper: nowhere in this table.";
        assert!(made("ours_by_peer", 0.5).contains(lost));
        let page = made("peer_by_ours", 20.0);
        for expected in [
            "<b>20.0</b> <span class=\"spread\">0.50 to 20.5</span>",
            "<td data-label=\"each\">5.00 ms</td><td data-label=\"in all\">50.0 ms</td>",
            "Measured on 2026-01-02, on 2 cores, with tokio 1.0.0.",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
    }
}
