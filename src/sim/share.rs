//! Dividing an amount down the tree of groups, level by level, as the kernel's schedulers do.
//!
//! **Problem.** CPU time and disk time are divided among siblings by weight, then again among the children of each, and what one
//! does not use flows to the others at once.
//!
//! **Approach.** Needs are added up the tree, cut at each group's own cap; then the amount is poured down, at each level by
//! water-filling.
//!
//! **Terms.** *need*: what a group would use. *cap*: the most that its own limit leaves it now. *given*: what it gets.
//!
//! **Algorithm.** Siblings are sorted by need over weight; one after the other gets the lesser of its need and its part by weight
//! of what is left. So whoever is full leaves its rest to those after it, and the last takes what rounding left.
//!
//! **Properties.** The sum given is the lesser of the amount and the sum of needs; nobody gets more than need or cap; two that are
//! both short get by weight, within one unit. Written apart from `decide::fair`, so that a fault there shows here.

/// What one group wants of the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Want {
    /// What it would use; for a group with children the sum of theirs.
    pub(super) need: u64,
    /// The most that its own limit leaves.
    pub(super) cap: u64,
    /// Its weight among its siblings, 1 to 10000.
    pub(super) weight: u64,
    /// What it would use if it had no cap itself.
    pub(super) uncapped: u64,
    /// What it gets.
    pub(super) given: u64,
}

/// Who is below whom. Group 0 is the root; every group comes after its parent.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    parents: Vec<usize>,
    children: Vec<Vec<usize>>,
}

impl Tree {
    /// The tree of these parents, by number; the root is its own.
    pub(super) fn new(parents: Vec<usize>) -> Self {
        let mut children = vec![Vec::new(); parents.len()];
        for (child, parent) in parents.iter().enumerate().skip(1) {
            if let Some(siblings) = children.get_mut(*parent) {
                siblings.push(child);
            }
        }
        Self { parents, children }
    }

    /// The number of the group above; the root's is its own.
    pub(super) fn parent(&self, group: usize) -> usize {
        self.parents.get(group).copied().unwrap_or_default()
    }

    /// The groups right below.
    pub(super) fn children(&self, group: usize) -> &[usize] {
        self.children.get(group).map(Vec::as_slice).unwrap_or_default()
    }

    /// The group and those above it, up to the root.
    pub(super) fn upward(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        let above = |group: &usize| (*group != 0).then(|| self.parent(*group));
        std::iter::successors(Some(group), above)
    }

    /// Divides `amount`. The needs of the leaves are set, those of all others zero.
    pub(super) fn divide(&self, amount: u64, wants: &mut [Want]) {
        for group in (0..wants.len()).rev() {
            let Some(want) = wants.get_mut(group) else { continue };
            want.given = 0;
            want.uncapped = want.need;
            want.need = want.need.min(want.cap);
            let need = want.need;
            if group != 0
                && let Some(above) = wants.get_mut(self.parent(group))
            {
                above.need += need;
            }
        }
        if let Some(root) = wants.first_mut() {
            root.given = root.need.min(amount);
        }
        let mut order = Vec::new();
        for group in 0..wants.len() {
            let children = self.children(group);
            if let Some(want) = wants.get(group)
                && !children.is_empty()
            {
                pour(want.given, children, wants, &mut order);
            }
        }
    }
}

/// Divides `amount` among siblings. `order` is kept by the caller to spare allocations.
fn pour(amount: u64, siblings: &[usize], wants: &mut [Want], order: &mut Vec<(u64, u64, usize)>) {
    let need_of = |wants: &[Want], group: usize| wants.get(group).map_or(0, |want| want.need);
    let wanted: u64 = siblings.iter().map(|group| need_of(wants, *group)).sum();
    if wanted <= amount {
        for group in siblings {
            if let Some(want) = wants.get_mut(*group) {
                want.given = want.need;
            }
        }
        return;
    }
    order.clear();
    let open = siblings.iter().filter_map(|group| {
        let want = wants.get(*group)?;
        (want.need > 0).then_some((want.need, want.weight.max(1), *group))
    });
    order.extend(open);
    order.sort_unstable_by(|one, other| {
        // need / weight without division
        let (left, right) = (one.0.saturating_mul(other.1), other.0.saturating_mul(one.1));
        left.cmp(&right).then(one.2.cmp(&other.2))
    });
    let mut rest = amount;
    let mut weights: u64 = order.iter().map(|(_, weight, _)| weight).sum();
    for (need, weight, group) in order {
        let part = scaled(rest, *weight, weights).min(*need);
        rest -= part;
        weights -= *weight;
        if let Some(want) = wants.get_mut(*group) {
            want.given = part;
        }
    }
}

/// `amount * numerator / denominator`, rounded down; a denominator of zero counts as one.
pub(super) fn scaled(amount: u64, numerator: u64, denominator: u64) -> u64 {
    if let Some(product) = amount.checked_mul(numerator) {
        return product / denominator.max(1);
    }
    let scaled = u128::from(amount) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn want(need: u64, weight: u64) -> Want {
        Want { need, weight, cap: u64::MAX, ..Want::default() }
    }

    fn flat(amount: u64, leaves: &[Want]) -> Vec<u64> {
        let tree = Tree::new(vec![0; leaves.len() + 1]);
        let mut wants = vec![want(0, 1)];
        wants.extend_from_slice(leaves);
        tree.divide(amount, &mut wants);
        wants.iter().skip(1).map(|want| want.given).collect()
    }

    #[test]
    fn ten_to_one_gives_ten_to_one() {
        assert_eq!(flat(1100, &[want(5000, 100), want(5000, 10)]), [1000, 100]);
    }

    #[test]
    fn what_one_leaves_flows_to_the_other() {
        assert_eq!(flat(1000, &[want(100, 10_000), want(5000, 1)]), [100, 900]);
    }

    #[test]
    fn a_cap_holds_below_it() {
        // root, slice (cap 300) with two leaves, one leaf beside
        let tree = Tree::new(vec![0, 0, 1, 1, 0]);
        let slice = Want { cap: 300, ..want(0, 100) };
        let mut wants = [want(0, 1), slice, want(400, 100), want(400, 100), want(900, 100)];
        tree.divide(1000, &mut wants);
        let given: Vec<u64> = wants.iter().map(|want| want.given).collect();
        assert_eq!(given, [1000, 300, 150, 150, 700]);
    }

    proptest! {
        #[test]
        fn everything_is_given_and_nobody_gets_more_than_need_or_cap(
            amount in 0u64..1_000_000,
            leaves in proptest::collection::vec((0u64..400_000, 1u64..10_000, 0u64..500_000), 1..20),
        ) {
            let leaves: Vec<Want> = leaves
                .into_iter()
                .map(|(need, weight, cap)| Want { cap, ..want(need, weight) })
                .collect();
            let given = flat(amount, &leaves);
            let needs: u64 = leaves.iter().map(|want| want.need.min(want.cap)).sum();
            prop_assert_eq!(given.iter().sum::<u64>(), amount.min(needs));
            for (given, want) in given.iter().zip(&leaves) {
                prop_assert!(*given <= want.need.min(want.cap));
            }
        }

        #[test]
        fn all_that_are_short_get_by_weight(
            amount in 1000u64..1_000_000,
            leaves in proptest::collection::vec((0u64..400_000, 1u64..10_000), 2..20),
        ) {
            let leaves: Vec<Want> =
                leaves.into_iter().map(|(need, weight)| want(need, weight)).collect();
            let given = flat(amount, &leaves);
            let short: Vec<(u64, u64)> = given
                .into_iter()
                .zip(&leaves)
                .filter(|(given, want)| *given < want.need)
                .map(|(given, want)| (given, want.weight))
                .collect();
            for (one, weight) in &short {
                for (other, others_weight) in &short {
                    // Within what rounding may leave of each for those after it.
                    let slack = (weight + others_weight) * leaves.len() as u64;
                    prop_assert!((one * others_weight).abs_diff(other * weight) <= slack, "{short:?}");
                }
            }
        }
    }
}
