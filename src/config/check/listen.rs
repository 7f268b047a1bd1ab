//! Where metrics and health are served: a socket of the run folder, and addresses that no other host can reach.

use super::Check;
use crate::config::issue::{Code, ConfigIssue};
use crate::config::merged::Key;
use crate::config::policy::Listen;
use crate::config::raw;
use crate::config::suggest::shorten;
use std::net::SocketAddr;

/// The most places.
const MOST: usize = 8;

impl Check<'_> {
    /// The places; the usual ones where none are written.
    pub(super) fn listen(&mut self, raw: Option<&raw::Http>, usual: Vec<Listen>) -> Vec<Listen> {
        let Some(written) = raw.and_then(|raw| raw.listen.as_ref()) else { return usual };
        let table = Key::default().then("http").then("listen");
        let mut places = Vec::new();
        for (number, text) in written.iter().enumerate() {
            let key = self.item(&table, number);
            let Some(place) = self.place_to_listen(&key, &text.0) else { continue };
            if places.contains(&place) {
                let message = format!("`listen` names \"{place}\" twice");
                let issue = ConfigIssue::error(Code::ListenAddress, message);
                self.report(issue, &key, "again here");
            } else {
                places.push(place);
            }
        }
        if places.len() > MOST {
            let message =
                format!("{} places to listen are more than the {MOST} that are kept", places.len());
            self.report(ConfigIssue::error(Code::TooLarge, message), &table, "too many");
            places.truncate(MOST);
        }
        places
    }

    fn place_to_listen(&mut self, key: &Key, text: &str) -> Option<Listen> {
        const FORMS: &str = "write \"unix\" for http.sock in /run/provost, or an address of the loopback with a port, such as \"127.0.0.1:17768\" or \"[::1]:17768\"";
        if text == "unix" {
            return Some(Listen::Unix);
        }
        let Some(address) = text.parse::<SocketAddr>().ok().filter(|address| address.port() > 0)
        else {
            let message = format!("\"{}\" is no place to listen", shorten(text));
            let issue = ConfigIssue::error(Code::ListenAddress, message).help(FORMS);
            self.report(issue, key, "no address with a port");
            return None;
        };
        if !address.ip().is_loopback() {
            let message = format!(
                "other hosts could ask at {address}, and provost asks nobody for a password"
            );
            let issue = ConfigIssue::error(Code::ListenAddress, message).help(
                "listen on the loopback only; for other hosts put a proxy with a password before it, or let Prometheus read node_exporter's \
                 textfile collector",
            );
            self.report(issue, key, "not of the loopback");
            return None;
        }
        Some(Listen::Tcp(address))
    }
}
