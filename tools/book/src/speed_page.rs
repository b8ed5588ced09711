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
        let with_peers = self.0.measurements.iter().map(|it| {
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
            Of::PeerByOurs => ratio.median < 1.0,
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
    use catalog::speed::{Measured, Of, Peer, Ratio, Speed, Unit};

    use super::page;

    fn speed(of: Of, median: f64) -> Speed {
        let ratio = Ratio {
            of,
            median,
            low: median - 0.25,
            high: median + 0.5,
            goal: None,
        };
        let peer = Peer {
            name: "other".to_owned(),
            value: 0.004,
            ratio,
        };
        Speed {
            date: "2026-01-02".to_owned(),
            machine: "2 cores".to_owned(),
            versions: vec!["tokio 1.0.0".to_owned()],
            rounds: 7,
            measurements: vec![Measured {
                name: "some_work".to_owned(),
                title: "some <work>".to_owned(),
                example: "basics/timers".to_owned(),
                unit: Unit::Seconds,
                items: 1000,
                ours: 0.002,
                at_most: None,
                peers: vec![peer],
            }],
        }
    }

    #[test]
    fn the_page_has_every_figure_and_says_what_is_lost() {
        let beside_asyncio = ["Where Rust loses", "Where the crate is cheaper"];
        let beside_crates = [beside_asyncio[1], beside_asyncio[0]];
        for (of, median, said, is_lost) in [
            (Of::PeerByOurs, 20.0, beside_asyncio, false),
            (Of::PeerByOurs, 0.75, beside_asyncio, true),
            (Of::OursByPeer, 1.5, beside_crates, true),
            (Of::OursByPeer, 0.5, beside_crates, false),
        ] {
            let page = page(&speed(of, median)).expect("it renders");
            let lost = format!(
                "{}:\n\n- [some &#60;work&#62;](#some_work), beside other: {median:.2}.",
                said[0]
            );
            assert_eq!(page.contains(&lost), is_lost, "{lost}\n{page}");
            let nowhere = format!("{}: nowhere in this table.", said[0]);
            assert_eq!(page.contains(&nowhere), !is_lost, "{nowhere}\n{page}");
            assert!(!page.contains(said[1]), "{page}");
        }
        let mut alone = speed(Of::PeerByOurs, 20.0);
        let page = |speed: &Speed| page(speed).expect("it renders");
        let figures = "<b>20.0</b> <span class=\"spread\">19.8 to 20.5</span>";
        assert!(page(&alone).contains(figures), "{}", page(&alone));
        alone.measurements[0].peers.clear();
        for expected in [
            "By itself",
            "<th scope=\"row\" id=\"some_work\">some &#60;work&#62; ",
            "2.00 µs",
            "2.00 ms",
            "Measured on 2026-01-02, on 2 cores, with tokio 1.0.0.",
        ] {
            assert!(
                page(&alone).contains(expected),
                "{expected}\n{}",
                page(&alone)
            );
        }
    }
}
