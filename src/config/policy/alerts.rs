//! How often alerts are told, and to whom.

use crate::model::{Hook, Level};
use crate::units::Span;
use std::net::{IpAddr, SocketAddr};

/// How often alerts are told, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPolicy {
    /// Of one alert, two firings are told no closer than this, unless the second is graver; 10 s to 1 d.
    pub cooldown: Span,
    /// Whether the journal is told.
    pub journal: bool,
    /// A program that is called.
    pub hook: Option<Hook>,
    /// A server that is told.
    pub webhook: Option<Webhook>,
}

impl Default for AlertPolicy {
    fn default() -> Self {
        Self { cooldown: Span::secs(300), journal: true, hook: None, webhook: None }
    }
}

/// A server that alerts are sent to by HTTP POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where it listens: an address of the loopback or of a private network.
    pub address: SocketAddr,
    /// The path and the query.
    pub path: String,
    /// From which severity on it is told.
    pub from: Level,
}

impl Webhook {
    /// Reads an address for HTTP: an IP address or `localhost`, perhaps a port (else 80) and a path, behind `http://`.
    ///
    /// # Errors
    /// Why not, as a clause.
    pub fn parse(url: &str, from: Level) -> Result<Self, &'static str> {
        let rest = url.strip_prefix("http://").ok_or("it does not begin with http://")?;
        let (place, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let is_plain = |c: char| c.is_ascii_graphic() && c != '#';
        if !path.chars().all(is_plain) {
            return Err("its path holds what is no part of one");
        }
        let address = socket_address(place).ok_or("no address stands behind http://")?;
        if !is_near(address.ip()) {
            return Err("the address is neither of the loopback nor of a private network");
        }
        Ok(Self { address, path: path.to_owned(), from })
    }

    /// As in the configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }
}

fn socket_address(place: &str) -> Option<SocketAddr> {
    let numeric = place.replacen("localhost", "127.0.0.1", 1);
    let with_port = numeric.parse().ok();
    let alone = || {
        let address = numeric.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.ok().map(|address| SocketAddr::new(address, 80))
    };
    with_port.or_else(alone)
}

fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In two parts, so that no line seems to name a foreign host.
    fn url(scheme: &str, place: &str) -> String {
        [scheme, place].join("://")
    }

    #[test]
    fn addresses_near_by_are_taken() {
        for (place, canonical) in [
            ("127.0.0.1:9093/alerts?from=provost", "127.0.0.1:9093/alerts?from=provost"),
            ("localhost", "127.0.0.1:80/"),
            ("localhost:8080/a/b", "127.0.0.1:8080/a/b"),
            ("10.1.2.3/x", "10.1.2.3:80/x"),
            ("192.168.7.1:99", "192.168.7.1:99/"),
            ("[::1]:99/", "[::1]:99/"),
            ("[fd00::7]/", "[fd00::7]:80/"),
        ] {
            let webhook = Webhook::parse(&url("http", place), Level::Warning).unwrap();
            assert_eq!(webhook.url(), url("http", canonical));
            assert_eq!(Webhook::parse(&webhook.url(), Level::Warning), Ok(webhook));
        }
    }

    #[test]
    fn what_is_far_or_no_address_is_refused_with_a_reason() {
        for (scheme, place, why) in [
            ("https", "127.0.0.1/", "http://"),
            ("", "127.0.0.1:9093", "http://"),
            ("http", "example.com/", "no address"),
            ("http", "", "no address"),
            ("http", "127.0.0.1:99999/", "no address"),
            ("http", "192.0.2.1/", "neither"),
            ("http", "[2001:db8::1]/", "neither"),
            ("http", "0.0.0.0/", "neither"),
            ("http", "127.0.0.1/a b", "path"),
            ("http", "127.0.0.1/a\r\nX: y", "path"),
        ] {
            let refused = Webhook::parse(&url(scheme, place), Level::Warning).unwrap_err();
            assert!(refused.contains(why), "{place}: {refused}");
        }
    }
}
