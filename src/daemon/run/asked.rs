//! What people ask of the running daemon: its status, another configuration, enforcing or not, its end.

use super::super::chosen::CannotChoose;
use super::super::given::Wish;
use super::super::start::{hooks, kept, load_policy};
use super::super::timetable::Timetable;
use super::super::wait::listen_to_executions;
use super::super::words::account_text;
use super::Daemon;
use crate::config::{Mode, Policy, Strategy, diff};
use crate::enforce::{JournalError, Order, Returned};
use crate::kernel::clock;
use crate::model::{Finding, FindingKind, Moment, Severity};
use crate::serve::{Asked, Reply, Request};
use crate::units::{ComponentName, Span};

/// Nobody remembers why for longer.
const LONGEST_SILENCE: Span = Span::secs(30 * 86_400);

impl Daemon {
    pub(super) fn answer(&mut self, asked: Asked) {
        let reply = match &asked.request {
            Request::Status => Reply::Status { report: Box::new(self.report()) },
            // The talking thread answers this before it comes here.
            Request::Health => Reply::Health { health: self.report().health },
            Request::Reload => match self.reload() {
                Ok(text) => Reply::Done { text },
                Err(text) => Reply::Failed { text, exit: 78 },
            },
            Request::Enforce { on } => match self.enforce(*on) {
                Ok(Some(text)) => Reply::Done { text },
                // Answered when everything was given back.
                Ok(None) => {
                    self.give_back = Some(asked);
                    return;
                }
                Err(text) => Reply::Failed { text, exit: 1 },
            },
            Request::Strategy { word, component } => {
                self.choose(word.as_deref(), component.as_ref())
            }
            Request::Acknowledge { id } => done(self.voice.alerting.acknowledge(id)),
            Request::Silence { id, span } => {
                let span = (*span).min(LONGEST_SILENCE);
                done(self.voice.alerting.silence(id, clock::now(), span))
            }
            Request::SetQuota { component, keys, span, dry_run } => {
                let now = Moment(clock::wall_secs());
                self.set_quota(Wish { component, keys, span: *span, now }, *dry_run)
            }
            Request::Release { component } => self.release(component),
            Request::Stop => {
                self.leaving = true;
                Reply::Done { text: "stopping".to_owned() }
            }
        };
        // A client that hung up does not want the answer.
        let _heard = asked.answer.send(reply);
    }

    fn enforce(&mut self, on: bool) -> Result<Option<String>, String> {
        let paths = &self.options.paths;
        paths
            .set_enforce_switch(on)
            .map_err(|error| format!("cannot remember the switch: {error}"))?;
        self.enforcing = on;
        self.policy.mode = Mode::of(on);
        self.state.forgive();
        self.recorder.begin_anew();
        self.recorder.said(if on {
            "enforcing was switched on"
        } else {
            "enforcing was switched off"
        });
        if on {
            self.gate.policy_changed();
            return Ok(Some("enforcing".to_owned()));
        }
        // Closed and its anchors ended first: nobody may move in any more while all move out.
        let moved = self.gate.close();
        self.gated(moved);
        self.worker.order(Order::GiveBack);
        Ok(None)
    }

    /// Another strategy from the next look on: nothing else is decided anew.
    fn choose(&mut self, word: Option<&str>, component: Option<&ComponentName>) -> Reply {
        let strategy = word.and_then(Strategy::of_word);
        if let (Some(word), None) = (word, strategy) {
            return Reply::Failed { text: format!("there is no strategy \"{word}\""), exit: 2 };
        }
        let mut chosen = self.chosen.clone();
        let may = match component {
            Some(name) => chosen.choose_for(&self.policy, name, strategy),
            None => {
                chosen.choose(strategy);
                Ok(())
            }
        };
        if let Err(error) = may {
            let exit = if matches!(error, CannotChoose::Unknown(_)) { 4 } else { 1 };
            return Reply::Failed { text: error.to_string(), exit };
        }
        if let Err(error) = chosen.write(&self.options.paths) {
            return Reply::Failed {
                text: format!("cannot remember the strategy: {error}"),
                exit: 1,
            };
        }
        self.recorder.begin_anew();
        chosen.lift(&mut self.policy);
        chosen.lay_over(&mut self.policy);
        self.chosen = chosen;
        let own =
            component.map(|name| self.policy.components.get(name).and_then(|found| found.strategy));
        let now = own.flatten().unwrap_or(self.policy.strategy).word();
        let text = match component {
            Some(name) => format!("strategy of {name}: {now}"),
            None => format!("strategy: {now}"),
        };
        tracing::info!("{text}");
        self.recorder.said(&*text);
        Reply::Done { text }
    }

    pub(super) fn given_back(&mut self, account: Result<Vec<Returned>, JournalError>) {
        let reply = match account {
            Ok(account) => Reply::Done { text: account_text(&account) },
            Err(error) => Reply::Failed { text: error.to_string(), exit: 1 },
        };
        self.state.ownership.clear();
        self.state.replan();
        self.recorder.begin_anew();
        self.happened.reconcile = true;
        if let Some(asked) = self.give_back.take() {
            let _heard = asked.answer.send(reply);
        }
    }

    pub(super) fn reload(&mut self) -> Result<String, String> {
        let told = self.read_again();
        self.outdated = told.is_err();
        told
    }

    fn read_again(&mut self) -> Result<String, String> {
        let loaded = load_policy(&self.options.sources, &self.collector.last().host)
            .map_err(|error| format!("{error}\nthe old configuration stays in force"))?;
        let (timetable, plain) = Timetable::new(loaded, &self.collector.last().host);
        self.timetable = timetable;
        let policy = self.given.lay_over(plain, &self.collector.last().host);
        let changes = self.take_over(policy);
        for change in &changes {
            tracing::info!("reload: {change}");
            self.recorder.said(format!("reload: {change}"));
        }
        let summary =
            if changes.is_empty() { "nothing changed".to_owned() } else { changes.join("\n") };
        Ok(format!("configuration read again\n{summary}"))
    }

    /// Another policy holds from now on. What differs.
    pub(super) fn take_over(&mut self, mut policy: Policy) -> Vec<String> {
        self.chosen.lay_over(&mut policy);
        policy.mode = self.options.paths.enforce_switch().map_or(policy.mode, Mode::of);
        self.policy.interval = self.voice.pace.configured();
        let changes = diff(&self.policy, &policy);
        self.voice.pace.configure(policy.interval);
        self.worker.order(Order::Keep(kept(&policy)));
        self.worker.order(Order::Hooks(hooks(&policy)));
        self.enforcing = policy.mode == Mode::Enforce;
        self.voice.talk.listen.send_if_modified(|places| {
            let is_other = *places != policy.listen;
            places.clone_from(&policy.listen);
            is_other
        });
        self.policy = policy;
        self.keep_pace();
        self.voice.alerting.sinks.configure(&self.policy.alerts);
        if self.executions.is_none() {
            self.executions = listen_to_executions(&self.policy, &self.sources);
        }
        self.collector.policy_changed();
        self.gate.policy_changed();
        self.state.forgive();
        self.recorder.begin_anew();
        changes
    }
}

fn done(result: Result<String, String>) -> Reply {
    match result {
        Ok(text) => Reply::Done { text },
        Err(text) => Reply::Failed { text, exit: 1 },
    }
}

/// Told until a reload succeeds.
pub(super) fn outdated() -> Finding {
    Finding {
        severity: Severity::Error,
        kind: FindingKind::Configuration,
        component: None,
        at: None,
        text: "the last reload failed, so the configuration from before it is in force; run \"provost check\" to see why".to_owned(),
    }
}
