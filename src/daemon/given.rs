//! What `provost set-quota` gave components for a while: kept over restarts and boots, laid over whatever else holds, and over by the clock
//! on the wall. Must not change what the loop follows: it returns policies.

use super::instance::{Paths, replace};
use super::kept::Kept;
use super::start::capacity;
use crate::config::{
    Capacity, Code, Colour, ConfigIssue, Laid, Policy, entries, quota_key, render,
};
use crate::model::{
    Finding, FindingKind, HostView, Moment, Quota, QuotaBook, QuotaKey, QuotaView, Quotas,
    Severity, UnknownComponent,
};
use crate::units::{ComponentName, Span};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use thiserror::Error;

/// So many components have something at once: where not all of it fits, it is tried one after the other.
const MOST: usize = 32;
/// The longest value in bytes: limits for a dozen disks.
const LONGEST_VALUE: usize = 1024;
/// For how long. What is to hold for longer belongs into the configuration.
const SPANS: RangeInclusive<Span> = Span::secs(1)..=Span::secs(30 * 86_400);
/// As many components with as long values need less.
const LONGEST: u64 = 1 << 20;
const LOSS: &str = "what set-quota gave is over";

/// What holds for a while, and what lies beneath it.
#[derive(Debug, Default)]
pub struct Given {
    quotas: Quotas,
    /// The policy without them, as long as there are any.
    beneath: Option<Box<Policy>>,
    /// What is configured in place of each, where that is a limit.
    configured: BTreeMap<(ComponentName, QuotaKey), String>,
    /// Who has nothing of it now, and why.
    left_out: BTreeMap<ComponentName, String>,
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// For whom.
    pub component: &'a ComponentName,
    /// Keys below the component with their values, as they were written.
    pub keys: &'a BTreeMap<String, String>,
    /// For how long.
    pub span: Span,
    /// From when on.
    pub now: Moment,
}

impl Wish<'_> {
    /// When it is over.
    #[must_use]
    pub const fn until(self) -> Moment {
        Moment(self.now.0.saturating_add(self.span.0.div_ceil(1_000_000)))
    }
}

/// Why something is not given, or nothing can be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CannotGive {
    /// Nobody knows the component.
    #[error(transparent)]
    Unknown(UnknownComponent),
    /// Nothing was asked for.
    #[error("nothing is asked for: write what \"{name}\" may have, such as cpu.ceiling=2")]
    Nothing {
        /// The component.
        name: ComponentName,
    },
    /// For a moment, or for ever.
    #[error(
        "set-quota gives something for 1s to 30d, not for {span}: what is to hold for longer belongs into the configuration"
    )]
    Lasts {
        /// For how long.
        span: Span,
    },
    /// Too many have something.
    #[error(
        "{} components have something from set-quota already: take something back with \"provost release COMPONENT\"",
        MOST
    )]
    TooMany,
    /// The values make no sense, or contradict others.
    #[error("\"{name}\" cannot have this:\n{}", render(issues, Colour::Never))]
    Unfit {
        /// The component.
        name: ComponentName,
        /// All problems.
        issues: Vec<ConfigIssue>,
    },
    /// Another component could not keep what it was given.
    #[error(
        "what \"{other}\" has from set-quota would no longer fit:\n{}",
        render(issues, Colour::Never)
    )]
    Crowds {
        /// That one.
        other: ComponentName,
        /// All problems.
        issues: Vec<ConfigIssue>,
    },
    /// There is nothing to take back.
    #[error("\"{name}\" has nothing from set-quota")]
    NothingThere {
        /// The component.
        name: ComponentName,
    },
}

impl CannotGive {
    /// The exit code of a verb that is refused for this.
    #[must_use]
    pub const fn exit(&self) -> u8 {
        match self {
            Self::Unknown { .. } => 4,
            Self::Nothing { .. } | Self::Lasts { .. } => 2,
            Self::TooMany | Self::NothingThere { .. } => 1,
            Self::Unfit { .. } | Self::Crowds { .. } => 78,
        }
    }
}

/// What comes of laying all over a policy.
struct Laying {
    laid: Laid,
    /// Who has nothing of it; without a problem where the component is not there.
    left_out: BTreeMap<ComponentName, Vec<ConfigIssue>>,
}

impl Given {
    /// What was given before and is not over; a file that makes no sense is set aside.
    #[must_use]
    pub fn read(paths: &Paths, now: Moment) -> Self {
        let book = Kept::new(file(paths), LONGEST, LOSS).read(parse);
        Self::of(book.map_or_else(Quotas::new, |book| book.components), now)
    }

    /// The same for somebody who only looks: nothing is set aside.
    #[must_use]
    pub fn peek(paths: &Paths, now: Moment) -> Self {
        let book = Kept::new(file(paths), LONGEST, LOSS).peek(parse);
        Self::of(book.map_or_else(Quotas::new, |book| book.components), now)
    }

    fn of(quotas: Quotas, now: Moment) -> Self {
        let mut given = Self { quotas, ..Self::default() };
        let _over = given.end(now);
        given
    }

    /// Remembers it for the next start.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn write(&self, paths: &Paths) -> std::io::Result<()> {
        if self.quotas.is_empty() {
            let removed = std::fs::remove_file(file(paths));
            return removed.or_else(|error| {
                if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
            });
        }
        std::fs::create_dir_all(&paths.state)?;
        let book = QuotaBook { version: QuotaBook::VERSION, components: self.quotas.clone() };
        replace(&file(paths), &serde_json::to_string(&book)?)
    }

    /// Lays all of it over what holds without it. What does not fit is left out, the latest first, and told.
    pub fn lay_over(&mut self, plain: Policy, host: &HostView) -> Policy {
        self.lay(plain, host, None).laid.policy
    }

    /// The same; `latest` is what somebody asks for now.
    fn lay(&mut self, plain: Policy, host: &HostView, latest: Option<&ComponentName>) -> Laying {
        if self.quotas.is_empty() {
            *self = Self::default();
            let laid = Laid { policy: plain, warnings: Vec::new() };
            return Laying { laid, left_out: BTreeMap::new() };
        }
        let laying = capacity(host, |capacity| laid((&self.quotas, latest), &plain, capacity));
        let told =
            |(name, issues): (&ComponentName, &Vec<ConfigIssue>)| (name.clone(), why(issues));
        self.left_out = laying.left_out.iter().map(told).collect();
        self.configured = configured(&self.quotas, &plain);
        self.beneath = Some(Box::new(plain));
        laying
    }

    /// What holds without any of it; none where nothing was given.
    #[must_use]
    pub fn beneath(&self) -> Option<&Policy> {
        self.beneath.as_deref()
    }

    /// The same, to lay something else over it.
    pub fn take_beneath(&mut self) -> Option<Policy> {
        self.beneath.take().map(|policy| *policy)
    }

    /// This and what somebody asks for, laid over what holds without either.
    ///
    /// # Errors
    /// [`CannotGive`]; all stays as it was.
    pub fn with(
        &self,
        wish: Wish<'_>,
        plain: Policy,
        host: &HostView,
    ) -> Result<(Self, Laid), CannotGive> {
        let Wish { component, span, .. } = wish;
        if !plain.components.contains_key(component) {
            return Err(unknown(component, &plain));
        }
        if wish.keys.is_empty() {
            return Err(CannotGive::Nothing { name: component.clone() });
        }
        if !SPANS.contains(&span) {
            return Err(CannotGive::Lasts { span });
        }
        let mut quotas = self.quotas.clone();
        quotas.entry(component.clone()).or_default().extend(asked(wish)?);
        if quotas.len() > MOST {
            return Err(CannotGive::TooMany);
        }
        let mut with = Self { quotas, ..Self::default() };
        let Laying { mut laid, mut left_out } = with.lay(plain, host, Some(component));
        laid.warnings.retain(|issue| concerns(issue, component));
        if let Some(issues) = left_out.remove(component) {
            return Err(CannotGive::Unfit { name: component.clone(), issues });
        }
        left_out.retain(|name, _| !self.left_out.contains_key(name));
        match left_out.pop_first() {
            Some((other, issues)) => Err(CannotGive::Crowds { other, issues }),
            None => Ok((with, laid)),
        }
    }

    /// This without all that a component was given; it is yet to be laid over what holds without any of it.
    ///
    /// # Errors
    /// [`CannotGive`] when it has nothing.
    pub fn without(&self, name: &ComponentName, plain: &Policy) -> Result<Self, CannotGive> {
        let mut quotas = self.quotas.clone();
        if quotas.remove(name).is_some() {
            return Ok(Self { quotas, ..Self::default() });
        }
        if plain.components.contains_key(name) {
            return Err(CannotGive::NothingThere { name: name.clone() });
        }
        Err(unknown(name, plain))
    }

    /// Takes out what is over, and returns it; the rest is to be laid over what is beneath anew.
    pub fn end(&mut self, now: Moment) -> Vec<(ComponentName, QuotaKey)> {
        let mut over = Vec::new();
        for (name, keys) in &mut self.quotas {
            keys.retain(|key, quota| {
                if quota.until <= now {
                    over.push((name.clone(), *key));
                }
                quota.until > now
            });
        }
        if !over.is_empty() {
            self.quotas.retain(|_, keys| !keys.is_empty());
        }
        over
    }

    /// Whether a component has this key from here.
    #[must_use]
    pub fn has(&self, name: &ComponentName, key: &str) -> bool {
        let keys = self.quotas.get(name).filter(|_| !self.left_out.contains_key(name));
        keys.is_some_and(|keys| QuotaKey::of_word(key).is_some_and(|key| keys.contains_key(&key)))
    }

    /// What a component has from here, for people.
    #[must_use]
    pub fn views(&self, name: &ComponentName) -> Vec<QuotaView> {
        let holds = !self.left_out.contains_key(name);
        let view = |(key, quota): (&QuotaKey, &Quota)| QuotaView {
            key: *key,
            value: quota.value.clone(),
            until: quota.until,
            configured: self.configured.get(&(name.clone(), *key)).cloned(),
            holds,
        };
        self.quotas.get(name).into_iter().flatten().map(view).collect()
    }

    /// What does not hold though it was given.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |(name, why): (&ComponentName, &String)| Finding {
            severity: Severity::Error,
            kind: FindingKind::Configuration,
            component: Some(name.clone()),
            at: None,
            text: format!(
                "what set-quota gave \"{name}\" is left out until it fits, or its time is over: {why}; \"provost release {name}\" takes it back"
            ),
        };
        self.left_out.iter().map(finding).collect()
    }
}

fn file(paths: &Paths) -> PathBuf {
    paths.state.join("quotas.json")
}

fn parse(bytes: &[u8]) -> Result<QuotaBook, String> {
    let book: QuotaBook = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if book.version != QuotaBook::VERSION {
        let (found, read) = (book.version, QuotaBook::VERSION);
        return Err(format!("its version is {found}, and this provost reads {read}"));
    }
    let most = SPANS.end().0 / 1_000_000;
    let lasts = |quota: &Quota| quota.until.0.saturating_sub(quota.from.0);
    if let Some(long) =
        book.components.values().flat_map(BTreeMap::values).find(|one| lasts(one) > most)
    {
        return Err(format!("it gives something for {}s, and {most}s is the most", lasts(long)));
    }
    Ok(book)
}

/// The keys and values that are asked for.
fn asked(wish: Wish<'_>) -> Result<BTreeMap<QuotaKey, Quota>, CannotGive> {
    let (mut keys, mut issues) = (BTreeMap::new(), Vec::new());
    for (word, value) in wish.keys {
        match quota_key(word) {
            Ok(_) if value.len() > LONGEST_VALUE => issues.push(too_long(word)),
            Ok(key) => {
                let quota = Quota { value: value.clone(), from: wish.now, until: wish.until() };
                keys.insert(key, quota);
            }
            Err(issue) => issues.push(issue),
        }
    }
    if issues.is_empty() {
        return Ok(keys);
    }
    Err(CannotGive::Unfit { name: wish.component.clone(), issues })
}

fn too_long(word: &str) -> ConfigIssue {
    let message = format!("the value of `{word}` has more than {LONGEST_VALUE} bytes");
    ConfigIssue::error(Code::TooLarge, message).help("write it into the configuration")
}

fn unknown(name: &ComponentName, policy: &Policy) -> CannotGive {
    CannotGive::Unknown(UnknownComponent::new(name, policy.components.keys()))
}

/// All that fits over a policy. First all at once, since one may make room for another; then one after the other, the latest last.
fn laid(
    (quotas, latest): (&Quotas, Option<&ComponentName>),
    plain: &Policy,
    host: &Capacity<'_>,
) -> Laying {
    let (there, absent): (Quotas, Quotas) =
        quotas.clone().into_iter().partition(|(name, _)| plain.components.contains_key(name));
    let mut left_out: BTreeMap<ComponentName, Vec<ConfigIssue>> =
        absent.into_keys().map(|name| (name, Vec::new())).collect();
    let mut laid = Laid { policy: plain.clone(), warnings: Vec::new() };
    if there.is_empty() {
        return Laying { laid, left_out };
    }
    if let Ok(laid) = plain.with_quotas(&there, host) {
        return Laying { laid, left_out };
    }
    let mut in_order: Vec<_> = there.into_iter().collect();
    in_order.sort_by_key(|(name, keys)| {
        (latest == Some(name), keys.values().map(|quota| quota.from).max())
    });
    let mut held = Quotas::new();
    for (name, keys) in in_order {
        held.insert(name.clone(), keys);
        match plain.with_quotas(&held, host) {
            Ok(with) => laid = with,
            Err(issues) => {
                held.remove(&name);
                left_out.insert(name, issues);
            }
        }
    }
    Laying { laid, left_out }
}

/// Whether a problem is one of what this component is given: each line of that names its component.
fn concerns(issue: &ConfigIssue, component: &ComponentName) -> bool {
    let head = format!("component.{component}.");
    issue.marks.iter().any(|mark| {
        let line = mark.place.file.text.lines().nth(mark.place.line().saturating_sub(1));
        line.is_some_and(|line| line.starts_with(&head))
    })
}

/// Why something is left out, as a clause.
fn why(issues: &[ConfigIssue]) -> String {
    let error = issues.iter().find(|issue| issue.is_error());
    error.map_or_else(
        || "the configuration has no such component now".to_owned(),
        |error| format!("it does not fit into the configuration: {}", error.message),
    )
}

/// What a policy says in place of each.
fn configured(quotas: &Quotas, policy: &Policy) -> BTreeMap<(ComponentName, QuotaKey), String> {
    let entries = entries(policy).into_iter().filter_map(|entry| {
        let name: ComponentName = entry.component?.parse().ok()?;
        let key = QuotaKey::of_word(&entry.key)?;
        let is_given = quotas.get(&name).is_some_and(|keys| keys.contains_key(&key));
        is_given.then_some(((name, key), entry.value))
    });
    entries.collect()
}

#[cfg(test)]
mod tests;
