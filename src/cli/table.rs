use std::fmt::Write;

/// Columns lined up with two spaces between, as kubectl prints them.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<'h>(headers: impl IntoIterator<Item = &'h str>) -> Self {
        Self { rows: vec![headers.into_iter().map(str::to_owned).collect()] }
    }

    /// Empty cells are shown as `-`, so that columns can be counted by a script.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let filled = cells.into_iter().map(|cell| if cell.is_empty() { "-".into() } else { cell });
        // A line break inside of a cell would tear the table.
        self.rows.push(filled.map(|cell: String| cell.replace(['\n', '\r', '\t'], " ")).collect());
    }

    pub(crate) fn render(&self) -> String {
        self.render_with(&self.widths(), true)
    }

    /// Without the headers.
    pub(crate) fn render_rows(&self) -> String {
        let widths = Self { rows: self.rows[1..].to_vec() }.widths();
        self.render_with(&widths, false)
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max()
        };
        (0..columns).map(|c| width(c).unwrap_or(0)).collect()
    }

    /// Makes room for what is in here: for rows that come one by one.
    pub(crate) fn widen(&self, widths: &mut Vec<usize>) {
        let own = self.widths();
        widths.resize(own.len(), 0);
        for (width, own) in widths.iter_mut().zip(own) {
            *width = own.max(*width);
        }
    }

    pub(crate) fn render_with(&self, widths: &[usize], headers: bool) -> String {
        let mut out = String::new();
        for row in &self.rows[usize::from(!headers)..] {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                // Writing into a String cannot fail.
                let _ = write!(line, "{cell:width$}  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// `45s`, `3m`, `5h`, `2d`.
pub(crate) fn age(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..120 => format!("{s}s"),
        120..7_200 => format!("{}m", s / 60),
        7_200..172_800 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["NAME", "AGE", "NOTE"]);
        table.row(["a-long-name".into(), "3m".into(), "two\nlines".into()]);
        table.row(["ü".into(), String::new(), String::new()]);
        assert_eq!(
            table.render(),
            "NAME         AGE  NOTE\na-long-name  3m   two lines\nü            -    -\n"
        );
    }

    #[test]
    fn ages() {
        for (s, text) in
            [(0, "0s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (172_800, "2d")]
        {
            assert_eq!(age(s * 1000), text);
        }
    }
}
