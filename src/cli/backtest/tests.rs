//! What `provost backtest` prints.
#![allow(clippy::disallowed_methods, reason = "test code: series are written to be read")]

use super::*;
use clap::Parser as _;

/// A week of five-minute lines: a day's wave and something like noise.
fn wave(top: usize) -> String {
    let line = |bucket: usize| {
        let hour = bucket % 288 / 12;
        let day = if hour < 12 { hour } else { 24 - hour };
        format!("{},{}.{}\n", 1_600_000_000 + 300 * bucket, top + day * 4, bucket * 7919 % 97)
    };
    (0..288 * 7).map(line).collect()
}

fn report(series: &[(&str, String)]) -> Report {
    let settings = Settings::usual(Fold::Mean);
    let series = series.iter().map(|(name, text)| Series::parse(name, text).unwrap());
    let tested = series.map(|series| test(&series, &settings)).collect();
    Report { horizon: Span::secs(900), settings, tested }
}

fn run(args: &[&str]) -> Result<Printout, Failure> {
    let all = ["provost", "backtest"].iter().chain(args);
    let cli = Cli::try_parse_from(all).unwrap();
    let crate::cli::args::Verb::Backtest(args) = &cli.verb else { panic!("another verb") };
    backtest(&cli, args)
}

/// A folder with these files, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("provost-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            std::fs::write(folder.join(file), text).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn the_table_reads_well() {
    let report = report(&[("front", wave(20)), ("back", wave(3))]);
    let table = text(&report);
    assert!(table.lines().all(|line| line.chars().count() <= COLUMNS), "{table}");
    insta::assert_snapshot!(table);
}

#[test]
fn the_document_names_its_schema_and_every_mark() {
    let report = report(&[("front", wave(20))]);
    let document: Value = serde_json::from_str(&document(&report)).unwrap();
    assert_eq!(document["schema"], "provost/backtest/v1");
    assert_eq!(document["horizon_usec"], 900_000_000);
    for bounds in [&document["medians"], &document["series"][0]["bounds"]] {
        let bounds = bounds.as_array().unwrap();
        let named: Vec<&str> = bounds.iter().map(|bound| bound["name"].as_str().unwrap()).collect();
        assert_eq!(named, names());
        for key in ["pinball_percent", "coverage_percent", "over_percent", "under_percent"] {
            assert!(bounds.iter().all(|bound| bound[key].is_f64()), "{key}");
        }
    }
    assert_eq!(document["series"][0]["judged"], 288 * 7 * 3 / 4 - 3);
}

#[test]
fn the_chart_is_the_same_twice_and_holds_every_series() {
    let report = report(&[("front <&>", wave(20)), ("back", wave(3))]);
    let chart = chart::svg(&report);
    assert_eq!(chart, chart::svg(&report));
    assert_eq!(chart.matches("class=\"use\"").count(), 2);
    assert!(chart.contains("front &lt;&amp;&gt;") && !chart.contains("NaN"));
    assert!(chart.len() < 200_000, "{}", chart.len());
}

#[test]
fn a_folder_stands_for_its_series() {
    let folder =
        Folder::new("backtest", &[("b.csv", &wave(5)), ("a.csv", &wave(9)), ("c.txt", "x")]);
    let chart = folder.0.join("chart.svg");
    let printed =
        run(&[folder.path(), "--svg", chart.to_str().unwrap(), "--horizon", "30m"]).unwrap();
    assert_eq!((printed.exit, printed.stderr.as_str()), (0, ""));
    assert!(printed.stdout.starts_with("2 series, medians; horizon 30m, quantile 0.95\n"));
    let places = ["\na ", "\nb "].map(|name| printed.stdout.find(name).unwrap());
    assert!(places.is_sorted());
    assert!(std::fs::read_to_string(chart).unwrap().ends_with("</svg>\n"));
}

#[test]
fn all_problems_are_told_at_once() {
    let files = [("a.csv", "1,2\n2,x\n"), ("b.csv", ""), ("c.csv", "1,2\n")];
    let folder = Folder::new("backtest-bad", &files);
    let printed = run(&[folder.path(), "/nowhere.csv"]).unwrap();
    assert_eq!((printed.exit, printed.stdout.as_str()), (1, ""));
    let told: Vec<&str> = printed.stderr.lines().collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("a.csv:2: \"x\" is no number; leave the value empty for a gap"));
    assert!(told[1].contains("b.csv holds no values"));
    assert!(told[2].contains("failed to read /nowhere.csv: No such file"));
    let printed = run(&["--json", folder.path()]).unwrap();
    let document: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(document["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_too_short_is_told_and_left_out() {
    let folder = Folder::new("backtest-short", &[("a.csv", "1,2\n"), ("b.csv", &wave(5))]);
    let printed = run(&[folder.path()]).unwrap();
    assert_eq!(printed.exit, 0);
    assert_eq!(
        printed.stderr,
        "provost: a is too short to judge anybody on; record a day or more\n"
    );
    assert!(printed.stdout.starts_with("1 series; "));
    let alone = folder.0.join("a.csv");
    assert_eq!(run(&[alone.to_str().unwrap()]).unwrap().exit, 1);
}

#[test]
fn wrong_settings_are_wrong_use() {
    for args in [["x.csv", "--horizon", "2h"], ["x.csv", "--quantile", "0.2"]] {
        let failure = run(&args).unwrap_err().printout();
        assert_eq!(failure.exit, 2);
        assert!(failure.stderr.contains("is not between"), "{}", failure.stderr);
    }
    let parsed = Cli::try_parse_from(["provost", "backtest", "x.csv", "--quantile", "95"]);
    assert!(parsed.unwrap_err().to_string().contains("write a part of one, such as 0.95"));
}
