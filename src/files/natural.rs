//! Natural order: digits compare as numbers, so `clip2` comes before `clip10`.

use std::cmp::Ordering;

/// Compares by runs of digits and single other bytes; equal numbers by their digits (`01` < `1`).
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    while let (Some(p), Some(q)) = (x.first(), y.first()) {
        let order = if p.is_ascii_digit() && q.is_ascii_digit() {
            let (m, n) = (number(&mut x), number(&mut y));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (x, y) = (&x[1..], &y[1..]);
            p.cmp(q)
        };
        if order.is_ne() {
            return order;
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// Takes the leading run of digits off `text` and returns it without leading zeros.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|c| **c == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_compare_as_numbers() {
        let mut names = ["10", "b2", "2", "b10", "01", "1", "a"];
        names.sort_by(|a, b| super::compare(a, b));
        assert_eq!(names, ["01", "1", "2", "10", "a", "b2", "b10"]);
    }
}
