//! Plays a recording through the cycle again and tells what differs. Must not decide which differences matter.
//!
//! **Approach.** A replay begins where the recording holds what was remembered, and then goes on by itself: it is given what was seen, what
//! was lent and which policy held, and nothing of what was decided. After a gap it begins anew at the next such place. As recorded, each
//! cycle must come to the same; under another policy or another version, what differs is what that one would have done on this very
//! load. Would have begun to do: what was seen is what came of the recorded decisions, so only the first steps of a difference are certain.
//!
//! A cycle that panicked when it was recorded panics again. That is told as what it came to, and ends nothing: the replay begins anew at
//! the next place.

use crate::config::{ConfigIssue, Policy, PolicyText, Strategy};
use crate::cycle::{News, State, Step, rest, step};
use crate::estimate::Prospects;
use crate::model::{Knob, KnobKind, Snapshot, Target};
use crate::record::{Cycle, Told, UnpackError};
use crate::units::{CgroupPath, ComponentName};
use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Arc;
use thiserror::Error;

thread_local! {
    /// Whether this thread plays a cycle.
    static PLAYS: Cell<bool> = const { Cell::new(false) };
}

/// From now on panics of cycles that are played are not printed: whoever plays them is told. To be called after whatever else listens to
/// panics was set up, such as what gives a terminal back.
pub fn hush() {
    let before = take_hook();
    set_hook(Box::new(move |panic| {
        if !PLAYS.get() {
            before(panic);
        }
    }));
}

/// Why a recording cannot be played from a place on.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The recorded policy is not one of this version.
    #[error("the recorded configuration is not one of this version of provost: {}", issues.first().map_or_else(String::new, ConfigIssue::line))]
    Policy {
        /// All that is wrong with it.
        issues: Vec<ConfigIssue>,
    },
    /// What was recorded is of another form.
    #[error("what was recorded cannot be read by this version of provost: {0}")]
    Form(#[from] UnpackError),
    /// The cycle panicked.
    #[error("deciding failed: {message}")]
    Panicked {
        /// With what words.
        message: String,
    },
}

/// What holds instead of what was recorded.
#[derive(Debug, Clone, Default)]
pub struct Instead {
    /// Another configuration.
    pub policy: Option<Policy>,
    /// Another strategy.
    pub strategy: Option<Strategy>,
}

impl Instead {
    /// Whether everything is as it was recorded.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.policy.is_none() && self.strategy.is_none()
    }

    fn lay_over(&self, recorded: &mut Remembered) {
        if self.is_nothing() {
            return;
        }
        let mut policy = self.policy.clone().unwrap_or_else(|| recorded.policy.as_ref().clone());
        policy.strategy = self.strategy.unwrap_or(policy.strategy);
        recorded.policy = Arc::new(policy);
        recorded.state.replan();
    }
}

/// A policy, and what is remembered, on their way from one recorded cycle to the next.
#[derive(Debug, Clone)]
pub struct Remembered {
    /// The policy in force.
    pub policy: Arc<Policy>,
    /// What is remembered.
    pub state: State,
}

impl Remembered {
    /// As it was before a cycle; none where that is not recorded with it.
    ///
    /// # Errors
    /// [`ReplayError`] where another version of provost recorded it.
    pub fn before(cycle: &Cycle) -> Result<Option<Self>, ReplayError> {
        let Some(base) = &cycle.base else { return Ok(None) };
        let text: PolicyText = base.policy()?;
        let policy = text.policy().map_err(|issues| ReplayError::Policy { issues })?;
        Ok(Some(Self { policy: Arc::new(policy), state: base.state()? }))
    }

    /// Goes through a cycle. What it comes to, if anything.
    ///
    /// # Errors
    /// [`ReplayError`] where what was lent cannot be read, or deciding fails: then what is remembered is of no use any more.
    pub fn play(&mut self, cycle: &Cycle) -> Result<Option<News>, ReplayError> {
        self.play_by(cycle, step)
    }

    /// The same by another step.
    fn play_by(
        &mut self,
        cycle: &Cycle,
        step: impl Fn(&Policy, State, &Snapshot) -> Step,
    ) -> Result<Option<News>, ReplayError> {
        if cycle.is_replanned {
            self.state.replan();
        }
        if let Some(lent) = &cycle.lent {
            self.state.prospects = lent.value::<Prospects>()?;
        }
        let decide = || {
            if rest(&self.policy, &mut self.state, &cycle.seen) {
                return None;
            }
            let stepped = step(&self.policy, std::mem::take(&mut self.state), &cycle.seen);
            self.state = stepped.state;
            stepped.news
        };
        PLAYS.set(true);
        // Whatever is left half done is remembered no more.
        let decided = catch_unwind(AssertUnwindSafe(decide));
        PLAYS.set(false);
        decided.map_err(|panic| ReplayError::Panicked { message: words(panic.as_ref()) })
    }
}

/// With what words something panicked.
fn words(panic: &(dyn Any + Send)) -> String {
    let fixed = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = fixed.or_else(|| panic.downcast_ref::<String>().cloned());
    words.unwrap_or_else(|| "without a word why".to_owned())
}

/// What one knob was to be, and would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The component on whose behalf; none for an ancestor.
    pub component: Option<ComponentName>,
    /// The group.
    pub at: CgroupPath,
    /// The knob.
    pub kind: KnobKind,
    /// What it was to be, and why; none where nothing was wanted.
    pub recorded: Option<(Knob, String)>,
    /// What it would be, and why; none where nothing would be wanted.
    pub replayed: Option<(Knob, String)>,
}

/// What a cycle came to when it was played again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Seconds since 1970 when it was recorded.
    pub wall_secs: u64,
    /// Where the wanted values differ.
    pub differences: Vec<Difference>,
    /// Whether anything else differs: reasons, plans, findings.
    pub is_otherwise_different: bool,
}

/// What is wanted of each knob, with the reason.
type Wanted = BTreeMap<(CgroupPath, KnobKind), (Option<ComponentName>, Knob, String)>;

/// A replay that goes on.
#[derive(Debug, Default)]
pub struct Replay {
    instead: Instead,
    /// None before the first place to begin, and after a gap.
    running: Option<Remembered>,
    recorded: Option<Told>,
    replayed: Option<News>,
    /// Cycles that were played, and that were passed over for lack of a place to begin.
    pub played: u64,
    /// Those passed over.
    pub passed_over: u64,
}

impl Replay {
    /// A replay with something else in force than was recorded, or nothing else.
    #[must_use]
    pub fn new(instead: Instead) -> Self {
        Self { instead, ..Self::default() }
    }

    /// Plays one cycle. What it came to; none where there is no place to begin yet.
    ///
    /// # Errors
    /// [`ReplayError`] where the recording cannot be played from here on, up to the next place to begin.
    pub fn play(&mut self, cycle: &Cycle) -> Result<Option<Replayed>, ReplayError> {
        self.play_by(cycle, step)
    }

    /// The same by another step: tests have one that panics.
    pub(crate) fn play_by(
        &mut self,
        cycle: &Cycle,
        step: impl Fn(&Policy, State, &Snapshot) -> Step,
    ) -> Result<Option<Replayed>, ReplayError> {
        if !cycle.follows {
            self.running = None;
        }
        self.begin(cycle)?;
        let Some(mut running) = self.running.take() else {
            self.passed_over += 1;
            return Ok(None);
        };
        let news = running.play_by(cycle, step)?;
        self.played += 1;
        self.running = Some(running);
        Ok(Some(self.compare(cycle, news)))
    }

    /// Takes up what was remembered, where that is recorded: at the beginning, and whenever the recorded policy may be another one.
    fn begin(&mut self, cycle: &Cycle) -> Result<(), ReplayError> {
        if self.running.is_some() && !self.instead.is_nothing() {
            // It goes on with what it came to itself.
            return Ok(());
        }
        let Some(mut recorded) = Remembered::before(cycle)? else { return Ok(()) };
        self.instead.lay_over(&mut recorded);
        (self.recorded, self.replayed) = (None, None);
        self.running = Some(recorded);
        Ok(())
    }

    fn compare(&mut self, cycle: &Cycle, news: Option<News>) -> Replayed {
        let has_news = (cycle.news.is_some(), news.is_some());
        let is_same = match (&cycle.news, &news) {
            (Some(told), Some(news)) => {
                (&told.decision, &told.plan, &told.findings)
                    == (&news.decision, &news.plan, &news.findings)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if let Some(told) = &cycle.news {
            self.recorded = Some(told.clone());
        }
        if let Some(news) = news {
            self.replayed = Some(news);
        }
        let mut differences = Vec::new();
        if has_news != (false, false) && !is_same {
            let recorded = self.recorded.as_ref().map(|told| wanted(&told.decision.targets));
            let replayed = self.replayed.as_ref().map(|news| wanted(&news.decision.targets));
            if let (Some(recorded), Some(replayed)) = (recorded, replayed) {
                differences = differing(recorded, replayed);
            }
        }
        let is_otherwise_different = !is_same && differences.is_empty();
        Replayed { wall_secs: cycle.wall_secs, differences, is_otherwise_different }
    }
}

fn wanted(targets: &[Target]) -> Wanted {
    let one = |target: &Target| {
        let place = (target.at.clone(), target.knob.kind());
        (place, (target.component.clone(), target.knob.clone(), target.reason.to_string()))
    };
    targets.iter().map(one).collect()
}

fn differing(recorded: Wanted, mut replayed: Wanted) -> Vec<Difference> {
    let mut differences = Vec::new();
    for ((at, kind), (component, knob, why)) in recorded {
        let now = replayed.remove(&(at.clone(), kind)).map(|(_, knob, why)| (knob, why));
        if now.as_ref().is_none_or(|(new, _)| *new != knob) {
            let recorded = Some((knob, why));
            differences.push(Difference { component, at, kind, recorded, replayed: now });
        }
    }
    for ((at, kind), (component, knob, why)) in replayed {
        let replayed = Some((knob, why));
        differences.push(Difference { component, at, kind, recorded: None, replayed });
    }
    differences
}
