//! What `provost simulate` prints.

use super::*;
use clap::Parser as _;

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
fn what_is_told_of_a_leak_reads_well() {
    let built_in = BUILT_IN.iter().find(|built_in| built_in.name == "slow-leak").unwrap();
    let scenario = Scenario::built_in(built_in).unwrap();
    let runs = vec![scenario.play(Arm::Static)];
    let trial = Trial { scenario, runs };
    let document = one(&trial);
    let severity = &document["runs"][0]["told"][0]["finding"]["severity"];
    assert_eq!(severity, "error", "{document:#}");
    let table = text(&[trial]);
    assert!(table.lines().all(|line| line.chars().count() <= COLUMNS), "{table}");
    insta::assert_snapshot!(table);
}

/// What `--all` plays, shortened: the first minutes of each, and seconds of the largest.
#[test]
fn the_tables_of_all_scenarios_read_well() {
    let (mut scenarios, warnings) = load(&args(&["--all", "--strategy", "balanced"])).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    for scenario in &mut scenarios {
        let is_large = scenario.name == "thousand";
        scenario.duration = Span::secs(if is_large { 5 } else { 150 });
    }
    let names: Vec<String> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    assert_eq!(names, BUILT_IN.map(|built_in| built_in.name));
    let trial = |scenario: Scenario| {
        let arms = arms(&args(&["--all", "--strategy", "balanced"]), &scenario);
        let runs = arms.iter().map(|arm| scenario.play(*arm)).collect();
        Trial { scenario, runs }
    };
    let table = text(&scenarios.into_iter().map(trial).collect::<Vec<_>>());
    assert!(table.lines().all(|line| line.chars().count() <= COLUMNS), "{table}");
    insta::assert_snapshot!(table);
}

#[test]
fn a_folder_stands_for_its_scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let (scenarios, _) = load(&args(&[folder.to_str().unwrap()])).unwrap();
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    assert!(names.is_sorted() && names.contains(&"recorded"), "{names:?}");
    assert_eq!(names.len(), BUILT_IN.len() + 1);
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

fn args(words: &[&str]) -> SimulateArgs {
    let cli = Cli::parse_from([&["provost", "simulate"], words].concat());
    let super::super::args::Verb::Simulate(args) = cli.verb else {
        panic!("{words:?} is another verb");
    };
    args
}

/// Runs the verb with these words behind it.
fn verb(words: &[&str]) -> Printout {
    let cli = Cli::parse_from([&["provost", "simulate"], words].concat());
    let args = args(words);
    simulate(&cli, &args).unwrap_or_else(|failure| failure.printout())
}

#[test]
fn strategies_are_chosen_beside_the_two_to_compare_with() {
    let out = verb(&["steady", "--duration", "5s", "--strategy", "aggressive,adaptive"]);
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    let rows: Vec<String> = out.stdout.lines().map(first).skip(1).take(5).collect();
    assert_eq!(rows, ["STRATEGY", "none", "static", "aggressive", "adaptive"], "{}", out.stdout);
    assert_eq!(out.exit, 0);
}

#[test]
fn another_division_is_told_and_changes_what_comes_of_it() {
    let with = |division| verb(&["crowd", "--duration", "30s", "--division", division]).stdout;
    let told = with("fair").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("seed 1, division fair)"), "{told}");
    assert_ne!(with("fair").replace("fair", "priority"), with("priority"));
}

#[test]
fn exit_codes_are_those_of_other_verbs() {
    assert_eq!(verb(&[]).exit, 0);
    let missing = verb(&["nowhere.toml"]);
    assert_eq!(missing.exit, 78);
    assert!(missing.stderr.contains("failed to read nowhere.toml"), "{}", missing.stderr);
    assert!(verb(&["nowhere.toml", "--json"]).stdout.contains("provost/simulate/v1"));
    assert_eq!(verb(&["steady", "--duration", "32d"]).exit, 2);
    let unwritable = ["steady", "--duration", "1s", "--svg", "/proc/nowhere/chart.svg"];
    assert_eq!(verb(&unwritable).exit, 1);
}

#[test]
fn the_seed_is_another_run() {
    let with = |seed| verb(&["steady", "--duration", "20s", "--json", "--seed", seed]).stdout;
    assert_eq!(with("7"), with("7"));
    assert_ne!(with("7"), with("8").replace("\"seed\": 8", "\"seed\": 7"));
}
