//! `--shard I/N`: a share of the inputs for each of N machines.

use std::path::Path;
use std::str::FromStr;

/// One of `count` shares. Which share a clip is in depends on its path alone, so that files that
/// come or go move no other clip to another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// Whether the clip at `path` (as the run names it) is in this share.
    pub(crate) fn takes(self, path: &Path) -> bool {
        let hash = blake3::hash(path.as_os_str().as_encoded_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) % self.count == self.index % self.count
    }
}

/// `I/N`. Array jobs count from 0 or from 1: share N is share 0, so that both cover everything.
impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (index, count) = text.split_once('/')?;
            Some(Self { index: index.parse().ok()?, count: count.parse().ok()? })
        };
        match parse() {
            Some(shard) if shard.count > 0 && shard.index <= shard.count => Ok(shard),
            _ => Err("write I/N, as 1/4 to 4/4 (or 0/4 to 3/4) for four machines".into()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clip_is_in_exactly_one_share_counted_from_0_or_1() {
        for range in [0..4, 1..5] {
            let shards: Vec<Shard> = range.map(|i| format!("{i}/4").parse().unwrap()).collect();
            let mut sizes = [0; 4];
            for clip in 0..1000 {
                let path = format!("clips/{clip}.mp4");
                let takers: Vec<_> = (0..4).filter(|i| shards[*i].takes(path.as_ref())).collect();
                assert_eq!(takers.len(), 1, "{path}");
                sizes[takers[0]] += 1;
            }
            assert!(sizes.iter().all(|n| (180..320).contains(n)), "{sizes:?}");
        }
    }

    #[test]
    fn the_share_of_a_path_never_changes() {
        let share = (0..7).find(|i| format!("{i}/7").parse::<Shard>().unwrap().takes("a/b.mp4".as_ref()));
        assert_eq!(share, Some(SHARE_OF_A_B));
    }

    /// Recorded once: half-finished array jobs must agree with later versions.
    const SHARE_OF_A_B: u64 = 4;

    #[test]
    fn impossible_shares_are_refused() {
        for text in ["", "1", "5/4", "0/0", "-1/3", "a/b", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
