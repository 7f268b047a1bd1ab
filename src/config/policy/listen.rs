//! Where metrics and health are served over HTTP.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A place where others may ask over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// `http.sock` in the run folder, for root and the group provost.
    Unix,
    /// An address of this host's loopback, for whoever runs here.
    Tcp(SocketAddr),
}

impl Listen {
    /// Where Prometheus finds provost unless configured.
    const PORT: u16 = 17768;

    /// Where unless configured.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        vec![Self::Unix, Self::Tcp(SocketAddr::new(loopback, Self::PORT))]
    }
}

impl fmt::Display for Listen {
    /// As in the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix => f.write_str("unix"),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}
