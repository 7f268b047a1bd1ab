//! The first lines of a page: whether all is well, and what was not.

use super::Content;
use super::markup::Markup;
use crate::model::{AlertState, AlertView, Condition, EventOf, Level, Resource};
use crate::units::Span;

/// How the page begins.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    class: &'static str,
    headline: String,
    more: Vec<String>,
}

impl Content<'_> {
    pub(super) fn verdict(&self, body: &mut Markup) {
        let Verdict { class, headline, more } = self.judged();
        body.within("div", &[("class", class)], |inside| {
            inside.element("strong", "", &headline);
            more.iter().for_each(|line| inside.element("p", "", line));
        });
    }

    fn judged(&self) -> Verdict {
        let grave = "verdict grave";
        let mut more = self.shortages();
        more.push(self.done());
        if let Some(now) = self.page.now {
            more.extend(now.health.reasons.iter().cloned());
            if now.health.condition == Condition::Failed {
                let headline = "provost does not look after this host".to_owned();
                return Verdict { class: grave, headline, more };
            }
            let firing: Vec<&AlertView> =
                now.alerts.iter().filter(|alert| alert.state == AlertState::Firing).collect();
            if let Some(first) = firing.first() {
                let class = if first.severity > Level::Warning { grave } else { "verdict warning" };
                let headline = match firing.len() {
                    1 => format!("An alert is firing: {}", first.text),
                    count => format!("{count} alerts are firing, the gravest: {}", first.text),
                };
                return Verdict { class, headline, more };
            }
        }
        let was_short = Resource::ALL.into_iter().any(|resource| self.scarce(resource) > 0);
        let (class, headline) = match (self.page.now, was_short) {
            (None, _) => ("verdict warning", "No daemon answers: this is what was recorded"),
            (Some(_), true) => ("verdict warning", "Something was scarce in this time"),
            (Some(_), false) => ("verdict", "All is well, and nothing was scarce in this time"),
        };
        Verdict { class, headline: headline.to_owned(), more }
    }

    /// For how many seconds a resource was at a level at which somebody protected is slowed down.
    fn scarce(&self, resource: Resource) -> u64 {
        let levels = self.summary.levels.of(resource);
        levels.critical + levels.emergency
    }

    /// How long each resource was scarce, and how it is now.
    fn shortages(&self) -> Vec<String> {
        let line = |resource: Resource| {
            let scarce = self.scarce(resource);
            let now = self.page.now.and_then(|now| now.estimate.levels.get(&resource));
            let now = now.map_or_else(String::new, |view| format!("; it is {} now", view.level));
            let long = Span::secs(scarce);
            (scarce > 0)
                .then(|| format!("{resource} was at level critical or emergency for {long}{now}"))
        };
        Resource::ALL.into_iter().filter_map(line).collect()
    }

    /// How much was done, and what of it failed.
    fn done(&self) -> String {
        let changes = self.events.iter().filter(|event| event.is_allocation());
        let (mut count, mut refused) = (0_u64, 0_u64);
        for event in changes {
            let EventOf::Action { outcome, .. } = &event.of else { continue };
            count += 1;
            refused += u64::from(outcome.result().starts_with("refused"));
        }
        let changed = match count {
            0 => "no limit was changed".to_owned(),
            1 => "limits were changed once".to_owned(),
            count => format!("limits were changed {count} times"),
        };
        match refused {
            0 => changed,
            refused => format!("{changed}, {refused} of them refused"),
        }
    }
}
