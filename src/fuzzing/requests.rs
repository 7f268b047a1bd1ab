//! Any line as a request to the daemon and as its reply.

use crate::serve::{Reply, Request};

/// What is read writes to one line that reads as the same, whatever else was in the text.
///
/// # Panics
/// When this does not hold.
pub fn requests(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(request) = serde_json::from_str::<Request>(&text) {
        let line = serde_json::to_string(&request).unwrap_or_default();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Request>(&line).ok(), Some(request));
    }
    if let Ok(reply) = serde_json::from_str::<Reply>(&text) {
        let line = serde_json::to_string(&reply).unwrap_or_default();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Reply>(&line).ok(), Some(reply));
    }
}
