// SPDX-License-Identifier: BSD-2-Clause
//! `nmctl top`: the rates of all rings, again and again.

use crate::debugfs;
use crate::rates::{Key, Watch};
use crate::screen::{self, View};
use core::sync::atomic::{AtomicBool, Ordering};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// How long a wait for a key lasts at most, so that a signal is seen.
const PATIENCE: Duration = Duration::from_millis(100);

/// Shows rates until the user or a signal ends it. The terminal is as it was afterwards, also after a panic.
///
/// # Errors
///
/// In words, if there is no terminal, or the module cannot be asked.
pub fn run(interval: Duration, key: Key) -> Result<(), String> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err("top needs a terminal; for programs there is nmctl list --json".to_owned());
    }
    let mut watch = Watch::default();
    // What is missing is said before the screen is taken.
    watch.update(debugfs::read_ports()?, 0.0);
    let stop = cli::stop_on_signals()?;
    let view = View {
        key,
        paused: false,
        idle: false,
        first: 0,
    };
    let mut terminal = ratatui::try_init().map_err(|error| format!("the terminal: {error}"))?;
    let result = show(&mut terminal, watch, view, interval, &stop);
    let restored = ratatui::try_restore();
    result
        .and(restored)
        .map_err(|error| format!("the terminal: {error}"))
}

fn show(
    terminal: &mut DefaultTerminal,
    mut watch: Watch,
    mut view: View,
    interval: Duration,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut looked = Instant::now();
    let mut due = looked + interval;
    let mut problem = None;
    while !stop.load(Ordering::Relaxed) {
        terminal.draw(|frame| screen::draw(frame, &watch, &view, problem.as_deref()))?;
        let wait = due.saturating_duration_since(Instant::now()).min(PATIENCE);
        if event::poll(wait)? {
            if let Event::Key(key) = event::read()? {
                if !handle(key, &mut view) {
                    return Ok(());
                }
            }
            let last = watch.rows(view.key, view.idle).len().saturating_sub(1);
            view.first = view.first.min(last);
        }
        if Instant::now() < due {
            continue;
        }
        due = Instant::now() + interval;
        if view.paused {
            continue;
        }
        match debugfs::read_ports() {
            Ok(ports) => {
                let elapsed = looked.elapsed();
                looked += elapsed;
                watch.update(ports, elapsed.as_secs_f64());
                problem = None;
            }
            // The module may come back.
            Err(reason) => problem = Some(reason),
        }
    }
    Ok(())
}

/// Does what a key asks for; false if that is to end.
fn handle(key: KeyEvent, view: &mut View) -> bool {
    if key.kind == KeyEventKind::Release {
        return true;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('s') => view.key = view.key.next(),
        KeyCode::Char('n') => view.key = Key::Name,
        KeyCode::Char('p') => view.key = Key::Packets,
        KeyCode::Char('o') => view.key = Key::Octets,
        KeyCode::Char('y') => view.key = Key::Syncs,
        KeyCode::Char('d') => view.key = Key::Drops,
        KeyCode::Char('e') => view.key = Key::Errors,
        KeyCode::Char(' ') => view.paused = !view.paused,
        KeyCode::Char('a') => view.idle = !view.idle,
        KeyCode::Down | KeyCode::Char('j') => view.first = view.first.saturating_add(1),
        KeyCode::Up | KeyCode::Char('k') => view.first = view.first.saturating_sub(1),
        KeyCode::Home => view.first = 0,
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(letter: char, view: &mut View) -> bool {
        handle(
            KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE),
            view,
        )
    }

    #[test]
    fn keys() {
        let mut view = View {
            key: Key::Packets,
            paused: false,
            idle: false,
            first: 0,
        };
        assert!(press('s', &mut view) && view.key == Key::Octets);
        assert!(press('n', &mut view) && view.key == Key::Name);
        assert!(press(' ', &mut view) && view.paused);
        assert!(press('a', &mut view) && view.idle);
        assert!(press('k', &mut view) && view.first == 0);
        assert!(press('j', &mut view) && view.first == 1);
        assert!(press('c', &mut view));
        assert!(!press('q', &mut view));
        assert!(!handle(
            KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
            &mut view
        ));
        assert!(!handle(
            KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE),
            &mut view
        ));
    }
}
