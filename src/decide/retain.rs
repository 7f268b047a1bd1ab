//! Which files of a folder go.
//!
//! **Problem.** Logs and dumps fill a file system. What is to go is said by age, by size or by number; what somebody still writes must stay,
//! and a rule must never empty a folder.
//!
//! **Approach.** The oldest first, until every bound that is set holds. The newest stays whatever the rule says: it is the one that is being
//! written, and with it a clock that leapt ahead costs no more than the older ones.
//!
//! **Terms.** *old*: not changed for longer than the rule allows.
//!
//! **Algorithm.** By the time of the last change, then by place. A file goes when it is old, or when it and all that are newer are too many or
//! too large. The first that stays ends it: those after it are newer, and what is left has only become less.
//!
//! **Properties**, each a test below: the newest stays; nothing goes without a bound; what stays keeps to every bound, but for the newest;
//! nothing newer goes than anything that stays; what goes does not depend on the order in which files were found, but among equals.

use crate::model::{Moment, Retention, Stored};
use crate::units::Bytes;

/// The places in `files` of those that go, the oldest first.
#[must_use]
pub fn doomed(rule: &Retention, files: &[Stored], now: Moment) -> Vec<usize> {
    let mut order: Vec<(usize, &Stored)> = files.iter().enumerate().collect();
    order.sort_by_key(|(place, file)| (file.changed, *place));
    let (mut count, mut size) = (as_count(files.len()), Bytes::ZERO);
    files.iter().for_each(|file| size = size.plus(file.size));
    let older = order.len().saturating_sub(1);
    let mut gone = Vec::new();
    for (place, file) in order.into_iter().take(older) {
        let is_old = rule.older_than.is_some_and(|age| age_of(file, now) > age.0 / 1_000_000);
        let are_many = rule.keep_count.is_some_and(|most| count > most);
        let are_large = rule.keep_size.is_some_and(|most| size > most);
        if !(is_old || are_many || are_large) {
            break;
        }
        gone.push(place);
        (count, size) = (count - 1, size.minus(file.size));
    }
    gone
}

/// In seconds; one of the future has none.
const fn age_of(file: &Stored, now: Moment) -> u64 {
    now.0.saturating_sub(file.changed.0)
}

fn as_count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;
    use proptest::prelude::*;

    const NOW: Moment = Moment(1_000_000);

    fn stored(age: u64, mebibytes: u64) -> Stored {
        Stored { size: Bytes::mebi(mebibytes), changed: Moment(NOW.0 - age) }
    }

    const NONE: Retention = Retention { older_than: None, keep_size: None, keep_count: None };

    #[test]
    fn the_old_go_and_the_newest_stays() {
        let files = [stored(10, 1), stored(500, 1), stored(200, 1), stored(101, 1)];
        let rule = Retention { older_than: Some(Span::secs(100)), ..NONE };
        assert_eq!(doomed(&rule, &files, NOW), [1, 2, 3], "the oldest first");
        assert_eq!(doomed(&rule, &files[1..2], NOW), [0_usize; 0], "the only one stays");
        let far = Moment(u64::MAX);
        assert_eq!(doomed(&rule, &files, far), [1, 2, 3], "whatever the clock says");
        assert_eq!(doomed(&rule, &files, Moment(0)), [0_usize; 0], "of the future");
    }

    #[test]
    fn the_oldest_go_until_number_and_size_fit() {
        let files = [stored(1, 5), stored(2, 5), stored(3, 5), stored(4, 5)];
        let count = Retention { keep_count: Some(3), ..NONE };
        assert_eq!(doomed(&count, &files, NOW), [3]);
        let size = Retention { keep_size: Some(Bytes::mebi(12)), ..NONE };
        assert_eq!(doomed(&size, &files, NOW), [3, 2]);
        let both = Retention { keep_count: Some(1), ..size };
        assert_eq!(doomed(&both, &files, NOW), [3, 2, 1]);
        let nothing = Retention { keep_size: Some(Bytes::ZERO), ..NONE };
        assert_eq!(doomed(&nothing, &files, NOW), [3, 2, 1], "a rule empties no folder");
        assert_eq!(doomed(&NONE, &files, NOW), [0_usize; 0]);
    }

    fn any_rule() -> impl Strategy<Value = Retention> {
        let age = proptest::option::of((0_u64..2_000).prop_map(Span::secs));
        let size = proptest::option::of((0_u64..60).prop_map(Bytes::mebi));
        (age, size, proptest::option::of(0_u64..12)).prop_map(
            |(older_than, keep_size, keep_count)| Retention { older_than, keep_size, keep_count },
        )
    }

    proptest! {
        #[test]
        fn what_stays_keeps_to_the_rule_and_is_newer(
            rule in any_rule(),
            files in proptest::collection::vec((0_u64..3_000, 0_u64..20), 0..12),
        ) {
            let files: Vec<Stored> = files.into_iter().map(|(age, size)| stored(age, size)).collect();
            let gone = doomed(&rule, &files, NOW);
            let stays: Vec<&Stored> =
                files.iter().enumerate().filter(|(place, _)| !gone.contains(place)).map(|(_, file)| file).collect();
            prop_assert!(files.is_empty() || !stays.is_empty());
            let newest_gone = gone.iter().map(|place| files[*place].changed).max();
            prop_assert!(stays.iter().all(|file| newest_gone.is_none_or(|gone| file.changed >= gone)));
            if stays.len() > 1 {
                let size = stays.iter().fold(Bytes::ZERO, |all, file| all.plus(file.size));
                prop_assert!(rule.keep_size.is_none_or(|most| size <= most));
                prop_assert!(rule.keep_count.is_none_or(|most| as_count(stays.len()) <= most));
                let oldest = stays.iter().map(|file| age_of(file, NOW)).max().unwrap_or_default();
                prop_assert!(rule.older_than.is_none_or(|age| oldest <= age.0 / 1_000_000));
            }
            // Nobody goes for nothing: with the youngest of those that went, a bound would not hold.
            if let Some(last) = gone.last() {
                let file = &files[*last];
                let is_old = rule.older_than.is_some_and(|age| age_of(file, NOW) > age.0 / 1_000_000);
                let with = stays.iter().fold(file.size, |all, file| all.plus(file.size));
                let too_many = rule.keep_count.is_some_and(|most| as_count(stays.len()) + 1 > most);
                prop_assert!(is_old || too_many || rule.keep_size.is_some_and(|most| with > most));
            }
        }
    }
}
