//! Any bytes as what was learnt of demand.

use crate::model::Learnt;

/// Any bytes make what was learnt or an error, and what they make survives its own writing.
///
/// # Panics
/// When that does not hold.
pub fn learnt(data: &[u8]) {
    let Ok(learnt) = Learnt::read(data) else { return };
    let text = learnt.text().unwrap_or_default();
    assert_eq!(Learnt::read(text.as_bytes()).ok(), Some(learnt));
}
