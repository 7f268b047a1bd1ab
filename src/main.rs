//! provost
fn main() {}
