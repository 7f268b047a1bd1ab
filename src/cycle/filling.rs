//! What a person should know of file systems: those that fill up, and those that do not answer. Must not say anything of what is well.

use crate::model::{FileSystemView, Finding, FindingKind, Level, Room, Severity};
use crate::units::Span;

const TOLD: Span = Span::secs(7 * 86_400);
const URGENT: Span = Span::secs(86_400);

/// One finding for each file system that is not well.
pub(super) fn findings(filesystems: &[FileSystemView]) -> impl Iterator<Item = Finding> {
    filesystems.iter().flat_map(|view| [silent(view), full(view), soon_full(view)]).flatten()
}

fn silent(view: &FileSystemView) -> Option<Finding> {
    let at = &view.seen.at;
    let text = match view.seen.room {
        Room::Known { .. } => return None,
        Room::Hangs { .. } => format!(
            "{at} ({}) does not answer; how full it is is not known, and programs that use it hang",
            view.seen.kind
        ),
        Room::Failed { errno } => {
            format!("how full {at} ({}) is is not known: error {errno} of statvfs", view.seen.kind)
        }
    };
    Some(finding(Severity::Warning, text))
}

fn full(view: &FileSystemView) -> Option<Finding> {
    let severity = match view.alert {
        Level::Normal => return None,
        Level::Warning | Level::Critical => Severity::Warning,
        Level::Emergency => Severity::Error,
    };
    let text = format!(
        "{} ({}) fills up, {}: {}; free some, or change thresholds.disk",
        view.seen.at, view.seen.kind, view.alert, view.cause
    );
    Some(finding(severity, text))
}

/// Told a week ahead, and a day ahead with emphasis.
fn soon_full(view: &FileSystemView) -> Option<Finding> {
    let fills = view.fills.filter(|fills| fills.likely <= TOLD)?;
    let severity = if fills.likely <= URGENT { Severity::Warning } else { Severity::Info };
    let text = format!(
        "{} ({}) is full {}, if it goes on as in the last hours; see what grows there, or give it a table [storage.NAME]",
        view.seen.at,
        view.seen.kind,
        fills.told()
    );
    Some(finding(severity, text))
}

fn finding(severity: Severity, text: String) -> Finding {
    Finding { severity, kind: FindingKind::DiskSpace, component: None, at: None, text }
}
