//! `provost monitor`: what the host and its components do now, each second, in a terminal; and what they did before.
//!
//! What is shown is the daemon's report and nothing else, so that the monitor needs no right that `provost status` does not need. Asking is done
//! by a thread of its own: a daemon that is slow to answer freezes no screen. What was before the first report is read from the recording, as
//! is everything with `--recording`; that needs no daemon, and the right to read the state folder.

mod alarms;
mod bars;
mod draw;
mod foot;
mod frames;
mod recorded;
mod rows;
mod waits;
mod wish;

use super::Printout;
use super::args::{Cli, MonitorArgs};
use super::ask::done_at;
use super::fail::{EXIT_NOT_PERMITTED, EXIT_NOT_RUNNING, Failure};
use super::past::{Past, unreadable};
use super::status::fetch_from;
use crate::kernel::clock;
use crate::model::Report;
use crate::record::{Recording, Which, events};
use crate::sim::hush;
use frames::{Frames, Moment, Pressed};
use jiff::tz::TimeZone;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use recorded::Recorded;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel, sync_channel};
use std::time::Duration;

/// A key is answered within this.
const KEYS: Duration = Duration::from_millis(50);

type Answer = Result<Report, Failure>;

/// Where what is shown comes from.
enum Source<'a> {
    /// A daemon that is asked again and again; what was before, from its recording.
    Daemon { answers: Receiver<Answer>, orders: Orders, cli: &'a Cli },
    /// A recording, of which as often the next look is shown while it is played.
    Recording { every: Duration },
}

pub(super) fn monitor(cli: &Cli, args: &MonitorArgs) -> Result<Printout, Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let text = "monitor needs a terminal; provost status prints the same once".to_owned();
        return Err(Failure::new(2, text));
    }
    let every = args.interval.duration();
    let (mut frames, source) = if args.recording {
        (Frames::recorded(open(cli, args.since)?), Source::Recording { every })
    } else {
        // Whoever has no daemon, or may not ask it, is told so as by every other verb.
        let socket = cli.paths().socket();
        let first = fetch_from(&socket).map_err(|failure| with_way_out(cli, failure))?;
        (
            Frames::new(first),
            Source::Daemon { answers: ask_each(socket, every)?, orders: Orders::new(), cli },
        )
    };
    let mut terminal = ratatui::try_init().map_err(failed)?;
    // A recorded cycle that fails is passed over: the terminal is not to be given back for that.
    hush();
    let ended = watch(&mut terminal, &mut frames, &source);
    ratatui::try_restore().map_err(failed)?;
    ended.map(|()| Printout::text(String::new()))
}

/// The recording in the state folder; the last actions are left out where events cannot be read.
fn open(cli: &Cli, since: Option<Past>) -> Result<Recorded, Failure> {
    let file = Which::Looks.file(&cli.state_dir);
    let recording = Recording::open(&file).map_err(|error| unreadable(cli, &error))?;
    let happened = events(&cli.state_dir).unwrap_or_default().0;
    let happened = happened.into_iter().map(|(_, event)| event).collect();
    let since = since.map(|past| past.wall_secs(&clock::zoned()));
    Recorded::open(recording, happened, since, TimeZone::system())
        .map_err(|why| Failure::new(1, why))
}

/// Why there is no recording, on what is left of a line.
fn shortly(failure: &Failure) -> String {
    if failure.exit() == EXIT_NOT_PERMITTED {
        return "what was before is recorded for root alone".to_owned();
    }
    failure.text().to_owned()
}

/// Without a daemon there may still be what it recorded. Never shown unasked: it could be taken for what is now.
fn with_way_out(cli: &Cli, failure: Failure) -> Failure {
    let is_recorded = failure.exit() == EXIT_NOT_RUNNING
        && Recording::open(&Which::Looks.file(&cli.state_dir)).is_ok();
    if !is_recorded {
        return failure;
    }
    let text = format!(
        "{}; what was before it ended is shown by \"provost monitor --recording\"",
        failure.text()
    );
    Failure::new(EXIT_NOT_RUNNING, text)
}

/// What was confirmed, each sent by a thread of its own, and what came of it.
struct Orders {
    told: Sender<String>,
    came: Receiver<String>,
}

impl Orders {
    fn new() -> Self {
        let (told, came) = channel();
        Self { told, came }
    }

    fn pass_on(&self, frames: &mut Frames, cli: &Cli) {
        if let Some(request) = frames.take_order() {
            frames.answered("asked; the daemon's answer comes here");
            let (told, socket) = (self.told.clone(), cli.paths().socket());
            let send = move || {
                let text =
                    done_at(&socket, &request).unwrap_or_else(|failure| failure.text().to_owned());
                // Whoever has left does not want to know.
                let _heard = told.send(text);
            };
            if let Err(error) = std::thread::Builder::new().name("order".to_owned()).spawn(send) {
                frames.answered(&format!("nothing was asked for: {error}"));
            }
        }
        if let Ok(text) = self.came.try_recv() {
            frames.answered(&text);
        }
    }
}

/// Asks the daemon again and again, until nobody listens any more.
#[expect(clippy::disallowed_methods, reason = "a thread that only asks may sleep between")]
fn ask_each(socket: PathBuf, interval: Duration) -> Result<Receiver<Answer>, Failure> {
    let (answer, answers) = sync_channel(1);
    let ask = move || {
        loop {
            let began = clock::now();
            if answer.send(fetch_from(&socket)).is_err() {
                return;
            }
            let took = clock::now().since(began).duration();
            std::thread::sleep(interval.saturating_sub(took));
        }
    };
    std::thread::Builder::new().name("ask".to_owned()).spawn(ask).map_err(failed)?;
    Ok(answers)
}

fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    frames: &mut Frames,
    source: &Source<'_>,
) -> Result<(), Failure> {
    let mut ticked = clock::now();
    loop {
        terminal.draw(|frame| draw::draw(frame, frames)).map_err(failed)?;
        if event::poll(KEYS).map_err(failed)?
            && let Event::Key(key) = event::read().map_err(failed)?
            && let Some(pressed) = pressed(key, frames.is_typing())
            && !frames.press(pressed)
        {
            return Ok(());
        }
        match source {
            Source::Daemon { answers, orders, cli } => {
                orders.pass_on(frames, cli);
                if frames.wants_recording() {
                    frames.join(open(cli, None).map_err(|failure| shortly(&failure)));
                }
                take(frames, answers)?;
            }
            Source::Recording { every } => {
                let now = clock::now();
                if now.since(ticked).duration() >= *every {
                    ticked = now;
                    frames.tick();
                }
            }
        }
    }
}

/// Takes in an answer, if one came.
fn take(frames: &mut Frames, answers: &Receiver<Answer>) -> Result<(), Failure> {
    match answers.try_recv() {
        Ok(Ok(report)) => frames.come(report),
        Ok(Err(failure)) => frames.fail(failure.text().to_owned()),
        Err(TryRecvError::Empty) => {}
        Err(TryRecvError::Disconnected) => {
            return Err(Failure::new(1, "the thread that asks the daemon ended".to_owned()));
        }
    }
    Ok(())
}

/// What keys mean.
const MEANT: [(KeyCode, Pressed); 21] = [
    (KeyCode::Esc, Pressed::Back),
    (KeyCode::Enter, Pressed::Enter),
    (KeyCode::Backspace, Pressed::Erase),
    (KeyCode::Up, Pressed::Up),
    (KeyCode::Down, Pressed::Down),
    (KeyCode::Left, Pressed::To(Moment::Earlier(1))),
    (KeyCode::Right, Pressed::To(Moment::Later(1))),
    (KeyCode::PageUp, Pressed::To(Moment::Earlier(30))),
    (KeyCode::PageDown, Pressed::To(Moment::Later(30))),
    (KeyCode::Char('['), Pressed::To(Moment::Earlier(600))),
    (KeyCode::Char(']'), Pressed::To(Moment::Later(600))),
    (KeyCode::Home, Pressed::To(Moment::Oldest)),
    (KeyCode::End, Pressed::To(Moment::Now)),
    (KeyCode::Char(' '), Pressed::To(Moment::Held)),
    (KeyCode::Char('q'), Pressed::Leave),
    (KeyCode::Char('k'), Pressed::Up),
    (KeyCode::Char('j'), Pressed::Down),
    (KeyCode::Char('s'), Pressed::Sort),
    (KeyCode::Char('/'), Pressed::Filter),
    (KeyCode::Char('g'), Pressed::Give),
    (KeyCode::Char('e'), Pressed::Enter),
];

/// What a key means; while a filter is typed, letters are letters.
fn pressed(key: KeyEvent, is_typing: bool) -> Option<Pressed> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if let KeyCode::Char(letter) = key.code {
        if letter == 'c' && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Some(Pressed::Leave);
        }
        if is_typing {
            return Some(Pressed::Type(letter));
        }
    }
    MEANT.iter().find(|(code, _)| *code == key.code).map(|(_, pressed)| *pressed)
}

fn failed(error: std::io::Error) -> Failure {
    Failure::new(1, format!("the terminal cannot be used: {error}"))
}

#[cfg(test)]
mod tests;
