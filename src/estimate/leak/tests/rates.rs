//! How often there is an alert where nothing leaks, and how soon where something does, on made-up days.
//!
//! Each day is that of a component that holds one GiB in the morning and may hold two, seen every half minute. Only operations that every
//! machine rounds alike are used, so the figures are the same everywhere. A few days of each case are part of every test run; the whole tables, of
//! sixty days, are the snapshots beside this file: `cargo test --release --lib leak::tests::rates -- --ignored` reckons them anew.

use super::super::*;
use std::fmt::Write as _;

const LOOKS: u32 = 24 * 120;
/// Looks in an hour.
const PER_HOUR: f64 = 120.0;

/// SplitMix64, and what comes of it.
struct Noise(u64);

impl Noise {
    /// At least 0 and below 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap()) / 4_294_967_296.0
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.uniform()
    }

    /// Nearly normal with mean 0 and deviation 1: twelve uniform numbers.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// What a component does all day.
#[derive(Clone, Copy)]
enum Case {
    /// Wanders about its mean and is back within minutes.
    Autoregressive,
    /// A garbage collector lets memory rise by a third for some ten minutes, and takes it back.
    Saw,
    /// Fills its caches and is done after some hours.
    WarmUp { hours: f64 },
    /// Follows the load of the day, an hour late, up and down by a fifth.
    Diurnal,
    /// Both.
    DiurnalSaw,
    /// Something is loaded or dropped every few hours.
    Steps,
    /// Wanders about its mean for hours.
    Wandering,
    /// Leaks this share of what it holds in the morning per hour.
    Leak { per_hour: f64, with: Beside },
}

/// What a leak is hidden in.
#[derive(Clone, Copy)]
enum Beside {
    Noise,
    Saw,
    Diurnal,
}

/// A component's day.
struct Day {
    case: Case,
    noise: Noise,
    /// Where the day's wave stands: sine and cosine.
    wave: (f64, f64),
    late: f64,
    saw: (f64, f64),
    wander: f64,
    warm: f64,
    step: (f64, f64),
    size: f64,
    hours: f64,
}

impl Day {
    fn new(case: Case, seed: u64) -> Self {
        let mut noise = Noise(seed);
        let (size, period) = (noise.between(0.7, 1.3), noise.between(14.0, 26.0));
        let mut day = Self {
            case,
            wave: (0.0, 1.0),
            late: 0.0,
            saw: (0.0, period),
            wander: 0.0,
            warm: 0.0,
            step: (0.0, 0.0),
            size,
            hours: 0.0,
            noise,
        };
        let begun = whole(day.noise.between(0.0, f64::from(LOOKS)));
        for _ in 0..begun {
            day.turn();
        }
        day.late = day.wave.0;
        day
    }

    /// The wave moves on by half a minute.
    fn turn(&mut self) {
        const SINE: f64 = 0.002_181_659_834_542_75;
        const COSINE: f64 = 0.999_997_620_177_317;
        let (sine, cosine) = self.wave;
        self.wave = (sine * COSINE + cosine * SINE, cosine * COSINE - sine * SINE);
        self.late += (self.wave.0 - self.late) / PER_HOUR;
    }

    fn saw(&mut self) -> f64 {
        let (risen, period) = self.saw;
        self.saw.0 = risen + 1.0;
        if risen >= period {
            self.saw = (0.0, self.noise.between(14.0, 26.0));
        }
        0.33 * self.size * risen / period
    }

    /// Wanders: back to the mean within so many hours, by so much.
    fn wander(&mut self, hours: f64, deviation: f64) -> f64 {
        let back = 1.0 / (hours * PER_HOUR);
        self.wander += -back * self.wander + (2.0 * back).sqrt() * deviation * self.noise.normal();
        self.wander
    }

    fn steps(&mut self) -> f64 {
        let (level, left) = self.step;
        self.step.1 = left - 1.0;
        if left <= 0.0 {
            let level = level * 0.5 + self.noise.between(-0.15, 0.15);
            self.step = (level, self.noise.between(PER_HOUR, 5.0 * PER_HOUR));
        }
        self.step.0
    }

    /// What is held, of what was held in the morning, and the load in thousandths of a core, half a minute later.
    fn next(&mut self) -> (f64, f64) {
        self.turn();
        self.hours += 1.0 / PER_HOUR;
        let daily = 0.2 * self.size * self.late;
        let (mut load, mut held) = (500.0, 1.0);
        match self.case {
            Case::Autoregressive => held += self.wander(0.2, 0.03 * self.size),
            Case::Saw => held += self.saw(),
            Case::WarmUp { hours } => {
                self.warm += (0.5 * self.size - self.warm) / (hours * PER_HOUR);
                held += self.warm;
            }
            Case::Diurnal => held += daily,
            Case::DiurnalSaw => held += daily + self.saw(),
            Case::Steps => held += self.steps(),
            Case::Wandering => held += self.wander(3.0, 0.06 * self.size),
            Case::Leak { per_hour, with } => {
                held += per_hour * self.hours;
                held += match with {
                    Beside::Noise => 0.0,
                    Beside::Saw => self.saw(),
                    Beside::Diurnal => daily,
                };
            }
        }
        let follows_day = matches!(
            self.case,
            Case::Diurnal | Case::DiurnalSaw | Case::Leak { with: Beside::Diurnal, .. }
        );
        if follows_day {
            load += 300.0 * self.wave.0;
        }
        (held + 0.01 * self.noise.normal(), (load + 50.0 * self.noise.normal()).max(0.0))
    }
}

/// The tiers that alert, in the order of the columns, and what one of them would be without its gate.
const COLUMNS: [(&str, Rule); 5] = [
    ("fast", RULES[0]),
    ("suspected", RULES[1]),
    ("slow", RULES[2]),
    ("growth", RULES[3]),
    ("no gate", Rule { gate: Span(u64::MAX), ..RULES[1] }),
];
const FAST: usize = 0;
const SUSPECTED: usize = 1;
const SLOW: usize = 2;

/// When each tier first spoke in one day, in hours; and when there was first more than there may be.
#[derive(Default)]
struct Spoken {
    tiers: [Option<f64>; COLUMNS.len()],
    full: Option<f64>,
}

impl Spoken {
    /// Whether the first alert came before the limit was reached.
    fn in_time(&self) -> bool {
        let alerts = self.tiers.iter().take(SLOW + 1).flatten();
        let first = alerts.copied().min_by(f64::total_cmp);
        first.is_some_and(|first| self.full.is_none_or(|full| first < full))
    }
}

fn spoken(case: Case, seed: u64) -> Spoken {
    let gib = |share: f64| Bytes(u64::try_from(whole(share * 1_073_741_824.0)).unwrap());
    let mut day = Day::new(case, seed);
    let mut tiers: [Tier; COLUMNS.len()] = Default::default();
    let mut spoken = Spoken::default();
    for look in 0..LOOKS {
        let (held, load) = day.next();
        let held_now = Held {
            at: Tick(1_000_000).plus(Span::secs(u64::from(look) * 30)),
            memory: gib(held),
            load: Millicpu(u64::try_from(whole(load)).unwrap()),
            limit: LeakLimit::Own(gib(2.0)),
        };
        if held >= 2.0 {
            spoken.full.get_or_insert(day.hours);
        }
        for ((tier, (_, rule)), first) in tiers.iter_mut().zip(&COLUMNS).zip(&mut spoken.tiers) {
            tier.push(rule, &held_now);
            if tier.said.is_some() {
                first.get_or_insert(day.hours);
            }
        }
    }
    spoken
}

/// What came of all days of one case.
struct Row {
    name: &'static str,
    days: Vec<Spoken>,
}

impl Row {
    fn new(name: &'static str, case: Case, days: u64) -> Self {
        let own = u64::try_from(name.len()).unwrap();
        Self { name, days: (0..days).map(|day| spoken(case, day * 1_000_003 + own)).collect() }
    }

    /// In how many of a hundred days.
    fn percent(&self, count: usize) -> usize {
        (count * 100 + self.days.len() / 2) / self.days.len()
    }

    /// When a tier spoke, in order.
    fn hours(&self, tier: usize) -> Vec<f64> {
        let mut hours: Vec<f64> = self.days.iter().filter_map(|day| day.tiers[tier]).collect();
        hours.sort_by(f64::total_cmp);
        hours
    }

    fn spoke(&self, tier: usize) -> usize {
        self.percent(self.hours(tier).len())
    }

    fn text(&self) -> String {
        let mut line = format!("{:24}", self.name);
        for tier in 0..COLUMNS.len() {
            let hours = self.hours(tier);
            let middle = hours.get(hours.len() / 2);
            let middle = middle.map_or_else(|| "-".to_owned(), |hours| format!("{hours:.1} h"));
            let _ok = write!(line, " {:>4} % {middle:>7}", self.spoke(tier));
        }
        let in_time = self.days.iter().filter(|day| day.in_time()).count();
        format!("{line} {:>5} %\n", self.percent(in_time))
    }
}

/// Parts of a hundred days with, and the middle of the hours at, the first word of each tier; and days with an alert before the limit is reached.
fn table(rows: &[Row]) -> String {
    let mut table = format!("{:24}", "");
    for (word, _) in COLUMNS {
        let _ok = write!(table, " {word:>14}");
    }
    table.push_str(" in time\n");
    rows.iter().for_each(|row| table.push_str(&row.text()));
    table
}

/// What does not leak.
fn innocent(days: u64) -> Vec<Row> {
    [
        ("autoregressive", Case::Autoregressive),
        ("garbage collector's saw", Case::Saw),
        ("warm-up of 1 h", Case::WarmUp { hours: 1.0 }),
        ("warm-up of 6 h", Case::WarmUp { hours: 6.0 }),
        ("day", Case::Diurnal),
        ("day and saw", Case::DiurnalSaw),
        ("steps", Case::Steps),
        ("wandering for hours", Case::Wandering),
    ]
    .into_iter()
    .map(|(name, case)| Row::new(name, case, days))
    .collect()
}

/// What leaks, and in how many of a hundred days a tier has to notice.
fn leaking(days: u64) -> Vec<(Row, usize, usize)> {
    let leak = |per_hour: f64, with| Case::Leak { per_hour, with };
    [
        ("2 % an hour and a day", leak(0.02, Beside::Diurnal), (SLOW, 40)),
        ("5 % an hour and a saw", leak(0.05, Beside::Saw), (SUSPECTED, 90)),
        ("10 % an hour", leak(0.1, Beside::Noise), (SUSPECTED, 97)),
        ("20 % an hour", leak(0.2, Beside::Noise), (SUSPECTED, 97)),
        ("50 % an hour", leak(0.5, Beside::Noise), (FAST, 95)),
    ]
    .into_iter()
    .map(|(name, case, (tier, least))| (Row::new(name, case, days), tier, least))
    .collect()
}

fn raise_no_alert(rows: &[Row]) {
    for row in rows {
        assert_eq!(row.spoke(FAST), 0, "{}", row.text());
        assert_eq!(row.spoke(SUSPECTED), 0, "{}", row.text());
        assert!(row.spoke(SLOW) <= 10, "{}", row.text());
    }
}

fn raise_one(rows: &[(Row, usize, usize)]) {
    for (row, tier, least) in rows {
        assert!(row.spoke(*tier) >= *least, "{}", row.text());
    }
}

#[test]
fn what_does_not_leak_raises_no_alert() {
    raise_no_alert(&innocent(10));
}

#[test]
fn what_leaks_raises_one() {
    raise_one(&leaking(3));
}

#[test]
#[ignore = "half a minute where nothing is optimised: cargo test --release --lib leak::tests::rates -- --ignored"]
fn the_whole_tables() {
    let innocent = innocent(60);
    insta::assert_snapshot!("innocent", table(&innocent));
    raise_no_alert(&innocent);
    let leaking = leaking(60);
    raise_one(&leaking);
    let rows: Vec<Row> = leaking.into_iter().map(|(row, ..)| row).collect();
    insta::assert_snapshot!("leaking", table(&rows));
}
