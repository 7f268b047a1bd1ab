//! Dividing an amount among claimants: weighted max-min with guarantees, in exact integers.
//!
//! **Problem.** An amount (thousandths of a core, pages, bytes per second) is to be divided among components that each have a
//! guaranteed floor, a ceiling, a want and a weight, so that nobody gets less than its floor while the floors fit, nobody gets more
//! than it wants or may have, nothing wanted is left over, and what is short is short by weight.
//!
//! **Approach.** Floors first; the rest by water-filling: pour to all in proportion to weight until somebody is full, take it out,
//! go on. Sorted by "how soon full" (need over weight) this is one pass.
//!
//! **Terms.** *floor*: guaranteed part. *want*: what it would use. *max*: ceiling. *need*: what it still lacks of its want after its
//! floor. *tier*: all components of one priority.
//!
//! **Algorithm.** `fill` is the water-filling of one amount; `allocate` serves floors (tier by tier where they do not fit), then fills,
//! in strict mode tier by tier. Rounding: each gets the floor of its exact share; the units left go one by one to those that still
//! need, heaviest first, then by order of claim.
//!
//! **Properties**, each a property test below: the sum never exceeds the amount; floors hold when they fit; nobody exceeds
//! `max(floor, min(want, max))`; nothing is left while somebody needs; a permutation of the claims permutes the result; more weight
//! never means less (within one unit of rounding); more to divide never means less for anybody (within one unit).

use crate::model::Priority;

/// One claim on the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Whose tier it is in.
    pub priority: Priority,
    /// Share among those that still need; zero counts as one.
    pub weight: u64,
    /// Guaranteed part.
    pub floor: u64,
    /// What it would use.
    pub want: u64,
    /// Ceiling.
    pub max: u64,
}

/// What happens when not everybody can have what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everybody gets by weight.
    Weighted,
    /// A tier gets nothing beyond its floors before the tier above has all it wants.
    Strict,
}

/// Divides `amount` among `claims`; the result is in the order of the claims.
#[must_use]
pub fn allocate(amount: u64, claims: &[Claim], mode: Mode) -> Vec<u64> {
    let floors: Vec<u64> = claims.iter().map(|claim| claim.floor.min(claim.max)).collect();
    let floor_sum: u128 = floors.iter().copied().map(u128::from).sum();
    if floor_sum > u128::from(amount) {
        return floors_by_tier(amount, claims, &floors);
    }
    let mut given = floors;
    let mut rest = amount.saturating_sub(given.iter().sum());
    let tiers: &[&[Priority]] = match mode {
        Mode::Weighted => &[&Priority::ALL],
        Mode::Strict => {
            &[&[Priority::Critical], &[Priority::High], &[Priority::Normal], &[Priority::Low]]
        }
    };
    for tier in tiers {
        let needs: Vec<Need> = claims
            .iter()
            .zip(&given)
            .map(|(claim, &has)| {
                let in_tier = tier.contains(&claim.priority);
                let amount = claim.want.min(claim.max).saturating_sub(has);
                Need { amount: if in_tier { amount } else { 0 }, weight: claim.weight.max(1) }
            })
            .collect();
        for (has, more) in given.iter_mut().zip(fill(rest, &needs)) {
            *has += more;
            rest -= more;
        }
    }
    given
}

/// Divides all of `amount`: what nobody wants goes to all by weight, up to each one's ceiling.
#[must_use]
pub fn divide_all(amount: u64, claims: &[Claim]) -> Vec<u64> {
    let mut given = allocate(amount, claims, Mode::Weighted);
    let left = amount.saturating_sub(given.iter().sum());
    let rest: Vec<Claim> = claims
        .iter()
        .zip(&given)
        .map(|(claim, had)| {
            let room = claim.max.saturating_sub(*had);
            Claim { floor: 0, want: room, max: room, ..*claim }
        })
        .collect();
    for (has, more) in given.iter_mut().zip(allocate(left, &rest, Mode::Weighted)) {
        *has += more;
    }
    given
}

/// When even the floors do not fit (a CPU was unplugged, memory was taken back): tier by tier from the top, and inside the tier that
/// does not fit in proportion to the floors.
fn floors_by_tier(amount: u64, claims: &[Claim], floors: &[u64]) -> Vec<u64> {
    let mut given = vec![0; claims.len()];
    let mut rest = amount;
    for tier in Priority::ALL.into_iter().rev() {
        let needs: Vec<Need> = claims
            .iter()
            .zip(floors)
            .map(|(claim, &floor)| {
                let amount = if claim.priority == tier { floor } else { 0 };
                Need { amount, weight: floor.max(1) }
            })
            .collect();
        for (has, more) in given.iter_mut().zip(fill(rest, &needs)) {
            *has += more;
            rest -= more;
        }
    }
    given
}

/// What one claimant still lacks.
#[derive(Debug, Clone, Copy)]
struct Need {
    amount: u64,
    weight: u64,
}

/// Pours `amount` over `needs` by weight; each gets at most its need, and all is poured while anybody needs.
fn fill(amount: u64, needs: &[Need]) -> Vec<u64> {
    let mut poured = vec![0; needs.len()];
    let mut open: Vec<(usize, Need)> =
        needs.iter().copied().enumerate().filter(|(_, need)| need.amount > 0).collect();
    // need_a / weight_a <= need_b / weight_b, without division
    let fullness = |need: &Need, other: &Need| u128::from(need.amount) * u128::from(other.weight);
    open.sort_by(|(a_at, a), (b_at, b)| fullness(a, b).cmp(&fullness(b, a)).then(a_at.cmp(b_at)));
    let mut rest = u128::from(amount);
    let mut weights: u128 = open.iter().map(|(_, need)| u128::from(need.weight)).sum();
    let mut first_short = open.len();
    for (position, (at, need)) in open.iter().enumerate() {
        if u128::from(need.amount) * weights > rest * u128::from(need.weight) {
            first_short = position;
            break;
        }
        give(&mut poured, *at, need.amount);
        rest -= u128::from(need.amount);
        weights -= u128::from(need.weight);
    }
    let short = open.get(first_short..).unwrap_or_default();
    pour_short(&mut poured, short, rest, weights);
    poured
}

/// Divides what is left among those that cannot have all they need.
fn pour_short(poured: &mut [u64], short: &[(usize, Need)], rest: u128, weights: u128) {
    let mut left = rest;
    for (at, need) in short {
        let share = rest * u128::from(need.weight) / weights.max(1);
        let share = u64::try_from(share).unwrap_or(u64::MAX).min(need.amount);
        give(poured, *at, share);
        left = left.saturating_sub(u128::from(share));
    }
    let mut by_weight: Vec<&(usize, Need)> = short.iter().collect();
    by_weight.sort_by(|(a_at, a), (b_at, b)| b.weight.cmp(&a.weight).then(a_at.cmp(b_at)));
    // Fewer units are left than there are claimants, so one round is enough unless a need is already met.
    for (at, need) in by_weight {
        if left == 0 {
            break;
        }
        let has = poured.get(*at).copied().unwrap_or_default();
        if has < need.amount {
            give(poured, *at, 1);
            left -= 1;
        }
    }
}

fn give(poured: &mut [u64], at: usize, amount: u64) {
    if let Some(has) = poured.get_mut(at) {
        *has += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(priority: Priority, floor: u64, want: u64) -> Claim {
        Claim { priority, weight: priority.share(), floor, want, max: u64::MAX }
    }

    #[test]
    fn divides_by_weight_when_everybody_wants_everything() {
        let claims = [
            Claim { weight: 10, ..claim(Priority::Normal, 0, 2000) },
            Claim { weight: 1, ..claim(Priority::Normal, 0, 2000) },
        ];
        assert_eq!(allocate(1100, &claims, Mode::Weighted), [1000, 100]);
    }

    #[test]
    fn a_small_want_leaves_its_rest_to_the_others() {
        let claims = [claim(Priority::Critical, 0, 50), claim(Priority::Low, 0, 1000)];
        assert_eq!(allocate(1000, &claims, Mode::Weighted), [50, 950]);
    }

    #[test]
    fn strict_serves_the_upper_tier_first() {
        let claims = [claim(Priority::Low, 100, 1000), claim(Priority::High, 0, 1000)];
        assert_eq!(allocate(1000, &claims, Mode::Strict), [100, 900]);
    }

    #[test]
    fn floors_that_do_not_fit_are_served_from_the_top() {
        let claims = [
            claim(Priority::Low, 500, 500),
            claim(Priority::Critical, 600, 600),
            claim(Priority::Normal, 300, 300),
            claim(Priority::Normal, 300, 300),
        ];
        assert_eq!(allocate(1000, &claims, Mode::Weighted), [0, 600, 200, 200]);
    }

    fn any_claim() -> impl Strategy<Value = Claim> {
        (0usize..4, 1u64..2000, 0u64..3000, 0u64..8000, 0u64..8000).prop_map(
            |(tier, weight, floor, want, max)| Claim {
                priority: Priority::ALL[tier],
                weight,
                floor,
                want,
                max,
            },
        )
    }

    fn any_case() -> impl Strategy<Value = (u64, Vec<Claim>, Mode)> {
        let mode = prop_oneof![Just(Mode::Weighted), Just(Mode::Strict)];
        (0u64..20_000, proptest::collection::vec(any_claim(), 0..8), mode)
    }

    fn cap(claim: &Claim) -> u64 {
        claim.floor.min(claim.max).max(claim.want.min(claim.max))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn the_sum_stays_within_the_amount_and_nothing_wanted_is_left((amount, claims, mode) in any_case()) {
            let given = allocate(amount, &claims, mode);
            let wanted: u64 = claims.iter().map(cap).sum();
            prop_assert_eq!(given.iter().sum::<u64>(), amount.min(wanted));
        }

        #[test]
        fn floors_hold_when_they_fit_and_caps_always((amount, claims, mode) in any_case()) {
            let given = allocate(amount, &claims, mode);
            let floors: u64 = claims.iter().map(|claim| claim.floor.min(claim.max)).sum();
            for (claim, given) in claims.iter().zip(given) {
                prop_assert!(given <= cap(claim));
                if floors <= amount {
                    prop_assert!(given >= claim.floor.min(claim.max));
                }
            }
        }

        #[test]
        fn a_reversal_of_the_claims_reverses_the_result((amount, claims, mode) in any_case()) {
            let forward = allocate(amount, &claims, mode);
            let reversed: Vec<Claim> = claims.iter().rev().copied().collect();
            let mut backward = allocate(amount, &reversed, mode);
            backward.reverse();
            for (a, b) in forward.iter().zip(&backward) {
                // Claims that are equal in all respects may swap the last unit.
                prop_assert!(a.abs_diff(*b) <= 1, "{:?} {:?}", forward, backward);
            }
        }

        #[test]
        fn more_weight_never_means_less((amount, claims, mode) in any_case(), extra in 1u64..1000) {
            prop_assume!(!claims.is_empty());
            let before = allocate(amount, &claims, mode);
            let mut heavier = claims.clone();
            heavier[0].weight += extra;
            let after = allocate(amount, &heavier, mode);
            prop_assert!(after[0] + 1 >= before[0]);
        }

        #[test]
        fn more_to_divide_never_means_less((amount, claims, mode) in any_case(), extra in 1u64..1000) {
            let floors: u64 = claims.iter().map(|claim| claim.floor.min(claim.max)).sum();
            let before = allocate(floors + amount, &claims, mode);
            let after = allocate(floors + amount + extra, &claims, mode);
            for (before, after) in before.iter().zip(after) {
                prop_assert!(after + 1 >= *before);
            }
        }

        #[test]
        fn a_strict_lower_tier_waits((amount, claims) in any_case().prop_map(|(a, c, _)| (a, c))) {
            let given = allocate(amount, &claims, Mode::Strict);
            for (low, low_given) in claims.iter().zip(&given) {
                let got_more_than_its_floor = *low_given > low.floor.min(low.max);
                for (high, high_given) in claims.iter().zip(&given) {
                    if got_more_than_its_floor && high.priority > low.priority {
                        prop_assert_eq!(*high_given, cap(high));
                    }
                }
            }
        }
    }
}
