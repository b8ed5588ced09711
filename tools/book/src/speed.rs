//! What each pattern costs: a page of tables with bars, and a line for each example.

use std::fmt::Write as _;

use xtask::speed::{Measured, Of, Peer, Speed, figures};
use xtask::workspace::Workspace;

use crate::html::{anchor, code, escape};
use crate::material::meant;

/// How much of a bar's width the longest one has, in percent.
const WIDEST: f64 = 96.0;

/// Reports the measurements of examples that are not there.
pub fn check(workspace: &Workspace, speed: &Speed, problems: &mut Vec<String>) {
    for Measured { name, example, .. } in &speed.measurements {
        if meant(workspace, example, None).is_none() {
            problems.push(format!(
                "docs/speed.json: `{name}` was measured for {example}, which is no example"
            ));
        }
    }
}

/// The page.
pub fn page(speed: &Speed) -> String {
    let rounds = speed.rounds;
    let mut text = format!(
        "# What it costs\n\n\
         How much faster is the program on Tokio than the one on asyncio, and how far \
         behind the crate made for the purpose is a component that you paste? The \
         components are those of the examples, compiled from their files, and the Python \
         side runs the classes of their twins. Each run is a process of its own. The \
         contestants take turns, {rounds} times, and each does the same work, which is \
         checked: as many items, and the same sum.\n\n\
         What is compared is always two runs that stood beside each other, and the tables \
         give the median of these ratios with the lowest and the highest. On a machine \
         that others use as well, a ratio of two single runs is worth little: look at \
         the span. A span that reaches from 0.8 to 1.3 says that the two are alike. The \
         times themselves are those of one machine on one day; the ratios carry over to \
         another much better. Measure on yours with `cargo xtask bench`, or `cargo xtask \
         bench --quick NAME` for a look.\n\n"
    );
    let with = |of: Of| {
        let measured = speed.measurements.iter();
        measured.filter(move |it| it.peers.iter().any(|peer| peer.ratio.of == of))
    };
    if with(Of::PeerByOurs).next().is_some() {
        text.push_str(
        "## Beside asyncio and uvloop\n\nHow many times the time of the Rust program the \
         Python program needs.\n\n",
    );
        text.push_str(&lost(speed, Of::PeerByOurs, "Where Rust loses"));
        text.push_str(&table(with(Of::PeerByOurs), Of::PeerByOurs));
    }
    if with(Of::OursByPeer).next().is_some() {
        text.push_str(
        "## Beside the crates made for it\n\nWhich part of the crate's cost the component \
         of the example has: below 1 it is cheaper. The pages of the examples say what \
         the crates do that the components do not.\n\n",
    );
        text.push_str(&lost(speed, Of::OursByPeer, "Where the crate is cheaper"));
        text.push_str(&table(with(Of::OursByPeer), Of::OursByPeer));
    }
    let alone = speed.measurements.iter().filter(|it| it.peers.is_empty());
    let alone: Vec<&Measured> = alone.collect();
    if !alone.is_empty() {
        text.push_str(
            "## By itself\n\n<table class=\"speed\"><thead><tr><th scope=\"col\">work</th>\
             <th scope=\"col\">each</th><th scope=\"col\">in all</th></tr></thead><tbody>\n",
        );
        for measured in alone {
            let each = measured.ours / measured.items as f64;
            let _ = writeln!(
                text,
                "<tr>{}<td data-label=\"each\">{}</td><td data-label=\"in all\">{}</td></tr>",
                work(&measured.name, &measured.title, &measured.example),
                measured.unit.amount(each),
                measured.unit.amount(measured.ours)
            );
        }
        text.push_str("</tbody></table>\n\n");
    }
    let _ = writeln!(
        text,
        "<p class=\"verified\">Measured on {}, on {}, with {}.</p>",
        escape(&speed.date),
        escape(&speed.machine),
        escape(&speed.versions.join(", "))
    );
    text
}

/// The cell that says what was measured.
fn work(name: &str, title: &str, example: &str) -> String {
    let short = example.split('/').next_back().unwrap_or(example);
    format!(
        "<th scope=\"row\" id=\"{}\">{} <a href=\"{example}.html\">{}</a></th>",
        anchor(name),
        escape(title),
        code(short)
    )
}

/// What is said of the measurements in which ours is not the better one.
fn lost(speed: &Speed, of: Of, what: &str) -> String {
    let mut lost = Vec::new();
    for measured in &speed.measurements {
        for Peer { name, ratio, .. } in &measured.peers {
            let is_lost = match of {
                Of::PeerByOurs => ratio.median < 1.0,
                Of::OursByPeer => ratio.median > 1.0,
            };
            if ratio.of == of && is_lost {
                let (title, anchor) = (escape(&measured.title), anchor(&measured.name));
                let median = figures(ratio.median);
                lost.push(format!("[{title}](#{anchor}), beside {name}: {median}"));
            }
        }
    }
    match lost.is_empty() {
        true => format!("{what}: nowhere in this table.\n\n"),
        false => format!("{what}:\n\n- {}.\n\n", lost.join(";\n- ")),
    }
}

fn table<'a>(measured: impl Iterator<Item = &'a Measured>, of: Of) -> String {
    let measured: Vec<&Measured> = measured.collect();
    let peers = measured.iter().flat_map(|it| &it.peers);
    let peers = peers.filter(|peer| peer.ratio.of == of);
    let highest = peers.map(|peer| peer.ratio.high).fold(1.0, f64::max);
    let mut text = "<table class=\"speed\"><thead><tr><th scope=\"col\">work</th>\
                    <th scope=\"col\">ours, each</th><th scope=\"col\">beside</th>\
                    <th scope=\"col\">each</th><th scope=\"col\">ratio</th>\
                    <th scope=\"col\"><span class=\"sr-only\">the same as a \
                    bar</span></th></tr></thead><tbody>\n"
        .to_owned();
    for measured in measured {
        let each = |value: f64| measured.unit.amount(value / measured.items as f64);
        let peers = measured.peers.iter().filter(|peer| peer.ratio.of == of);
        let peers: Vec<&Peer> = peers.collect();
        for (index, peer) in peers.iter().enumerate() {
            let first = match index {
                0 => format!(
                    "{}<td rowspan=\"{count}\" data-label=\"ours\">{}</td>",
                    work(&measured.name, &measured.title, &measured.example).replacen(
                        "<th ",
                        &format!("<th rowspan=\"{}\" ", peers.len()),
                        1
                    ),
                    each(measured.ours),
                    count = peers.len()
                ),
                _ => String::new(),
            };
            let ratio = &peer.ratio;
            let _ = writeln!(
                text,
                "<tr>{first}<td>{}</td><td>{}</td><td data-label=\"ratio\"><b>{}</b> <span \
                 class=\"spread\">{} to {}</span></td><td class=\"bar-cell\">{}</td></tr>",
                escape(&peer.name),
                each(peer.value),
                figures(ratio.median),
                figures(ratio.low),
                figures(ratio.high),
                bar(peer, highest)
            );
        }
    }
    text.push_str("</tbody></table>\n\n");
    text
}

/// A bar for the median, a line from the lowest to the highest, and a mark at 1.
fn bar(peer: &Peer, highest: f64) -> String {
    let ratio = &peer.ratio;
    let place = |value: f64| format!("{:.2}%", value / highest * WIDEST);
    let (low, high) = (place(ratio.low), place(ratio.high));
    format!(
        "<svg class=\"bar\" width=\"100%\" height=\"18\" aria-hidden=\"true\">\
         <rect x=\"0\" y=\"3\" width=\"{}\" height=\"12\"/>\
         <line class=\"spread\" x1=\"{low}\" x2=\"{high}\" y1=\"9\" y2=\"9\"/>\
         <line class=\"one\" x1=\"{one}\" x2=\"{one}\" y1=\"0\" y2=\"18\"/></svg>",
        place(ratio.median),
        one = place(1.0)
    )
}

/// An example's own figures, in one line of HTML, as seen from its page.
pub fn line(speed: &Speed, example: &str) -> Option<String> {
    let mut parts = Vec::new();
    for measured in speed.measurements.iter().filter(|it| it.example == example) {
        let each = measured.unit.amount(measured.ours / measured.items as f64);
        let peers = measured.peers.iter().map(|peer| {
            let (median, name) = (figures(peer.ratio.median), escape(&peer.name));
            match peer.ratio.of {
                Of::PeerByOurs => format!("{name} takes {median} times as long"),
                Of::OursByPeer => format!("{median} of the cost of {name}"),
            }
        });
        let peers: Vec<String> = peers.collect();
        parts.push(format!(
            "<a href=\"../speed.html#{}\">{}</a>: {each} each{}{}",
            anchor(&measured.name),
            escape(&measured.title),
            if peers.is_empty() { "" } else { "; " },
            peers.join(", ")
        ));
    }
    (!parts.is_empty()).then(|| parts.join(". "))
}

#[cfg(test)]
mod tests {
    use xtask::speed::{Measured, Of, Peer, Ratio, Speed, Unit};

    use super::{line, page};

    fn speed() -> Speed {
        let peer = |name: &str, of, median: f64| Peer {
            name: name.to_owned(),
            value: 0.004,
            ratio: Ratio {
                of,
                median,
                low: median - 0.25,
                high: median + 0.5,
                goal: None,
            },
        };
        let measured = |name: &str, peers| Measured {
            name: name.to_owned(),
            title: format!("{name} <work>"),
            example: "basics/timers".to_owned(),
            unit: Unit::Seconds,
            items: 1000,
            ours: 0.002,
            at_most: None,
            peers,
        };
        Speed {
            date: "2026-01-02".to_owned(),
            machine: "2 cores".to_owned(),
            versions: vec!["tokio 1.0.0".to_owned()],
            rounds: 7,
            measurements: vec![
                measured("lost", vec![peer("asyncio", Of::PeerByOurs, 0.75)]),
                measured("won", vec![peer("uvloop", Of::PeerByOurs, 20.0)]),
                measured("crate", vec![peer("moka", Of::OursByPeer, 1.5)]),
                measured("alone", vec![]),
            ],
        }
    }

    #[test]
    fn the_page_has_every_figure_and_says_what_is_lost() {
        let page = page(&speed());
        for expected in [
            "2.00 µs",
            "4.00 µs",
            "<b>20.0</b> <span class=\"spread\">19.8 to 20.5</span>",
            "Where Rust loses:\n\n- [lost &lt;work&gt;](#lost), beside asyncio: 0.75.\n",
            "Where the crate is cheaper:\n\n- [crate &lt;work&gt;](#crate), beside moka: 1.50.\n",
            "<th scope=\"row\" id=\"alone\">alone &lt;work&gt; ",
            "Measured on 2026-01-02, on 2 cores, with tokio 1.0.0.",
            // The widest is the highest of the table, and the mark stands at 1.
            "<rect x=\"0\" y=\"3\" width=\"93.66%\"",
            "<line class=\"one\" x1=\"4.68%\"",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
        let won = Speed {
            measurements: speed().measurements[1..2].to_vec(),
            ..speed()
        };
        let page = super::page(&won);
        assert!(page.contains("Where Rust loses: nowhere in this table."));
        assert!(!page.contains("Beside the crates"));
    }

    #[test]
    fn an_example_has_its_own_figures_in_a_line() {
        let line = line(&speed(), "basics/timers").expect("it was measured");
        for expected in [
            "<a href=\"../speed.html#won\">won &lt;work&gt;</a>: 2.00 µs each; uvloop \
             takes 20.0 times as long",
            "1.50 of the cost of moka",
        ] {
            assert!(line.contains(expected), "{expected}\n{line}");
        }
        assert_eq!(super::line(&speed(), "basics/none"), None);
    }
}
