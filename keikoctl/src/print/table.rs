//! A table without borders: columns as wide as they must be, numbers right.
//!
//! On a terminal flexible columns give way until the lines fit, then spare ones go; elsewhere nothing
//! is cut.

use super::columns::Cell;
use super::{Role, Style, escape};
use unicode_width::UnicodeWidthStr;

/// Between two columns.
const GAP: &str = "   ";
/// A flexible column is not cut below this.
const FLEXIBLE_MIN: usize = 12;

/// One column of a laid out table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heading {
    /// As shown.
    pub title: String,
    /// Numbers stand at the right.
    pub right: bool,
    /// Gives way when the line is too long.
    pub flexible: bool,
    /// Goes when that is not enough, the last one first.
    pub spare: bool,
}

/// Headings and rows, ready to be laid out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grid {
    /// One for each column.
    pub headings: Vec<Heading>,
    /// As many cells as headings in each.
    pub rows: Vec<Vec<Cell>>,
    /// No column is narrower than that: a table that grows keeps its columns.
    pub floors: Vec<usize>,
}

impl Grid {
    /// The lines of the table. `width` is the terminal's, if it is one.
    pub(crate) fn lay_out(
        &self,
        style: &Style,
        width: Option<usize>,
        with_headings: bool,
    ) -> String {
        let texts = self.texts();
        let mut widths = self.widths(&texts, with_headings);
        if let Some(width) = width {
            widths = self.shrunk(&widths, width);
            if !fits(&widths, width)
                && let Some(fewer) = self.without_spare()
            {
                return fewer.lay_out(style, Some(width), with_headings);
            }
        }
        let mut lines = String::new();
        if with_headings {
            let titles: Vec<String> =
                self.headings.iter().map(|heading| heading.title.clone()).collect();
            self.line(&mut lines, &titles, &widths, |_, text| style.paint(Role::Title, text));
        }
        for (row, texts) in self.rows.iter().zip(&texts) {
            self.line(&mut lines, texts, &widths, |column, text| {
                style.paint(row[column].role, text)
            });
        }
        lines
    }

    /// How wide the columns are where nothing is cut.
    pub(crate) fn natural_widths(&self, with_headings: bool) -> Vec<usize> {
        self.widths(&self.texts(), with_headings)
    }

    fn texts(&self) -> Vec<Vec<String>> {
        let texts = |row: &Vec<Cell>| row.iter().map(|cell| escape::line(&cell.text)).collect();
        self.rows.iter().map(texts).collect()
    }

    fn widths(&self, texts: &[Vec<String>], with_headings: bool) -> Vec<usize> {
        let widths = self.headings.iter().enumerate().map(|(column, heading)| {
            let cells = texts.iter().filter_map(|row| row.get(column)).map(|text| text.width());
            let title = if with_headings { heading.title.width() } else { 0 };
            let floor = self.floors.get(column).copied().unwrap_or(0);
            cells.max().unwrap_or(0).max(title).max(floor)
        });
        widths.collect()
    }

    /// The widths with what flexible columns give way. That may not be enough.
    fn shrunk(&self, widths: &[usize], width: usize) -> Vec<usize> {
        let mut widths = widths.to_vec();
        // The widest flexible column gives way first; every turn makes the table narrower.
        while !fits(&widths, width) {
            let widest = (0..widths.len())
                .filter(|column| self.headings[*column].flexible && widths[*column] > FLEXIBLE_MIN)
                .max_by_key(|column| widths[*column]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
        widths
    }

    /// The same without its last spare column; none if it has none.
    fn without_spare(&self) -> Option<Self> {
        let last = self.headings.iter().rposition(|heading| heading.spare)?;
        let mut fewer = self.clone();
        fewer.headings.remove(last);
        fewer.rows.iter_mut().filter(|row| last < row.len()).for_each(|row| drop(row.remove(last)));
        if last < fewer.floors.len() {
            fewer.floors.remove(last);
        }
        Some(fewer)
    }

    fn line(
        &self,
        lines: &mut String,
        texts: &[String],
        widths: &[usize],
        paint: impl Fn(usize, &str) -> String,
    ) {
        let mut line = String::new();
        let last = widths.len().saturating_sub(1);
        for (column, (text, width)) in texts.iter().zip(widths).enumerate() {
            let text = cut(text, *width);
            let fill = " ".repeat(width - text.width());
            if self.headings[column].right {
                line.push_str(&fill);
                line.push_str(&paint(column, &text));
            } else {
                line.push_str(&paint(column, &text));
                if column < last {
                    line.push_str(&fill);
                }
            }
            if column < last {
                line.push_str(GAP);
            }
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
}

fn fits(widths: &[usize], width: usize) -> bool {
    widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1) <= width
}

/// The text in at most that many columns, with `…` for what was cut.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        let next = format!("{kept}{character}");
        if next.width() + 1 > width {
            break;
        }
        kept = next;
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let heading = |title: &str, right, flexible| Heading {
            title: title.into(),
            right,
            flexible,
            spare: false,
        };
        Grid {
            headings: vec![
                heading("NAME", false, false),
                heading("REVISION", true, false),
                heading("TITLE", false, true),
            ],
            rows: vec![
                vec![Cell::text("a"), Cell::number(7), Cell::text("a title of many words")],
                vec![Cell::text("東京"), Cell::number(1234), Cell::text("x\u{1b}[31m\ny")],
            ],
            floors: Vec::new(),
        }
    }

    #[test]
    fn what_is_spare_goes_when_the_rest_does_not_fit() {
        let mut grid = grid();
        grid.headings[1].spare = true;
        let style = Style::plain();
        let narrow = "a      a title of …\n東京   x\\x1b[31m\\ny\n";
        assert_eq!(grid.lay_out(&style, Some(19), false), narrow);
        let wide = grid.lay_out(&style, Some(26), false);
        assert!(wide.contains("1234") && wide.lines().all(|line| line.width() <= 26), "{wide}");
        assert!(grid.lay_out(&style, None, true).contains("REVISION"));
    }

    #[test]
    fn lays_out() {
        let style = Style::plain();
        assert_eq!(
            grid().lay_out(&style, None, true),
            "NAME   REVISION   TITLE\n\
             a             7   a title of many words\n\
             東京       1234   x\\x1b[31m\\ny\n"
        );
        assert_eq!(
            grid().lay_out(&style, Some(30), false),
            "a         7   a title of many…\n東京   1234   x\\x1b[31m\\ny\n"
        );
        assert_eq!(
            grid().lay_out(&style, Some(1), false),
            "a         7   a title of …\n東京   1234   x\\x1b[31m\\ny\n",
            "never panics, never cuts a name"
        );
        assert_eq!(Grid::default().lay_out(&style, Some(0), true), "\n");
    }
}
