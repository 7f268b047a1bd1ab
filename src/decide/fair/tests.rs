//! The laws of each division, as properties.

use super::*;
use proptest::prelude::*;

const DIVISIONS: [Division; 4] =
    [Division::Weighted, Division::Priority, Division::Fair, Division::Quota];

fn claim(priority: Priority, floor: u64, want: u64) -> Claim {
    Claim { priority, share_percent: 100, floor, want, max: u64::MAX }
}

#[test]
fn divides_by_weight_when_everybody_wants_everything() {
    let claims = [
        Claim { share_percent: 1000, ..claim(Priority::Normal, 0, 2000) },
        claim(Priority::Normal, 0, 2000),
    ];
    for division in DIVISIONS {
        assert_eq!(allocate(1100, &claims, division), [1000, 100], "{division:?}");
    }
}

#[test]
fn a_small_want_leaves_its_rest_to_the_others() {
    let claims = [claim(Priority::Critical, 0, 50), claim(Priority::Low, 0, 1000)];
    for division in DIVISIONS {
        assert_eq!(allocate(1000, &claims, division), [50, 950], "{division:?}");
    }
}

/// One host, everybody wants all of it: what tells the divisions apart.
#[test]
fn the_divisions_differ() {
    let claims = [claim(Priority::High, 0, 1000), claim(Priority::Normal, 500, 1000)];
    assert_eq!(allocate(1000, &claims, Division::Weighted), [400, 600], "500 by 4 to 1");
    assert_eq!(allocate(1000, &claims, Division::Priority), [500, 500], "500 for the upper tier");
    assert_eq!(allocate(1000, &claims, Division::Fair), [250, 750], "500 by halves");
    assert_eq!(allocate(1000, &claims, Division::Quota), [500, 500], "the guarantee is its share");
    let larger =
        allocate(4000, &claims.map(|claim| Claim { want: 4000, ..claim }), Division::Quota);
    assert_eq!(larger, [3200, 800], "the guarantee lies within its share");
}

#[test]
fn strict_tiers_serve_the_upper_first() {
    let claims = [claim(Priority::Low, 100, 1000), claim(Priority::High, 0, 1000)];
    assert_eq!(allocate(1000, &claims, Division::Priority), [100, 900]);
}

#[test]
fn as_weights_a_tier_is_worth_twenty_of_the_one_below() {
    let all = [Priority::Critical, Priority::High, Priority::Normal, Priority::Low];
    let claims = all.map(|priority| claim(priority, 0, 100_000));
    assert_eq!(entitle(84_210, &claims, Division::Priority), [80_000, 4000, 200, 10]);
    let content = [claim(Priority::Normal, 0, 990), claim(Priority::Low, 0, 1000)];
    assert_eq!(entitle(1000, &content, Division::Priority), [953, 47]);
    assert_eq!(entitle(100, &claims, Division::Fair), [25; 4]);
    assert_eq!(entitle(100, &[], Division::Priority), [0; 0]);
}

#[test]
fn floors_that_do_not_fit_are_served_from_the_top() {
    let claims = [
        claim(Priority::Low, 500, 500),
        claim(Priority::Critical, 600, 600),
        claim(Priority::Normal, 300, 300),
        claim(Priority::Normal, 300, 300),
    ];
    for division in DIVISIONS {
        assert_eq!(allocate(1000, &claims, division), [0, 600, 200, 200], "{division:?}");
    }
}

fn any_claim() -> impl Strategy<Value = Claim> {
    (0usize..4, 10u64..1000, 0u64..3000, 0u64..8000, 0u64..8000).prop_map(
        |(tier, share_percent, floor, want, max)| Claim {
            priority: Priority::ALL[tier],
            share_percent,
            floor,
            want,
            max,
        },
    )
}

/// Claims, and an amount for them.
fn any_claims() -> impl Strategy<Value = (u64, Vec<Claim>)> {
    (0u64..20_000, proptest::collection::vec(any_claim(), 1..8))
}

/// Every division of the amount, and of amounts at which something begins or ends: nobody gets anything, all floors just fit or just
/// do not, somebody lacks something for sure. 32 cases.
fn cases(amount: u64, claims: &[Claim]) -> impl Iterator<Item = (u64, Division, Way)> {
    let (floors, wanted) = (floors(claims), claims.iter().map(Claim::cap).sum::<u64>());
    let amounts = [amount, floors, floors.saturating_sub(1), (floors + wanted) / 2];
    amounts.into_iter().flat_map(|amount| {
        DIVISIONS
            .into_iter()
            .flat_map(move |division| WAYS.into_iter().map(move |way| (amount, division, way)))
    })
}

fn floors(claims: &[Claim]) -> u64 {
    claims.iter().map(Claim::floor).sum()
}

type Way = fn(u64, &[Claim], Division) -> Vec<u64>;

/// The two ways of dividing: what is given, and what may be counted on.
const WAYS: [Way; 2] = [allocate, entitle];

proptest! {
    // 32 cases each: 10^5 of every property.
    #![proptest_config(ProptestConfig::with_cases(3200))]

    #[test]
    fn the_sum_stays_within_the_amount_and_nothing_wanted_is_left((amount, claims) in any_claims()) {
        let wanted: u64 = claims.iter().map(Claim::cap).sum();
        for (amount, division, way) in cases(amount, &claims) {
            let given = way(amount, &claims, division);
            prop_assert_eq!(given.iter().sum::<u64>(), amount.min(wanted), "{:?}", division);
        }
    }

    #[test]
    fn floors_hold_when_they_fit_and_caps_always((amount, claims) in any_claims()) {
        let floors = floors(&claims);
        for (amount, division, way) in cases(amount, &claims) {
            for (claim, given) in claims.iter().zip(way(amount, &claims, division)) {
                prop_assert!(given <= claim.cap());
                prop_assert!(given >= claim.floor() || floors > amount, "{:?}", division);
            }
        }
    }

    #[test]
    fn a_permutation_of_the_claims_permutes_the_result(
        ((amount, claims), order) in any_claims().prop_flat_map(|case| {
            let order = Just((0..case.1.len()).collect::<Vec<usize>>()).prop_shuffle();
            (Just(case), order)
        }),
    ) {
        let shuffled: Vec<Claim> = order.iter().map(|&at| claims[at]).collect();
        for (amount, division, way) in cases(amount, &claims) {
            let before = way(amount, &claims, division);
            for (&at, given) in order.iter().zip(way(amount, &shuffled, division)) {
                // Claims that are equal in all respects may swap the last unit.
                prop_assert!(given.abs_diff(before[at]) <= 1, "{:?} {:?}", before, given);
            }
        }
    }

    #[test]
    fn a_greater_share_never_means_less((amount, claims) in any_claims(), extra in 1u64..1000) {
        let mut heavier = claims.clone();
        heavier[0].share_percent += extra;
        for (amount, division, way) in cases(amount, &claims) {
            let before = way(amount, &claims, division);
            let after = way(amount, &heavier, division);
            prop_assert!(after[0] + 1 >= before[0], "{:?} {:?}", before, after);
        }
    }

    #[test]
    fn a_higher_priority_never_means_less((amount, claims) in any_claims(), tier in 0usize..4) {
        let higher = Claim { priority: Priority::ALL[tier].max(claims[0].priority), ..claims[0] };
        let mut raised = claims.clone();
        raised[0] = higher;
        for (amount, division, way) in cases(amount, &claims) {
            let before = way(amount, &claims, division);
            let after = way(amount, &raised, division);
            prop_assert!(after[0] + 1 >= before[0], "{:?} {:?}", before, after);
            if division == Division::Fair && floors(&claims) <= amount {
                prop_assert_eq!(before, after);
            }
        }
    }

    #[test]
    fn more_to_divide_never_means_less((amount, claims) in any_claims(), extra in 1u64..1000) {
        let floors = floors(&claims);
        for (amount, division, way) in cases(amount, &claims) {
            let amount = amount.max(floors);
            let before = way(amount, &claims, division);
            let after = way(amount + extra, &claims, division);
            for (before, after) in before.iter().zip(after) {
                prop_assert!(after + 1 >= *before, "{:?}", division);
            }
        }
    }

    /// Of two that ask for the same with the same guarantee and share, the one of higher priority has no less.
    #[test]
    fn of_two_alike_the_higher_priority_has_no_less((amount, claims) in any_claims(), tiers in (0usize..4, 0usize..4)) {
        let [high, low] = [tiers.0.max(tiers.1), tiers.0.min(tiers.1)].map(|tier| Priority::ALL[tier]);
        let mut both = claims.clone();
        both.push(Claim { priority: low, ..claims[0] });
        both[0].priority = high;
        for (amount, division, way) in cases(amount, &both) {
            let given = way(amount, &both, division);
            prop_assert!(given[0] + 1 >= given[claims.len()], "{:?} {:?}", division, given);
        }
    }
}

proptest! {
    // Four amounts each: 10^5 of every property.
    #![proptest_config(ProptestConfig::with_cases(25_000))]

    #[test]
    fn a_strict_lower_tier_waits((amount, claims) in any_claims()) {
        for amount in [amount, amount / 2, floors(&claims), floors(&claims) + amount / 4] {
            let given = allocate(amount, &claims, Division::Priority);
            for (low, low_given) in claims.iter().zip(&given) {
                let got_more_than_its_floor = *low_given > low.floor();
                for (high, high_given) in claims.iter().zip(&given) {
                    if got_more_than_its_floor && high.priority > low.priority {
                        prop_assert_eq!(*high_given, high.cap());
                    }
                }
            }
        }
    }

    #[test]
    fn everybody_has_its_fixed_share_while_no_guarantee_exceeds_one((amount, claims) in any_claims()) {
        let weight = |claim: &Claim| u128::from(claim.by_priority_and_share());
        let weights: u128 = claims.iter().map(weight).sum();
        for amount in [amount, amount / 2, amount / 8, amount * 4] {
            let share = |claim: &Claim| u64::try_from(u128::from(amount) * weight(claim) / weights).unwrap();
            let within: Vec<Claim> =
                claims.iter().map(|claim| Claim { floor: claim.floor.min(share(claim)), ..*claim }).collect();
            for (claim, given) in within.iter().zip(allocate(amount, &within, Division::Quota)) {
                prop_assert!(given >= share(claim).min(claim.cap()));
            }
        }
    }

    #[test]
    fn fair_gives_nobody_more_of_what_floors_leave_than_one_who_lacks((amount, claims) in any_claims()) {
        let equal: Vec<Claim> =
            claims.iter().map(|claim| Claim { share_percent: 100, ..*claim }).collect();
        for amount in [amount, amount / 2, amount / 8, amount * 4] {
            let given = allocate(floors(&equal) + amount, &equal, Division::Fair);
            for (one, has) in equal.iter().zip(&given) {
                for (other, got) in equal.iter().zip(&given) {
                    if *has < one.cap() {
                        prop_assert!(has - one.floor() + 1 >= got - other.floor());
                    }
                }
            }
        }
    }
}
