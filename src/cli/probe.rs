//! What probing found, as `provost status` and `provost explain` tell it.

use crate::model::{ComponentReport, ProbeView};
use std::fmt::Write as _;

/// Each component that is probed, with what it needs and what it gave back, as one line; nothing where none is.
pub(super) fn line(components: &[ComponentReport]) -> Option<String> {
    let word = |component: &ComponentReport| {
        let view = component.probe.as_ref()?;
        let set =
            view.working_set.map_or_else(|| "not known yet".to_owned(), |set| set.to_string());
        Some(format!("{} {set} ({} saved)", component.name, view.saved()))
    };
    let words: Vec<String> = components.iter().filter_map(word).collect();
    (!words.is_empty()).then(|| format!("working sets: {}", words.join(", ")))
}

/// The lines of one component; nothing where it is not probed.
pub(super) fn text(view: Option<&ProbeView>) -> String {
    let Some(view) = view else { return String::new() };
    let set = view.working_set.map_or_else(
        || "not known yet: ten minutes of probing without waiting tell it".to_owned(),
        |set| set.to_string(),
    );
    let mut out = format!("  working set {set}\n");
    // Writing to a String cannot fail.
    let _ok = writeln!(
        out,
        "          {} taken back, of which {} were read again",
        view.given, view.read_back
    );
    if let Some(why) = &view.holds {
        let _ok = writeln!(out, "          nothing is taken now: {why}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sample_report;
    use crate::units::Bytes;

    #[test]
    fn what_probing_found_reads_well() {
        let known = ProbeView {
            working_set: Some(Bytes::mebi(220)),
            given: Bytes::mebi(96),
            read_back: Bytes::mebi(12),
            holds: None,
        };
        let fresh = ProbeView {
            working_set: None,
            given: Bytes::ZERO,
            read_back: Bytes::ZERO,
            holds: Some("a rotating disk holds the swap".to_owned()),
        };
        let mut report = sample_report();
        assert_eq!(line(&report.components), None);
        assert_eq!(text(None), "");
        let both = [known, fresh];
        for (component, view) in report.components.iter_mut().zip(&both) {
            component.probe = Some(view.clone());
        }
        let told: String = both.iter().map(|view| text(Some(view))).collect();
        let line = line(&report.components).unwrap();
        assert!(line.chars().count() <= 100, "{line}");
        insta::assert_snapshot!(format!("{line}\n{told}"));
    }
}
