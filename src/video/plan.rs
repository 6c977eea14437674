//! Which packets to decode for the wanted pictures.

use super::clock::MOST_DELAY;
use super::timeline::Listed;

/// A run of packets to decode without a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// First and last packet, in decoding order.
    pub first: usize,
    pub last: usize,
    /// The last wanted picture in it.
    pub until: i64,
}

/// Which of `packets` (in decoding order) to decode for the `wanted` pictures (ascending): from the
/// keyframe before each, joined where they touch.
pub(super) fn plan(packets: &[Listed], wanted: &[i64]) -> Vec<Segment> {
    let mut by_time: Vec<usize> = (0..packets.len()).filter(|i| packets[*i].shown).collect();
    by_time.sort_by_key(|i| packets[*i].time);
    let mut runs: Vec<Segment> = Vec::new();
    for stamp in wanted {
        let place = by_time.partition_point(|i| packets[*i].time < *stamp);
        let Some(&index) = by_time.get(place).filter(|i| packets[**i].time == *stamp) else { continue };
        // A picture that is shown before the keyframe it follows in the file needs the one before.
        let is_start = |i: &usize| packets[*i].key && packets[*i].time <= *stamp;
        let first = (0..=index).rev().find(is_start).unwrap_or(0);
        runs.push(Segment { first, last: index, until: *stamp });
    }
    runs.sort_by_key(|run| run.first);
    let mut joined: Vec<Segment> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(before) if run.first <= before.last + 1 => {
                before.last = before.last.max(run.last);
                before.until = before.until.max(run.until);
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// Whether packets and their keyframes come in order of time, so that one can be found by it.
pub(super) fn are_in_order(packets: &[Listed]) -> bool {
    let keys = packets.iter().filter(|packet| packet.key && !packet.empty);
    let decoded = packets.iter().filter_map(|packet| packet.decoded);
    keys.map(|packet| packet.time).is_sorted_by(|a, b| a < b) && decoded.is_sorted()
}

/// How many pictures at most come in the file before one that is shown earlier.
pub(super) fn reorder_depth(packets: &[Listed]) -> usize {
    // The latest times so far, few of which lie after a new one.
    let mut latest: Vec<i64> = Vec::new();
    let mut decoded_before = None;
    let mut depth = 0;
    for packet in packets.iter().filter(|packet| packet.time != i64::MIN) {
        // An edit list repeats pictures: the file's own order ends there.
        if packet.decoded < decoded_before {
            latest.clear();
        }
        decoded_before = packet.decoded;
        let place = latest.partition_point(|t| *t <= packet.time);
        depth = depth.max(latest.len() - place);
        latest.insert(place, packet.time);
        if latest.len() > MOST_DELAY {
            latest.remove(0);
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_only_the_groups_that_are_wanted() {
        // I P B B | I P B B | I P B B, in decoding order.
        let listed = |time, key| Listed { time, key, shown: true, ..Listed::default() };
        let packets: Vec<Listed> = (0..3)
            .flat_map(|g| [(g * 4, true), (g * 4 + 3, false), (g * 4 + 1, false), (g * 4 + 2, false)])
            .map(|(time, key)| listed(time, key))
            .collect();
        let segment = |first, last, until| Segment { first, last, until };
        assert_eq!(plan(&packets, &[1, 9]), [segment(0, 2, 1), segment(8, 10, 9)]);
        // Touching groups are decoded as one.
        assert_eq!(plan(&packets, &[3, 2, 4]), [segment(0, 4, 4)]);
        // Open group: the B at 3 comes after the I at 4 in the file, but needs the one before.
        let open = [listed(0, true), listed(4, true), listed(3, false)];
        assert_eq!(plan(&open, &[3]), [segment(0, 2, 3)]);
        // An edit list shows the second turn of what is there twice.
        let hidden = Listed { shown: false, ..listed(0, true) };
        assert_eq!(plan(&[hidden, listed(1, false), listed(0, true)], &[0]), [segment(2, 2, 0)]);
    }

    #[test]
    fn measures_how_far_pictures_are_out_of_order() {
        let packet = |decoded, time| Listed { decoded, time, ..Listed::default() };
        let depth =
            |times: &[i64]| reorder_depth(&times.iter().map(|t| packet(None, *t)).collect::<Vec<_>>());
        assert_eq!(depth(&[0, 1, 2, 3]), 0);
        assert_eq!(depth(&[0, 3, 1, 2, 4]), 1);
        assert_eq!(depth(&[0, 4, 2, 1, 3, 8, 6]), 2);
        let repeated = [(0, 0), (1, 2), (2, 1), (0, 0), (1, 2), (2, 1)];
        assert_eq!(reorder_depth(&repeated.map(|(decoded, time)| packet(Some(decoded), time))), 1);
    }
}
