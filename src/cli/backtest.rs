//! `provost backtest`: what the forecasts would have been worth on recorded series, beside simple rules. Touches nothing but the files.

mod chart;

use super::Printout;
use super::args::{BacktestArgs, Cli};
use super::fail::Failure;
use super::render::{COLUMNS, Column, Table, wrap};
use crate::estimate::forecast::{Fold, Settings, whole};
use crate::sim::backtest::{Mark, Series, Tested, median, names, test};
use crate::units::Span;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const SCHEMA: &str = "provost/backtest/v1";

/// What stands below the tables.
const LEGEND: &str = "Each bound is for the most in the next buckets, after each bucket of five minutes; the first quarter of a series is for learning and \
                      does not count. PINBALL charges a miss by the quantile and room that was not needed by the rest, in percent of what came; less is \
                      better. COVERAGE are bounds that held, WORST of the series where fewest did; OVER is room that was not needed and UNDER what was \
                      missing, in percent of what came; SWITCHES of the leading model are per day.";

/// What is printed.
#[derive(Debug)]
struct Report {
    horizon: Span,
    settings: Settings,
    tested: Vec<Tested>,
}

/// The medians over all series of one who is judged.
struct Medians {
    pinball: f64,
    coverage: f64,
    worst: f64,
    over: f64,
    under: f64,
}

pub(super) fn backtest(cli: &Cli, args: &BacktestArgs) -> Result<Printout, Failure> {
    let settings = Settings::new(args.horizon, args.quantile, Fold::Mean)
        .map_err(|error| Failure::new(2, error.to_string()))?;
    let series = match load(&args.series) {
        Ok(series) => series,
        Err(problems) => return Ok(refused(&problems, cli.json)),
    };
    let tested: Vec<Tested> = series.iter().map(|series| test(series, &settings)).collect();
    let (tested, short): (Vec<_>, Vec<_>) = tested.into_iter().partition(Tested::is_judged);
    let short: Vec<String> = short
        .into_iter()
        .map(|one| format!("{} is too short to judge anybody on; record a day or more", one.name))
        .collect();
    if tested.is_empty() {
        return Ok(refused(&short, cli.json));
    }
    let report = Report { horizon: args.horizon, settings, tested };
    if let Some(file) = &args.svg {
        write_chart(file, &chart::svg(&report))?;
    }
    let stdout = if cli.json { document(&report) } else { text(&report) };
    Ok(Printout { stdout, stderr: lines(&short), exit: 0 })
}

/// Reads all series, and tells the problems of all.
fn load(paths: &[PathBuf]) -> Result<Vec<Series>, Vec<String>> {
    let (mut series, mut problems) = (Vec::new(), Vec::new());
    for file in paths.iter().flat_map(|path| in_folder(path)) {
        match Series::load(&file) {
            Ok(read) => series.push(read),
            Err(error) => problems.push(error.to_string()),
        }
    }
    if problems.is_empty() { Ok(series) } else { Err(problems) }
}

/// The series in a folder, by name; the path itself if it is none, or none that can be read: whoever opens it then says why.
#[expect(clippy::disallowed_methods, reason = "the command line says where the series are")]
fn in_folder(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_series = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "csv");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_series).collect();
    files.sort();
    if files.is_empty() { vec![path.to_owned()] } else { files }
}

fn refused(problems: &[String], is_json: bool) -> Printout {
    let document = json!({ "schema": SCHEMA, "problems": problems });
    Printout {
        stdout: if is_json { format!("{document:#}\n") } else { String::new() },
        stderr: lines(problems),
        exit: 1,
    }
}

fn lines(words: &[String]) -> String {
    words.iter().map(|line| format!("provost: {line}\n")).collect()
}

#[expect(clippy::disallowed_methods, reason = "the chart goes where the command line says")]
fn write_chart(file: &Path, svg: &str) -> Result<(), Failure> {
    std::fs::write(file, svg)
        .map_err(|error| Failure::new(1, format!("failed to write {}: {error}", file.display())))
}

impl Report {
    /// The marks of one who is judged, of all series.
    fn marks(&self, judged: usize) -> impl Iterator<Item = &Mark> + Clone {
        self.tested.iter().filter_map(move |tested| tested.marks.get(judged))
    }

    fn medians(&self, judged: usize) -> Medians {
        let of = |part: fn(&Mark) -> f64| median(self.marks(judged).map(part));
        Medians {
            pinball: of(Mark::pinball),
            coverage: of(Mark::coverage),
            worst: self.marks(judged).map(Mark::coverage).fold(100.0, f64::min),
            over: of(Mark::over),
            under: of(Mark::under),
        }
    }

    fn switches(&self) -> f64 {
        median(self.tested.iter().map(|tested| tested.switches))
    }

    /// The quantile as a number from 0 to 1.
    fn quantile(&self) -> f64 {
        f64::from(self.settings.quantile().get()) / 1e6
    }

    fn title(&self) -> String {
        let count = self.tested.len();
        let series =
            if count == 1 { "1 series".to_owned() } else { format!("{count} series, medians") };
        format!("{series}; horizon {}, quantile {}", self.horizon, self.quantile())
    }
}

fn text(report: &Report) -> String {
    let mut out = format!("{}\n\n", report.title());
    let mut table = Table::new([
        Column::left("BOUND"),
        Column::right("PINBALL"),
        Column::right("COVERAGE"),
        Column::right("WORST"),
        Column::right("OVER"),
        Column::right("UNDER"),
        Column::right("SWITCHES"),
    ]);
    for (judged, name) in names().iter().enumerate() {
        let medians = report.medians(judged);
        let switches = if judged == 0 { number(report.switches()) } else { "-".to_owned() };
        let Medians { pinball, coverage, worst, over, under } = medians;
        let [pinball, coverage, worst, over, under] =
            [pinball, coverage, worst, over, under].map(number);
        table.row([(*name).to_owned(), pinball, coverage, worst, over, under, switches]);
    }
    out.push_str(&table.render(COLUMNS));
    out.push('\n');
    out.push_str(&per_series(report));
    out.push('\n');
    for line in wrap(LEGEND, COLUMNS) {
        out.extend([line.as_str(), "\n"]);
    }
    out
}

/// How the forecaster did on each series.
fn per_series(report: &Report) -> String {
    let mut table = Table::new([
        Column::left("SERIES"),
        Column::right("DAYS"),
        Column::right("PINBALL"),
        Column::right("COVERAGE"),
        Column::right("OVER"),
        Column::right("UNDER"),
        Column::right("SWITCHES").rank(1),
        Column::right("CONFIDENCE"),
        Column::left("LEADING"),
    ]);
    for tested in &report.tested {
        let [mark, ..] = &tested.marks;
        let numbers = [
            tested.buckets.len() as f64 / 288.0,
            mark.pinball(),
            mark.coverage(),
            mark.over(),
            mark.under(),
            tested.switches,
            tested.confidence,
        ];
        let model = tested.model.map_or("-", |model| model.word()).to_owned();
        let cells = [tested.name.clone()].into_iter().chain(numbers.map(number)).chain([model]);
        table.row(cells);
    }
    table.render(COLUMNS)
}

/// Two decimals, and fewer where the number is large.
fn number(value: f64) -> String {
    if value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn document(report: &Report) -> String {
    let bounds: Vec<Value> = names()
        .iter()
        .enumerate()
        .map(|(judged, name)| {
            let medians = report.medians(judged);
            json!({
                "name": name,
                "pinball_percent": medians.pinball,
                "coverage_percent": medians.coverage,
                "worst_coverage_percent": medians.worst,
                "over_percent": medians.over,
                "under_percent": medians.under,
                "switches_per_day": (judged == 0).then(|| report.switches()),
            })
        })
        .collect();
    let series: Vec<Value> = report.tested.iter().map(one).collect();
    let document = json!({
        "schema": SCHEMA,
        "horizon_usec": report.horizon,
        "quantile": report.quantile(),
        "medians": bounds,
        "series": series,
    });
    format!("{document:#}\n")
}

fn one(tested: &Tested) -> Value {
    let [first, ..] = &tested.marks;
    let marks = names().into_iter().zip(&tested.marks);
    let bounds: Vec<Value> = marks
        .map(|(name, mark)| {
            json!({
                "name": name,
                "pinball_percent": mark.pinball(),
                "coverage_percent": mark.coverage(),
                "over_percent": mark.over(),
                "under_percent": mark.under(),
            })
        })
        .collect();
    json!({
        "name": tested.name,
        "buckets": tested.buckets.len(),
        "judged": whole(first.count()),
        "bounds": bounds,
        "switches_per_day": tested.switches,
        "leading": tested.model,
        "confidence_percent": tested.confidence,
    })
}

#[cfg(test)]
mod tests;
