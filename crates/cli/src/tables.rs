//! How commands print: tables for people, JSON and YAML for machines, colour only on a terminal.
//! Leaves out what is printed.

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Space between columns.
const GAP: u16 = 3;
/// Below this a table cannot be read however it is broken up.
const NARROWEST: u16 = 60;

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Table,
    /// For machines
    Json,
    /// For machines and people
    Yaml,
}

/// Where text is going: how wide it may be, and whether it may be coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// Columns; `None` for as many as are needed, so that a line read by a program is never broken.
    pub(crate) width: Option<u16>,
    /// Whether colours are wanted.
    pub(crate) colour: bool,
}

impl Style {
    /// The style for standard output: the terminal's, or plain.
    pub(crate) fn of_stdout() -> Self {
        if !io::stdout().is_terminal() {
            return Self::default();
        }
        let width = terminal_size::terminal_size().map(|(width, _)| width.0.max(NARROWEST));
        // https://no-color.org: any value but an empty one turns colours off.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        Self { width, colour: !no_color && !dumb }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("33", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    /// A table without lines, like kubectl's, with a line break at its end; `right` names the columns of numbers.
    pub(crate) fn table(self, header: &[&str], right: &[usize], rows: &[Vec<String>]) -> String {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
        for row in rows {
            // A line break in a message would tear its row apart; a terminal's control characters would do worse.
            table.add_row(row.iter().map(|cell| plain(cell)));
        }
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, GAP));
            if right.contains(&i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = String::new();
        for (i, line) in table.trim_fmt().lines().enumerate() {
            text.push_str(&if i == 0 { self.bold(line) } else { line.to_owned() });
            text.push('\n');
        }
        text
    }
}

/// Seconds as people say them, in one unit: `45s`, `3m`, `5h`, `12d`.
pub(crate) fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Text without control characters: names and messages come from the cluster.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Writes a line to standard error; when nobody reads it, there is nobody to tell.
pub(crate) fn note(line: impl Display) {
    let _unread = writeln!(io::stderr(), "{line}");
}

/// Writes to standard output. A reader that went away (`| head`) is no error: `false` says that nobody reads any longer.
pub(crate) fn print(text: &str) -> Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// JSON text as a YAML document.
pub(crate) fn yaml(json: &str) -> Result<String> {
    let value: serde_json::Value = serde_json::from_str(json).context("the answer is no JSON")?;
    serde_saphyr::to_string(&value).context("the answer cannot be written as YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let row = |a: &str, b: &str, c: &str| vec![a.to_owned(), b.to_owned(), c.to_owned()];
        vec![row("default/a", "7", "a rather long message\nof two lines"), row("default/bcd", "1000", "-")]
    }

    #[test]
    fn table_without_a_width_keeps_every_row_on_one_line() {
        let text = Style::default().table(&["POD", "TOTAL", "WHY"], &[1], &rows());
        assert_eq!(
            text,
            "POD           TOTAL   WHY\n\
             default/a         7   a rather long message of two lines\n\
             default/bcd    1000   -\n"
        );
    }

    #[test]
    fn narrow_table_breaks_its_longest_column() {
        let text = Style { width: Some(40), colour: false }.table(&["POD", "TOTAL", "WHY"], &[1], &rows());
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains("a rather"), "{text}");
    }

    #[test]
    fn colour_is_there_only_when_wanted() {
        let (plain, colour) = (Style::default(), Style { colour: true, ..Style::default() });
        assert_eq!((plain.good("x"), colour.good("x")), ("x".into(), "\x1b[32mx\x1b[0m".into()));
        assert!(colour.table(&["A"], &[], &[]).starts_with("\x1b[1mA"));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\tc"), "a [2Jb c");
    }
}
