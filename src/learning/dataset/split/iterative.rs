//! Parts that have as much of every label as they shall, where clips show several.
//!
//! Iterative stratification (Sechidis et al., "On the Stratification of Multi-Label Data", 2011) over units that stay
//! together: the rarest label is dealt out first, each of its units to the part that lacks it most.

/// Deals `units`, each with its clips and how many of them show each label `(label, clips)`, out to parts that shall
/// have these `shares` of everything. Returns each unit's part. Units come in random order.
pub(super) fn deal(units: &[(usize, &[(usize, f64)])], labels: usize, shares: &[f64]) -> Vec<usize> {
    let mut wanted_clips: Vec<f64> = {
        let clips: usize = units.iter().map(|(clips, _)| clips).sum();
        shares.iter().map(|share| share * clips as f64).collect()
    };
    let mut left = vec![0.0; labels];
    units.iter().flat_map(|(_, shown)| *shown).for_each(|&(label, n)| left[label] += n);
    // What each part still lacks of each label.
    let mut wanted: Vec<Vec<f64>> =
        shares.iter().map(|share| left.iter().map(|n| share * n).collect()).collect();
    let mut part_of = vec![None; units.len()];
    let mut give = |unit: usize, label: Option<usize>, left: &mut [f64]| {
        let (clips, shown) = units[unit];
        let lacks = |part: &usize| (label.map_or(0.0, |label| wanted[*part][label]), wanted_clips[*part]);
        let order = |a: &usize, b: &usize| {
            let (a, b) = (lacks(a), lacks(b));
            a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        // The first of those that lack it as much.
        let part = (0..shares.len()).rev().max_by(order).unwrap_or(0);
        wanted_clips[part] -= clips as f64;
        for &(label, n) in shown {
            wanted[part][label] -= n;
            left[label] -= n;
        }
        part
    };
    loop {
        let rarest =
            (0..labels).filter(|&label| left[label] > 0.0).min_by(|&a, &b| left[a].total_cmp(&left[b]));
        let Some(rarest) = rarest else { break };
        for unit in 0..units.len() {
            if part_of[unit].is_none() && units[unit].1.iter().any(|(label, _)| *label == rarest) {
                part_of[unit] = Some(give(unit, Some(rarest), &mut left));
            }
        }
    }
    // Those that show nothing.
    (0..units.len()).map(|unit| part_of[unit].unwrap_or_else(|| give(unit, None, &mut left))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_labels_come_to_every_part_and_all_parts_have_their_share() {
        // 30 units of 2 clips: label 0 in all, 1 in every third, 2 in three of them, 3 never; 6 that show nothing.
        let shown: Vec<Vec<(usize, f64)>> = (0..30)
            .map(|i| {
                let has = [i < 24, i % 3 == 0 && i < 24, i % 8 == 0 && i < 24];
                (0..3).filter(|label| has[*label]).map(|label| (label, 2.0)).collect()
            })
            .collect();
        let units: Vec<(usize, &[(usize, f64)])> = shown.iter().map(|shown| (2, shown.as_slice())).collect();
        let parts = deal(&units, 4, &[1.0 / 3.0, 2.0 / 3.0]);
        let count = |part: usize, has: &dyn Fn(usize) -> bool| {
            (0..30).filter(|&unit| parts[unit] == part && has(unit)).count()
        };
        let with = |label: usize| {
            move |unit: usize| unit < 24 && [1, 3, 8][label] != 0 && unit.is_multiple_of([1, 3, 8][label])
        };
        assert_eq!([count(0, &with(2)), count(1, &with(2))], [1, 2]);
        assert_eq!(count(0, &with(0)), 8);
        let third = count(0, &with(1));
        assert!((2..=3).contains(&third), "{third}");
        assert_eq!(count(0, &|unit| unit >= 24), 2, "those that show nothing are shared out, too");
    }
}
