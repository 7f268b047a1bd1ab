//! Alerts: how often they are told, and to whom.

use super::Check;
use super::hook::TIMEOUT;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::{AlertPolicy, Webhook};
use crate::config::raw;
use crate::config::suggest::shorten;
use crate::model::{Hook, Level};
use crate::units::Span;

impl Check<'_> {
    pub(super) fn alerts(
        &mut self,
        raw: Option<&raw::Alerts>,
        default: AlertPolicy,
    ) -> AlertPolicy {
        let Some(raw) = raw else { return default };
        let key = Key::default().then("alerts");
        let range = Span::secs(10)..=Span::secs(86_400);
        let cooldown = self.duration(&key.then("cooldown"), raw.cooldown.as_ref(), range);
        AlertPolicy {
            cooldown: cooldown.unwrap_or(default.cooldown),
            journal: raw.journal.unwrap_or(default.journal),
            hook: raw.hook.as_ref().and_then(|raw| self.alert_hook(&key.then("hook"), raw)),
            webhook: raw.webhook.as_ref().and_then(|raw| self.webhook(&key.then("webhook"), raw)),
        }
    }

    fn alert_hook(&mut self, key: &Key, raw: &raw::AlertHook) -> Option<Hook> {
        let range = Span::secs(1)..=Span::secs(60);
        let timeout = self.duration(&key.then("timeout"), raw.timeout.as_ref(), range);
        let command = self.hook_command(&key.then("command"), &raw.command);
        let user = self.hook_user(&key.then("user"), &raw.user);
        let from = severity(raw.from);
        Some(Hook { command: command?, user: user?, timeout: timeout.unwrap_or(TIMEOUT), from })
    }

    fn webhook(&mut self, key: &Key, raw: &raw::Webhook) -> Option<Webhook> {
        let parsed = Webhook::parse(&raw.url.0, severity(raw.from));
        if let Err(why) = parsed {
            let message = format!("\"{}\" is no place for alerts: {why}", shorten(&raw.url.0));
            let issue = ConfigIssue::error(Code::Webhook, message).help(
                "write an address of the loopback or of a private network, such as \"http://127.0.0.1:9093/alerts\"; names are not looked up, and \
                 for what is farther, or wants https, a forwarder on this host",
            );
            self.report(issue, &key.then("url"), why);
        }
        parsed.ok()
    }
}

const fn severity(raw: Option<raw::HookLevel>) -> Level {
    match raw {
        None | Some(raw::HookLevel::Warning) => Level::Warning,
        Some(raw::HookLevel::Critical) => Level::Critical,
        Some(raw::HookLevel::Emergency) => Level::Emergency,
    }
}
