//! Any bytes as what was learnt of demand.

use crate::decide::Steering;
use crate::model::Learnt;

/// Any bytes make what was learnt or an error; what they make survives its own writing, and being taken up and told again as often as one
/// likes.
///
/// # Panics
/// When one of these does not hold.
pub fn learnt(data: &[u8]) {
    let Ok(learnt) = Learnt::read(data) else { return };
    let text = learnt.text().unwrap_or_default();
    assert_eq!(Learnt::read(text.as_bytes()).ok().as_ref(), Some(&learnt));
    let told = |learnt: &Learnt| {
        let mut steering = Steering::default();
        steering.recall(learnt);
        steering.learnt(learnt.boot.clone())
    };
    // What says nothing of a component is not told again.
    let once = told(&learnt);
    assert!(once.components.iter().all(|(name, of)| learnt.components.get(name) == Some(of)));
    assert_eq!(told(&once), once);
}
