//! Bars and strips of characters. Pure; knows nothing of components.

/// From nothing to all, in eighths of a cell.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const FULL: char = '█';
const EMPTY: char = '·';

/// How much of a whole is used, `width` cells wide, with letters at marks. A mark hides what lies below it. Anything of something is at least one cell.
pub(super) fn bar(
    used: Option<u64>,
    whole: u64,
    width: usize,
    marks: &[(Option<u64>, char)],
) -> String {
    let cells = |part: u64| {
        let cells = u128::from(part.min(whole)) * to_wide(width) / u128::from(whole.max(1));
        usize::try_from(cells).unwrap_or(width)
    };
    let filled = used.map_or(0, |used| cells(used).max(usize::from(used > 0)));
    let mut text: Vec<char> =
        (0..width).map(|cell| if cell < filled { FULL } else { EMPTY }).collect();
    for (at, letter) in marks {
        let Some(at) = at.filter(|at| *at > 0 && *at <= whole) else { continue };
        if let Some(cell) = text.get_mut(cells(at).saturating_sub(1)) {
            *cell = *letter;
        }
    }
    text.into_iter().collect()
}

/// Parts in millionths over time, one cell each, the newest last; unknown ones are gaps. As many of the last as there are cells, on the right.
pub(super) fn strip(parts: &[Option<u32>], width: usize) -> String {
    let shown = parts.get(parts.len().saturating_sub(width)..).unwrap_or_default();
    let cell = |part: &Option<u32>| match part {
        None => ' ',
        Some(part) => {
            // By the square root, since a tenth of the time is felt already: the lowest step whose square reaches it, 64 of which are the whole.
            let height = (0..8).find(|step| step * step * 15_625 >= *part).unwrap_or(8);
            let height = usize::try_from(height).unwrap_or(8);
            EIGHTHS.get(height).copied().unwrap_or(' ')
        }
    };
    let text: String = shown.iter().map(cell).collect();
    format!("{text:>width$}")
}

fn to_wide(width: usize) -> u128 {
    u128::try_from(width).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_wide_as_they_should_be_and_marks_lie_where_they_belong() {
        assert_eq!(bar(Some(50), 100, 10, &[]), "█████·····");
        assert_eq!(bar(Some(1), 1000, 10, &[]), "█·········", "something is not nothing");
        assert_eq!(bar(Some(0), 100, 10, &[]), "··········");
        assert_eq!(bar(None, 100, 10, &[]), "··········");
        assert_eq!(bar(Some(500), 100, 4, &[]), "████", "more than all");
        let marks = [(Some(20), 'l'), (Some(90), 'h'), (None, 'x'), (Some(200), 'y')];
        assert_eq!(bar(Some(50), 100, 10, &marks), "█l███···h·");
        assert_eq!(bar(Some(5), 0, 3, &[]), "█··", "of nothing");
        assert_eq!(bar(Some(5), 10, 0, &[(Some(3), 'l')]), "");
    }

    #[test]
    fn strips_end_with_now() {
        let parts = [Some(0), Some(10_000), None, Some(250_000), Some(1_000_000)];
        assert_eq!(strip(&parts, 5), " ▁ ▄█");
        assert_eq!(strip(&parts, 2), "▄█");
        assert_eq!(strip(&parts, 8), "    ▁ ▄█");
        assert_eq!(strip(&[], 3), "   ");
        assert_eq!(strip(&[Some(u32::MAX)], 1), "█");
    }
}
