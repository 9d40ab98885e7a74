// SPDX-License-Identifier: BSD-2-Clause
//! The screen of `nmctl top`.

use crate::rates::{scaled, sparkline, Key, Row, Watch};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table};
use ratatui::Frame;

/// Width of the column of sparklines.
const TREND: u16 = 16;

/// What the user has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// What rows are sorted by.
    pub key: Key,
    /// No new looks are taken.
    pub paused: bool,
    /// Rings that nobody has bound are shown too.
    pub idle: bool,
    /// The first row that is shown.
    pub first: usize,
}

/// Draws all.
pub fn draw(frame: &mut Frame<'_>, watch: &Watch, view: &View, problem: Option<&str>) {
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let rows = watch.rows(view.key, view.idle);
    let packets: f64 = rows.iter().map(|row| row.rates.packets).sum();
    let title = format!(
        "nmctl top  {} rings  {}pps{}",
        rows.len(),
        scaled(packets),
        if view.paused { "  PAUSED" } else { "" }
    );
    frame.render_widget(
        Paragraph::new(title).style(Style::new().add_modifier(Modifier::BOLD)),
        head,
    );
    match problem {
        Some(problem) => frame.render_widget(
            Paragraph::new(problem.to_owned()).style(Style::new().fg(Color::Red)),
            body,
        ),
        None if rows.is_empty() => {
            let text = "No port is bound. (a: idle rings too; nmctl list: what there is)";
            frame.render_widget(Paragraph::new(text), body);
        }
        None => draw_rows(frame, body, &rows, view),
    }
    let keys = Line::from("q quit  s sort  n p o y d e sort by name packets octets syncs drops errors  space pause  a idle rings  ↑↓ scroll");
    frame.render_widget(
        Paragraph::new(keys).style(Style::new().add_modifier(Modifier::DIM)),
        foot,
    );
}

fn draw_rows(frame: &mut Frame<'_>, area: Rect, rows: &[&Row], view: &View) {
    let columns = [
        (Key::Name, "PORT"),
        (Key::Name, "RING"),
        (Key::Packets, "PKT/S"),
        (Key::Octets, "BYTE/S"),
        (Key::Syncs, "SYNC/S"),
        (Key::Drops, "DROP/S"),
        (Key::Errors, "ERR/S"),
    ];
    let mark = |(key, name): (Key, &str)| {
        let style = match key == view.key {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new().add_modifier(Modifier::BOLD),
        };
        Cell::from(name.to_owned()).style(style)
    };
    let header = columns
        .into_iter()
        .map(mark)
        .chain(["DROPS", "FILLED", "TREND", "KIND"].map(Cell::from));
    let shown = rows
        .iter()
        .skip(view.first.min(rows.len().saturating_sub(1)));
    let table = Table::new(
        shown.map(|row| table_row(row)),
        [
            Constraint::Length(15),
            Constraint::Length(9),
            Constraint::Length(6),
            Constraint::Length(6),
            Constraint::Length(6),
            Constraint::Length(6),
            Constraint::Length(5),
            Constraint::Length(6),
            Constraint::Length(9),
            Constraint::Length(TREND),
            Constraint::Min(0),
        ],
    );
    frame.render_widget(table.header(TableRow::new(header)), area);
}

fn table_row(row: &Row) -> TableRow<'static> {
    let alarm = |value: f64| match value > 0.0 {
        true => Style::new().fg(Color::Red),
        false => Style::new(),
    };
    let rates = &row.rates;
    TableRow::new([
        Cell::from(row.port.clone()),
        Cell::from(row.ring.clone()),
        Cell::from(scaled(rates.packets)),
        Cell::from(scaled(rates.octets)),
        Cell::from(scaled(rates.syncs)),
        Cell::from(scaled(rates.drops)).style(alarm(rates.drops)),
        Cell::from(scaled(rates.errors)).style(alarm(rates.errors)),
        Cell::from(scaled(row.counters.drops as f64)),
        Cell::from(
            row.filled
                .map_or(String::new(), |(filled, slots)| format!("{filled}/{slots}")),
        ),
        Cell::from(sparkline(&row.history, usize::from(TREND)))
            .style(Style::new().fg(Color::Green)),
        Cell::from(row.kind.clone()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debugfs::parse_ports;
    use ratatui::backend::TestBackend;
    use ratatui::Terminal;

    fn view() -> View {
        View {
            key: Key::Packets,
            paused: false,
            idle: false,
            first: 0,
        }
    }

    fn watch() -> Watch {
        let look = |packets: u64| {
            let text = format!(
                "eth0: native (igb)\n  tx 0: packets {packets} bytes {} syncs {packets} wakeups 0 drops 7 errors 0 reinits 0 \
                 slots 256 hwcur 9 hwtail 8 head 9 cur 9 tail 8\nvale0:a: vale 0\n  \
                 rx 0: packets 1 bytes 60 syncs 1 wakeups 0 drops 0 errors 0 reinits 0 slots 256 hwcur 0 hwtail 1 head 0 cur 0 tail 1\n",
                packets * 100
            );
            parse_ports(&text).unwrap()
        };
        let mut watch = Watch::default();
        watch.update(look(0), 0.0);
        watch.update(look(1500), 1.0);
        watch
    }

    fn lines(watch: &Watch, view: &View, problem: Option<&str>) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(130, 10)).unwrap();
        terminal
            .draw(|frame| draw(frame, watch, view, problem))
            .unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| {
            (0..buffer.area.width)
                .map(|x| buffer[(x, y)].symbol().to_owned())
                .collect::<String>()
        };
        (0..buffer.area.height)
            .map(|y| line(y).trim_end().to_owned())
            .collect()
    }

    #[test]
    fn rings_with_their_rates() {
        let lines = lines(&watch(), &view(), None);
        assert_eq!(lines[0], "nmctl top  2 rings  1.50Kpps");
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(&lines[1])[..4], ["PORT", "RING", "PKT/S", "BYTE/S"]);
        assert_eq!(
            words(&lines[2])[..11],
            ["eth0", "tx", "0", "1.50K", "150K", "1.50K", "0", "0", "7", "0/256", "█"]
        );
        assert!(lines[2].ends_with("native (igb)"), "{}", lines[2]);
        assert_eq!(words(&lines[3])[..3], ["vale0:a", "rx", "0"]);
        assert!(lines[9].starts_with("q quit"));
    }

    #[test]
    fn order_pause_and_scrolling() {
        let changed = View {
            key: Key::Name,
            paused: true,
            first: 1,
            ..view()
        };
        let lines = lines(&watch(), &changed, None);
        assert!(lines[0].ends_with("PAUSED"));
        assert!(
            lines[2].starts_with("vale0:a") && lines[3].is_empty(),
            "{lines:?}"
        );
    }

    #[test]
    fn nothing_bound_and_a_problem() {
        let empty = lines(&Watch::default(), &view(), None);
        assert!(empty[1].starts_with("No port is bound"));
        let problem = lines(&watch(), &view(), Some("ports: gone"));
        assert_eq!(problem[1], "ports: gone");
    }

    #[test]
    fn any_size_of_terminal() {
        for (width, height) in [(1, 1), (20, 2), (300, 3)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal
                .draw(|frame| draw(frame, &watch(), &view(), None))
                .unwrap();
        }
    }
}
