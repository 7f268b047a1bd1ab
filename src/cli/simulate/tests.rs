//! What `provost simulate` prints.

use super::*;

/// Plays the first minutes of a built-in scenario.
fn trial(name: &str, minutes: u64) -> Trial {
    let built_in = BUILT_IN.iter().find(|built_in| built_in.name == name).unwrap();
    let mut scenario = Scenario::built_in(built_in).unwrap();
    scenario.duration = Span::secs(60 * minutes);
    let runs = Arm::ALL.into_iter().map(|arm| scenario.play(arm)).collect();
    Trial { scenario, runs }
}

#[test]
fn the_table_of_steps_reads_well() {
    let table = text(&[trial("steps", 6)]);
    assert!(table.lines().all(|line| line.chars().count() <= COLUMNS), "{table}");
    insta::assert_snapshot!(table);
}

#[test]
fn the_table_of_a_memory_hog_reads_well() {
    let table = text(&[trial("memory-hog", 3)]);
    assert!(table.lines().all(|line| line.chars().count() <= COLUMNS), "{table}");
    insta::assert_snapshot!(table);
}

#[test]
fn the_list_reads_well() {
    insta::assert_snapshot!(list(false).stdout);
}

#[test]
fn the_document_names_its_schema_and_every_mark() {
    let document: Value = serde_json::from_str(&document(&[trial("leak", 1)])).unwrap();
    assert_eq!(document["schema"], "provost/simulate/v1");
    let runs = document["scenarios"][0]["runs"].as_array().unwrap();
    let strategies: Vec<&str> = runs.iter().map(|run| run["strategy"].as_str().unwrap()).collect();
    let all = ["none", "static", "conservative", "balanced", "aggressive", "adaptive"];
    assert_eq!(strategies, all);
    for run in runs {
        for key in ["cpu_pressure_usec", "writes", "kills", "kills_avoided", "below_floor_usec"] {
            assert!(run[key].is_u64(), "{key} of {run}");
        }
    }
}

#[test]
fn the_chart_is_the_same_twice_and_holds_every_run() {
    let chart = chart::svg(&[trial("disk-hog", 2)]);
    assert_eq!(chart, chart::svg(&[trial("disk-hog", 2)]));
    for arm in Arm::ALL {
        assert!(chart.contains(&format!(">{}</text>", arm.word())), "{}", arm.word());
    }
    assert!(!chart.contains("href") && !chart.contains("script"));
    assert!(chart.contains("prefers-color-scheme:dark"));
}

#[test]
fn numbers_are_short_and_honest() {
    let second = |usec| seconds(Span(usec));
    assert_eq!([second(0), second(99_999)], ["0s", "<0.1s"]);
    assert_eq!([second(1_250_000), second(4_000_000_000)], ["1.2s", "4000s"]);
    assert_eq!([percent(9_999), percent(10_000)], ["99.9%", "100.0%"]);
    assert_eq!(hundredths(125), "1.25");
}
