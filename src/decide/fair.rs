//! Dividing an amount among claimants: max-min with guarantees, in exact integers, in four ways.
//!
//! **Problem.** An amount (thousandths of a core, pages, bytes per second) is to be divided among components that each have a
//! guaranteed floor, a ceiling, a want and a weight, so that nobody gets less than its floor while the floors fit, nobody gets more
//! than it wants or may have, nothing wanted is left over, and what is short is short as the configured division says.
//!
//! **Approach.** Floors first; the rest by water-filling: pour to all in proportion to weight until somebody is full, take it out,
//! go on. Sorted by "how soon full" (need over weight) this is one pass.
//!
//! **Terms.** *floor*: guaranteed part. *want*: what it would use. *max*: ceiling. *need*: what it still lacks of its want after its
//! floor. *tier*: all components of one priority. *fixed share*: the part of the amount that is a claimant's weight among all weights.
//!
//! **Algorithm.** `fill` is the water-filling of one amount. *Weighted* fills what the floors leave, by priority and share. *Fair* does so
//! by share alone. *Priority* fills tier by tier from the top. *Quota* fills the whole amount, floors included: whom that gave less than
//! its floor gets its floor and is taken out, and the others are filled anew; so each keeps its fixed share, and what somebody does
//! not want of it is lent. Floors that do not fit are served tier by tier, whatever the division.
//! Rounding: each gets the floor of its exact share; the units left go one by one to those that still need, heaviest first, then by
//! order of claim.
//!
//! **Properties**, each a property test of every division: the sum never exceeds the amount; floors hold when they fit; nobody exceeds
//! `max(floor, min(want, max))`; nothing is left while somebody needs; a permutation of the claims permutes the result; a greater share or
//! a higher priority never means less (within one unit of rounding); more to divide never means less for anybody (within one unit).

use crate::config::Division;
use crate::model::Priority;

/// So many times the weight of the priority below has each where tiers can be told apart by weights alone: what `cpu.weight`, 1 to 10000,
/// has room for.
const STEEP: u64 = 20;

/// One claim on the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Whose tier it is in.
    pub priority: Priority,
    /// Multiplies the priority's weight, in hundredths; zero counts as one.
    pub share_percent: u64,
    /// Guaranteed part.
    pub floor: u64,
    /// What it would use.
    pub want: u64,
    /// Ceiling.
    pub max: u64,
}

impl Claim {
    fn floor(&self) -> u64 {
        self.floor.min(self.max)
    }

    /// The most that it can get.
    fn cap(&self) -> u64 {
        self.floor().max(self.want.min(self.max))
    }

    fn by_priority_and_share(&self) -> u64 {
        self.priority.share().saturating_mul(self.by_share())
    }

    fn by_share(&self) -> u64 {
        self.share_percent.max(1)
    }

    fn by_steep_priority(&self) -> u64 {
        let below = Priority::ALL.iter().filter(|priority| **priority < self.priority);
        below.fold(self.by_share(), |weight, _| weight.saturating_mul(STEEP))
    }
}

/// Divides `amount` among `claims`; the result is in the order of the claims.
#[must_use]
pub fn allocate(amount: u64, claims: &[Claim], division: Division) -> Vec<u64> {
    let everybody: [&[Priority]; 1] = [&Priority::ALL];
    match division {
        _ if !do_floors_fit(amount, claims) => floors_by_tier(amount, claims),
        Division::Weighted => {
            above_floors(amount, claims, &everybody, Claim::by_priority_and_share)
        }
        Division::Fair => above_floors(amount, claims, &everybody, Claim::by_share),
        Division::Priority => {
            let tiers = Priority::ALL.each_ref().map(std::slice::from_ref);
            let from_the_top: Vec<&[Priority]> = tiers.into_iter().rev().collect();
            above_floors(amount, claims, &from_the_top, Claim::by_share)
        }
        Division::Quota => in_fixed_shares(amount, claims),
    }
}

/// Divides all of `amount`: what nobody wants goes to all in the same way, up to each one's ceiling.
#[must_use]
pub fn divide_all(amount: u64, claims: &[Claim], division: Division) -> Vec<u64> {
    let mut given = allocate(amount, claims, division);
    let left = amount.saturating_sub(given.iter().sum());
    let rest: Vec<Claim> = claims
        .iter()
        .zip(&given)
        .map(|(claim, had)| {
            let room = claim.max.saturating_sub(*had);
            Claim { floor: 0, want: room, max: room, ..*claim }
        })
        .collect();
    for (has, more) in given.iter_mut().zip(allocate(left, &rest, division)) {
        *has += more;
    }
    given
}

/// What each claimant may count on, to be told by weights: the same, but by priority a tier goes before the one below only as far as
/// twenty parts go before one. A weight cannot be nothing, and two tiers that are given nothing would be alike.
#[must_use]
pub fn entitle(amount: u64, claims: &[Claim], division: Division) -> Vec<u64> {
    if division == Division::Priority && do_floors_fit(amount, claims) {
        return above_floors(amount, claims, &[&Priority::ALL], Claim::by_steep_priority);
    }
    allocate(amount, claims, division)
}

fn do_floors_fit(amount: u64, claims: &[Claim]) -> bool {
    let floors = claims.iter().map(|claim| u128::from(claim.floor()));
    floors.sum::<u128>() <= u128::from(amount)
}

/// Floors, and what they leave tier by tier.
fn above_floors(
    amount: u64,
    claims: &[Claim],
    tiers: &[&[Priority]],
    weight: fn(&Claim) -> u64,
) -> Vec<u64> {
    let mut given: Vec<u64> = claims.iter().map(Claim::floor).collect();
    let mut rest = amount.saturating_sub(given.iter().sum());
    for tier in tiers {
        let needs: Vec<Need> = claims
            .iter()
            .zip(&given)
            .map(|(claim, has)| {
                let lacks = claim.cap().saturating_sub(*has);
                let amount = if tier.contains(&claim.priority) { lacks } else { 0 };
                Need { amount, weight: weight(claim) }
            })
            .collect();
        for (has, more) in given.iter_mut().zip(fill(rest, &needs)) {
            *has += more;
            rest -= more;
        }
    }
    given
}

/// Everybody's fixed share of the whole amount, its floor counted in, and what others do not want of theirs.
fn in_fixed_shares(amount: u64, claims: &[Claim]) -> Vec<u64> {
    let mut at_floor = vec![false; claims.len()];
    // Each round takes out one at least.
    for _round in 0..=claims.len() {
        let fixed = claims.iter().zip(&at_floor).filter(|(_, at_floor)| **at_floor);
        let rest = amount.saturating_sub(fixed.map(|(claim, _)| claim.floor()).sum());
        let needs: Vec<Need> = claims
            .iter()
            .zip(&at_floor)
            .map(|(claim, at_floor)| Need {
                amount: if *at_floor { 0 } else { claim.cap() },
                weight: claim.by_priority_and_share(),
            })
            .collect();
        let poured = fill(rest, &needs);
        let mut is_settled = true;
        for ((at_floor, claim), poured) in at_floor.iter_mut().zip(claims).zip(&poured) {
            if !*at_floor && *poured < claim.floor() {
                *at_floor = true;
                is_settled = false;
            }
        }
        if is_settled {
            let part = |((claim, at_floor), poured): ((&Claim, &bool), u64)| {
                if *at_floor { claim.floor() } else { poured }
            };
            return claims.iter().zip(&at_floor).zip(poured).map(part).collect();
        }
    }
    claims.iter().map(Claim::floor).collect()
}

/// When even the floors do not fit (a CPU was unplugged, memory was taken back): tier by tier from the top, and inside the tier that
/// does not fit in proportion to the floors.
fn floors_by_tier(amount: u64, claims: &[Claim]) -> Vec<u64> {
    let mut given = vec![0; claims.len()];
    let mut rest = amount;
    for tier in Priority::ALL.into_iter().rev() {
        let needs: Vec<Need> = claims
            .iter()
            .map(|claim| {
                let floor = claim.floor();
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
mod tests;
