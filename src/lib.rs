//! provost
