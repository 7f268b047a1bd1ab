//! `provost history --reach`: how far back each part of the recording goes.

use super::Printout;
use super::args::Cli;
use super::fail::Failure;
use super::past::{moment, unreadable};
use super::render::{COLUMNS, Column, Table, paragraph};
use crate::record::{Reach, RingError, Which, reach as read};
use crate::units::{Bytes, Span};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

type Found = (Which, Reach);

pub(super) fn reach(cli: &Cli) -> Result<Printout, Failure> {
    let mut found: Vec<Found> = Vec::new();
    let mut why: Option<RingError> = None;
    for which in Which::ALL {
        match read(&cli.state_dir, which) {
            Ok(reach) => found.push((which, reach)),
            // The first of them counts: a part that is not there yet is told by its absence.
            Err(error) if !error.is_missing() => return Err(unreadable(cli, &error)),
            Err(error) => why = why.or(Some(error)),
        }
    }
    match why.filter(|_| found.is_empty()) {
        Some(error) => Err(unreadable(cli, &error)),
        None if cli.json => Ok(Printout::text(document(&found))),
        None => Ok(Printout::text(text(&found, &TimeZone::system()))),
    }
}

/// What it holds, and what it serves.
const fn words(which: Which) -> (&'static str, &'static str) {
    match which {
        Which::Looks => ("every cycle, whole", "replay, plan, monitor --recording"),
        Which::Events => ("what happened", "history, events, report"),
        Which::Minutes => ("use by minute", "history --statistics, report, export"),
        Which::Hours => ("use by hour", "the same, further back"),
    }
}

fn text(found: &[Found], zone: &TimeZone) -> String {
    let mut table = Table::new([
        Column::left("RECORDED"),
        Column::left("SINCE"),
        Column::right("FOR"),
        Column::right("FILE"),
        Column::left("SERVES"),
    ]);
    for (which, reach) in found {
        let (what, serves) = words(*which);
        let since =
            reach.span.map_or_else(|| "nothing yet".to_owned(), |span| moment(span.0, zone));
        let long = reach.span.map_or_else(|| "-".to_owned(), length);
        table.row([what, &since, &long, &Bytes(reach.bytes).to_string(), serves]);
    }
    let lost = found.iter().filter(|(_, reach)| !reach.lost.words().is_empty());
    let lost = lost.map(|(which, reach)| {
        paragraph(&format!("{}: {}", words(*which).0, reach.lost.words().join("; ")))
    });
    table.render(COLUMNS) + &lost.collect::<String>()
}

fn length((from, to): (u64, u64)) -> String {
    // To the minute: what is older than an hour interests nobody to the second.
    let seconds = to.saturating_sub(from);
    Span::secs(if seconds < 3600 { seconds } else { seconds / 60 * 60 }).to_string()
}

fn document(found: &[Found]) -> String {
    let parts: Vec<Value> = found
        .iter()
        .map(|(which, reach)| {
            json!({
                "part": part(*which), "from": reach.span.map(|span| span.0), "to": reach.span.map(|span| span.1),
                "bytes": reach.bytes, "lost": reach.lost.words(),
            })
        })
        .collect();
    let document = json!({ "schema": "provost/reach/v1", "parts": parts });
    format!("{document:#}\n")
}

const fn part(which: Which) -> &'static str {
    match which {
        Which::Looks => "looks",
        Which::Events => "events",
        Which::Minutes => "minutes",
        Which::Hours => "hours",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Lost;

    #[test]
    fn says_since_when_and_what_for() {
        let of = |from: u64, bytes| Reach {
            span: Some((from, 1_700_086_400)),
            bytes,
            lost: Lost::default(),
        };
        let found = [
            (Which::Looks, of(1_700_072_700, 7_654_321)),
            (Which::Events, Reach { span: None, ..of(0, 838_860) }),
            (
                Which::Minutes,
                Reach {
                    lost: Lost { damaged: 2, ..Lost::default() },
                    ..of(1_700_052_540, 838_860)
                },
            ),
            (Which::Hours, of(1_697_494_400, 1_153_433)),
        ];
        insta::assert_snapshot!("reach", text(&found, &TimeZone::UTC));
        insta::assert_snapshot!("reach-json", document(&found));
    }

    #[test]
    fn a_length_is_to_the_minute() {
        assert_eq!(length((0, 95)), "1m35s");
        assert_eq!(length((0, 13_715)), "3h48m");
    }
}
