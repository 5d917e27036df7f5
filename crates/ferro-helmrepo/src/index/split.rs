//! Cuts an index in block style into the pieces that can be read each on its own.

use std::io::{self, BufRead};

use super::line::{Head, Irregular, Line, Lines};

/// The longest piece: one version of a chart, or all that is not charts.
pub(super) const MAX_PIECE: usize = 8 << 20;

/// A piece of an index.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'p> {
    /// A member of the index other than its entries.
    Member(&'p [u8]),
    /// The name of a chart, whose versions follow.
    Chart(&'p [u8]),
    /// A version of the chart that was named last.
    Version(&'p [u8]),
    /// A chart whose value is no list in block style.
    Entry(&'p [u8]),
}

/// Why an index could not be cut.
#[derive(Debug)]
pub(super) enum SplitError<E> {
    /// It is not of the form that can be cut.
    Irregular,
    /// A piece is too long.
    TooLong,
    /// It could not be read.
    Io(io::Error),
    /// Whoever takes the pieces refuses one.
    Refused(E),
}

impl<E> From<Irregular> for SplitError<E> {
    fn from(_: Irregular) -> Self {
        Self::Irregular
    }
}

/// Hands the pieces of `input` to `take`, each with the number of its first line.
pub(super) fn split<E>(
    input: &mut dyn BufRead,
    mut take: impl FnMut(Piece<'_>, usize) -> Result<(), E>,
) -> Result<(), SplitError<E>> {
    let mut splitter = Splitter {
        take: &mut take,
        mode: Mode::Top,
        buffer: Vec::new(),
        first_line: 0,
    };
    let (mut lines, mut line, mut number) = (Lines::default(), Vec::new(), 0);
    while read_line(input, &mut line)? {
        number += 1;
        if number == 1 && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        match lines.next(without_break(&line))? {
            Line::Structure(head) => splitter.structure(&line, head, number)?,
            Line::Inside => splitter.append(&line)?,
            Line::End => break,
        }
    }
    splitter.flush()
}

struct Splitter<'t, E> {
    take: &'t mut dyn FnMut(Piece<'_>, usize) -> Result<(), E>,
    mode: Mode,
    buffer: Vec<u8>,
    first_line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// In a member of the index.
    Top,
    /// In its entries, whose keys are at this column once there is one.
    Entries(Option<usize>),
    /// After the bare name of a chart.
    Name(usize),
    /// In a version; names and items are at these columns.
    Version(usize, usize),
    /// In a chart that is something else; names are at this column.
    Entry(usize),
}

impl<E> Splitter<'_, E> {
    fn structure(&mut self, line: &[u8], head: Head, number: usize) -> Result<(), SplitError<E>> {
        let Head { indent, is_item, .. } = head;
        match self.mode {
            _ if indent == 0 && !is_item => self.member(line, head, number),
            Mode::Top if indent > 0 && !self.buffer.is_empty() => self.append(line),
            Mode::Top if is_item && !self.buffer.is_empty() => self.append(line),
            Mode::Entries(None) if indent > 0 && !is_item => self.chart(line, head, number),
            Mode::Version(_, item) if is_item && indent == item => {
                self.begin(Mode::Version(self.name_column(), item), line, number)
            }
            Mode::Version(_, item) if indent > item => self.append(line),
            Mode::Name(name) if is_item && indent >= name => {
                self.flush()?;
                self.begin(Mode::Version(name, indent), line, number)
            }
            Mode::Entries(Some(name)) | Mode::Name(name) | Mode::Version(name, _) | Mode::Entry(name)
                if indent == name && !is_item =>
            {
                self.chart(line, head, number)
            }
            Mode::Name(name) if indent > name => {
                self.mode = Mode::Entry(name);
                self.append(line)
            }
            Mode::Entry(name) if indent > name => self.append(line),
            _ => Err(SplitError::Irregular),
        }
    }

    fn name_column(&self) -> usize {
        match self.mode {
            Mode::Version(name, _) => name,
            _ => 0,
        }
    }

    fn member(&mut self, line: &[u8], head: Head, number: usize) -> Result<(), SplitError<E>> {
        let text = without_break(line);
        let is_entries = head.is_bare_key
            && [&b"entries:"[..], b"\"entries\":", b"'entries':"]
                .iter()
                .any(|key| text.starts_with(key));
        self.begin(Mode::Top, line, number)?;
        if is_entries {
            self.buffer.clear();
            self.mode = Mode::Entries(None);
            // Told, so that it is noticed when there are two.
            return self.give(Piece::Member(b"entries:\n"), number);
        }
        Ok(())
    }

    fn chart(&mut self, line: &[u8], head: Head, number: usize) -> Result<(), SplitError<E>> {
        let mode = if head.is_bare_key {
            Mode::Name(head.indent)
        } else {
            Mode::Entry(head.indent)
        };
        self.begin(mode, line, number)
    }

    /// Hands out what was collected and starts with `line`.
    fn begin(&mut self, mode: Mode, line: &[u8], number: usize) -> Result<(), SplitError<E>> {
        self.flush()?;
        self.mode = mode;
        self.first_line = number;
        self.append(line)
    }

    fn append(&mut self, line: &[u8]) -> Result<(), SplitError<E>> {
        if self.buffer.len() + line.len() > MAX_PIECE {
            return Err(SplitError::TooLong);
        }
        // Blank lines and comments before the first piece belong to none.
        if !self.buffer.is_empty() || self.first_line > 0 {
            self.buffer.extend_from_slice(line);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SplitError<E>> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let piece = match self.mode {
            Mode::Top => Piece::Member(&buffer),
            Mode::Name(_) => Piece::Chart(&buffer),
            Mode::Version(..) => Piece::Version(&buffer),
            Mode::Entry(_) => Piece::Entry(&buffer),
            // Blank lines.
            Mode::Entries(_) => return Ok(()),
        };
        let given = (self.take)(piece, self.first_line).map_err(SplitError::Refused);
        self.buffer = buffer;
        self.buffer.clear();
        given
    }

    fn give(&mut self, piece: Piece<'_>, number: usize) -> Result<(), SplitError<E>> {
        (self.take)(piece, number).map_err(SplitError::Refused)
    }
}

/// Reads a line with its break; tells whether there was one.
fn read_line<E>(input: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<bool, SplitError<E>> {
    line.clear();
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SplitError::Io(error)),
        };
        let end = memchr::memchr(b'\n', available);
        let piece = available.get(..end.map_or(available.len(), |end| end + 1));
        let piece = piece.unwrap_or_default();
        line.extend_from_slice(piece);
        let length = piece.len();
        input.consume(length);
        if line.len() > MAX_PIECE {
            return Err(SplitError::TooLong);
        }
        if end.is_some() || length == 0 {
            return Ok(!line.is_empty());
        }
    }
}

fn without_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Option<Vec<String>> {
        let mut pieces = Vec::new();
        let taken = split(&mut text.as_bytes(), |piece, line| {
            let (letter, text) = match piece {
                Piece::Member(text) => ('m', text),
                Piece::Chart(text) => ('c', text),
                Piece::Version(text) => ('v', text),
                Piece::Entry(text) => ('e', text),
            };
            pieces.push(format!(
                "{line}{letter} {}",
                String::from_utf8_lossy(text).replace('\n', "|")
            ));
            Ok::<_, ()>(())
        });
        taken.ok().map(|()| pieces)
    }

    #[test]
    fn split_finds_members_charts_and_versions() {
        let text = "# x\napiVersion: v1\nentries:\n  a:\n  - name: a\n    urls:\n    - x\n\n  - name: a2\n  b: []\n  c:\n  d:\n      - x: 1\n\
                    generated: \"x\"\nannotations:\n  k: v\n";
        let expected = [
            "2m apiVersion: v1|",
            "3m entries:|",
            "4c   a:|",
            "5v   - name: a|    urls:|    - x||",
            "9v   - name: a2|",
            "10e   b: []|",
            "11c   c:|",
            "12c   d:|",
            "13v       - x: 1|",
            "14m generated: \"x\"|",
            "15m annotations:|  k: v|",
        ];
        assert_eq!(pieces(text).unwrap(), expected);
        let crlf = text.replace('\n', "\r\n");
        assert_eq!(pieces(&crlf).unwrap().len(), expected.len());
    }

    #[test]
    fn split_keeps_texts_whole() {
        let text = "entries:\n  a:\n  - description: \"x\n  - name: y\n  b:\n\"\n    name: a\n  - d: |\n      b:\n        - z\nx: 1";
        let expected = [
            "1m entries:|",
            "2c   a:|",
            "3v   - description: \"x|  - name: y|  b:|\"|    name: a|",
            "8v   - d: ||      b:|        - z|",
            "11m x: 1",
        ];
        assert_eq!(pieces(text).unwrap(), expected);
    }

    #[test]
    fn split_leaves_other_forms_alone() {
        for text in [
            "- a\n",
            "  a: 1\n",
            "entries:\n- a\n",
            "a: &x 1\n",
            "entries:\n    a:\n  b:\n",
        ] {
            assert_eq!(pieces(text), None, "{text}");
        }
    }

    #[test]
    fn split_bounds_lines_and_pieces() {
        let long = format!("a: {}", "x".repeat(MAX_PIECE));
        let mut take = |_: Piece<'_>, _| Ok::<_, ()>(());
        assert!(matches!(
            split(&mut long.as_bytes(), &mut take),
            Err(SplitError::TooLong)
        ));
        let many = format!("a:\n{}", "  b: 1\n".repeat(MAX_PIECE / 7 + 1));
        assert!(matches!(
            split(&mut many.as_bytes(), &mut take),
            Err(SplitError::TooLong)
        ));
    }
}
