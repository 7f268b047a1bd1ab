//! Tests beside a real systemd, in throwaway virtual machines: `scripts/vm test --cell d12,d13`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]

mod essentials;
mod gate;
mod guest;
