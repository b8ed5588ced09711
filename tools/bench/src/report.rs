//! What is printed on the terminal.

use std::fmt::Write as _;

use catalog::speed::{Measured, Of};

/// A row: the cost of an item for each contestant, and how the peers compare.
pub fn measured(result: &Measured) -> String {
    let each = |value: f64| result.unit.amount(value / result.items as f64);
    let (ours, in_all) = (each(result.ours), result.unit.amount(result.ours));
    let mut text = format!(
        "{} ({})\n  {:<16}{ours:>10} each, {in_all} in all",
        result.title, result.example, "ours"
    );
    if let Some(most) = result.at_most.filter(|most| result.ours > *most) {
        let _ = write!(
            text,
            ", MISSED: at most {} in all",
            result.unit.amount(most)
        );
    }
    for peer in &result.peers {
        let ratio = &peer.ratio;
        let (what, bound) = match ratio.of {
            Of::PeerByOurs | Of::ServerByOurs => ("times ours", "at least"),
            Of::OursByPeer => ("of it is ours", "at most"),
        };
        let (median, low, high) = (ratio.median, ratio.low, ratio.high);
        let _ = write!(
            text,
            "\n  {:<16}{:>10} each, {median:.2} {what} ({low:.2} to {high:.2})",
            peer.name,
            each(peer.value),
        );
        if let Some(goal) = ratio.goal.filter(|_| !ratio.is_met()) {
            let _ = write!(text, ", MISSED: {bound} {goal}");
        }
    }
    text
}

/// How many goals of a row were missed.
pub fn missed(result: &Measured) -> usize {
    let of_all = result.at_most.is_some_and(|most| result.ours > most);
    let of_peers = result.peers.iter().filter(|peer| !peer.ratio.is_met());
    usize::from(of_all) + of_peers.count()
}
