//! `provost monitor`: what the host and its components do now, each second, in a terminal; and what they did a while ago.
//!
//! What is shown is the daemon's report and nothing else, so that the monitor needs no right that `provost status` does not need. Asking is done
//! by a thread of its own: a daemon that is slow to answer freezes no screen.

mod bars;
mod draw;
mod frames;
mod rows;

use super::Printout;
use super::args::{Cli, MonitorArgs};
use super::fail::Failure;
use super::status::fetch_from;
use crate::kernel::clock;
use crate::model::Report;
use frames::{Frames, Moment, Pressed};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

/// A key is answered within this.
const KEYS: Duration = Duration::from_millis(50);

type Answer = Result<Report, Failure>;

pub(super) fn monitor(cli: &Cli, args: &MonitorArgs) -> Result<Printout, Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let text = "monitor needs a terminal; provost status prints the same once".to_owned();
        return Err(Failure::new(2, text));
    }
    // Whoever has no daemon, or may not ask it, is told so as by every other verb.
    let socket = cli.paths().socket();
    let mut frames = Frames::new(fetch_from(&socket)?);
    let answers = ask_each(socket, args.interval.duration())?;
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let ended = watch(&mut terminal, &mut frames, &answers);
    ratatui::try_restore().map_err(failed)?;
    ended.map(|()| Printout::text(String::new()))
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
    answers: &Receiver<Answer>,
) -> Result<(), Failure> {
    loop {
        terminal.draw(|frame| draw::draw(frame, frames)).map_err(failed)?;
        if event::poll(KEYS).map_err(failed)?
            && let Event::Key(key) = event::read().map_err(failed)?
            && let Some(pressed) = pressed(key, frames.is_typing())
            && !frames.press(pressed)
        {
            return Ok(());
        }
        match answers.try_recv() {
            Ok(Ok(report)) => frames.come(report),
            Ok(Err(failure)) => frames.fail(failure.text().to_owned()),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err(Failure::new(1, "the thread that asks the daemon ended".to_owned()));
            }
        }
    }
}

/// What keys mean.
const MEANT: [(KeyCode, Pressed); 17] = [
    (KeyCode::Esc, Pressed::Back),
    (KeyCode::Enter, Pressed::Enter),
    (KeyCode::Backspace, Pressed::Erase),
    (KeyCode::Up, Pressed::Up),
    (KeyCode::Down, Pressed::Down),
    (KeyCode::Left, Pressed::To(Moment::Earlier(1))),
    (KeyCode::Right, Pressed::To(Moment::Later(1))),
    (KeyCode::PageUp, Pressed::To(Moment::Earlier(30))),
    (KeyCode::PageDown, Pressed::To(Moment::Later(30))),
    (KeyCode::End, Pressed::To(Moment::Now)),
    (KeyCode::Char(' '), Pressed::To(Moment::Held)),
    (KeyCode::Char('q'), Pressed::Leave),
    (KeyCode::Char('k'), Pressed::Up),
    (KeyCode::Char('j'), Pressed::Down),
    (KeyCode::Char('s'), Pressed::Sort),
    (KeyCode::Char('/'), Pressed::Filter),
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
