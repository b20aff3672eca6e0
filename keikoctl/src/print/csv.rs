//! Comma separated values as RFC 4180 has them, with plain line feeds.

use super::table::Grid;

/// The lines of a grid.
pub(super) fn lines(grid: &Grid, with_headings: bool) -> String {
    let mut lines = String::new();
    if with_headings {
        push(&mut lines, grid.headings.iter().map(|heading| heading.title.as_str()));
    }
    for row in &grid.rows {
        push(&mut lines, row.iter().map(|cell| cell.text.as_str()));
    }
    lines
}

fn push<'t>(lines: &mut String, texts: impl Iterator<Item = &'t str>) {
    for (column, text) in texts.enumerate() {
        if column > 0 {
            lines.push(',');
        }
        if text.contains([',', '"', '\n', '\r']) {
            lines.push('"');
            lines.push_str(&text.replace('"', "\"\""));
            lines.push('"');
        } else {
            lines.push_str(text);
        }
    }
    lines.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::Cell;
    use super::super::table::Heading;
    use super::*;

    #[test]
    fn quotes_what_must_be_quoted() {
        let heading = |title: &str| Heading { title: title.into(), ..Heading::default() };
        let grid = Grid {
            headings: vec![heading("A"), heading("B")],
            rows: vec![vec![Cell::text("x,y"), Cell::text("a \"b\"\nc")]],
            floors: Vec::new(),
        };
        assert_eq!(lines(&grid, true), "A,B\n\"x,y\",\"a \"\"b\"\"\nc\"\n");
        assert_eq!(lines(&grid, false), "\"x,y\",\"a \"\"b\"\"\nc\"\n");
    }
}
