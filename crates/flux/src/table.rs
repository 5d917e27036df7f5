//! Tables as upstream prints them.
//!
//! Cells are padded to the width of their column and followed by a tab; after the last cell of the
//! header there is a space instead.

/// A table that grows: rows may be printed in portions, and columns never become narrower.
#[derive(Debug)]
pub struct Table {
    header: Option<Vec<String>>,
    widths: Vec<usize>,
}

impl Table {
    /// Returns a table, whose header is printed with the first rows.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        Self {
            header: Some(columns.iter().map(|name| name.to_uppercase()).collect()),
            widths: Vec::new(),
        }
    }

    /// Returns a table without a header.
    #[must_use]
    pub const fn without_header() -> Self {
        Self {
            header: None,
            widths: Vec::new(),
        }
    }

    /// Formats rows.
    pub fn rows(&mut self, rows: &[Vec<String>]) -> String {
        for row in self.header.iter().chain(rows) {
            self.widths.resize(self.widths.len().max(row.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        if let Some(header) = self.header.take() {
            self.row(&mut text, &header);
            text.pop();
            text.push_str(" \n");
        }
        for row in rows {
            self.row(&mut text, row);
            text.push('\n');
        }
        text
    }

    fn row(&self, text: &mut String, row: &[String]) {
        for (cell, width) in row.iter().zip(&self.widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(
                ' ',
                width.saturating_sub(cell.chars().count()),
            ));
            text.push('\t');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["Name", "Revision", "Ready", "Message"]);
        let text = table.rows(&[
            row(&["gr-failed", "", "False", "failed to check out"]),
            row(&["gr-unknown", "", "Unknown", "in progress"]),
        ]);
        assert_eq!(
            text,
            "NAME      \tREVISION\tREADY  \tMESSAGE             \n\
             gr-failed \t        \tFalse  \tfailed to check out\t\n\
             gr-unknown\t        \tUnknown\tin progress        \t\n"
        );
    }

    #[test]
    fn a_header_is_printed_once_and_without_rows_too() {
        let mut table = Table::new(&["Name", "Ready"]);
        assert_eq!(table.rows(&[]), "NAME\tREADY \n");
        assert_eq!(table.rows(&[row(&["a", "True"])]), "a   \tTrue \t\n");
        assert_eq!(
            Table::without_header().rows(&[row(&["a", "True"])]),
            "a\tTrue\t\n"
        );
    }

    #[test]
    fn columns_never_become_narrower() {
        let mut table = Table::without_header();
        assert_eq!(table.rows(&[row(&["long name", "x"])]), "long name\tx\t\n");
        assert_eq!(table.rows(&[row(&["a", "x"])]), "a        \tx\t\n");
    }
}
