//! A box blur: for pictures out of focus, and for maps without speckles.

/// Each value of `plane` `[size, size]` becomes the mean of those up to `radius` away, across and then down.
pub(super) fn blur(plane: &mut [f32], size: usize, radius: usize) {
    let mean = |line: &[f32], i: usize| {
        let near = &line[i.saturating_sub(radius)..(i + radius + 1).min(size)];
        near.iter().sum::<f32>() / near.len() as f32
    };
    for row in plane.chunks_exact_mut(size) {
        let line = row.to_vec();
        row.iter_mut().enumerate().for_each(|(x, out)| *out = mean(&line, x));
    }
    for x in 0..size {
        let line: Vec<f32> = (0..size).map(|y| plane[y * size + x]).collect();
        (0..size).for_each(|y| plane[y * size + x] = mean(&line, y));
    }
}
