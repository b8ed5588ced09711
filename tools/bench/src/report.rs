//! What is printed on the terminal.

use std::fmt::Write as _;

use catalog::speed::{Measured, Of, Speed};

/// A measurement: what each needed for an item, and how the peers compare.
pub fn measured(result: &Measured) -> String {
    let mut text = format!("{} ({})\n", result.title, result.example);
    let each = |value: f64| result.unit.amount(value / result.items as f64);
    let missed = match result.at_most {
        Some(most) if result.ours > most => {
            let most = result.unit.amount(most);
            format!(", MISSED: at most {most} in all")
        }
        _ => String::new(),
    };
    let in_all = result.unit.amount(result.ours);
    let ours = each(result.ours);
    let _ = writeln!(
        text,
        "  {:<16}{ours:>10} each, {in_all} in all{missed}",
        "ours"
    );
    for peer in &result.peers {
        let ratio = &peer.ratio;
        let (what, bound) = match ratio.of {
            Of::PeerByOurs => ("times ours", "at least"),
            Of::OursByPeer => ("of it is ours", "at most"),
        };
        let (median, low, high) = (ratio.median, ratio.low, ratio.high);
        let _ = write!(
            text,
            "  {:<16}{:>10} each, {median:.2} {what} ({low:.2} to {high:.2})",
            peer.name,
            each(peer.value),
        );
        if let Some(goal) = ratio.goal.filter(|_| !ratio.is_met()) {
            let _ = write!(text, ", MISSED: {bound} {goal}");
        }
        text.push('\n');
    }
    text
}

/// How many figures of a measurement are not what was agreed.
pub fn missed(result: &Measured) -> usize {
    let of_all = result.at_most.is_some_and(|most| result.ours > most);
    let of_peers = result.peers.iter().filter(|peer| !peer.ratio.is_met());
    usize::from(of_all) + of_peers.count()
}

/// What was measured before, with what was measured now in its place.
pub fn merged(before: Speed, mut now: Speed) -> Speed {
    for old in before.measurements {
        if now.measurements.iter().all(|new| new.name != old.name) {
            now.measurements.push(old);
        }
    }
    now.versions.extend(before.versions);
    now.versions.sort();
    now.versions.dedup();
    now
}
