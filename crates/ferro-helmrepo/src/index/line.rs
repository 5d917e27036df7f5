//! Lines of block-style YAML, as far as it takes to tell structure from what is inside of a scalar.
//!
//! An index is cut into pieces at lines that begin a key or an item. Which lines do can be told without understanding them: text that spans
//! lines is quoted, in brackets, or indented more than what it belongs to. Everything that indexes do not have (anchors, tags, complex keys,
//! directives) is irregular, and left to a parser that sees the whole text.

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It begins a key or an item.
    Structure(Head),
    /// It continues, or has no content.
    Inside,
    /// Nothing from here on counts.
    End,
}

/// How a line that is structure begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The column of its first character.
    pub(super) indent: usize,
    /// Whether that is the dash of an item.
    pub(super) is_item: bool,
    /// Whether it is one key, whose value is not on the line.
    pub(super) is_bare_key: bool,
}

/// Text that this module does not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Irregular;

/// Tells lines apart, in their order.
#[derive(Debug, Default)]
pub(super) struct Lines {
    state: State,
    has_content: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between scalars.
    #[default]
    Block,
    /// In a text in these quotes.
    Quoted(u8),
    /// In brackets.
    Flow(Flow),
    /// In a text after `|` or `>` that belongs to what is at this column.
    Literal(usize),
    /// In or after a plain text that belongs to what is at this column.
    Plain(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    depth: usize,
    quote: Option<u8>,
    /// Whether a quote here would start a text.
    at_token: bool,
}

impl Lines {
    /// Takes the next line, without its line break.
    pub(super) fn next(&mut self, line: &[u8]) -> Result<Line, Irregular> {
        let indent = line.iter().position(|byte| *byte != b' ').unwrap_or(line.len());
        let is_blank = line.iter().all(|byte| matches!(byte, b' ' | b'\t'));
        match self.state {
            State::Quoted(quote) => {
                if let Some(end) = quoted_end(line, 0, quote) {
                    self.close(line, end)?;
                }
                return Ok(Line::Inside);
            }
            State::Flow(flow) => {
                self.flow(line, 0, flow)?;
                return Ok(Line::Inside);
            }
            State::Literal(owner) if is_blank || indent > owner => return Ok(Line::Inside),
            State::Plain(owner) if indent > owner && !is_blank => {
                if line.get(indent) == Some(&b'#') || comment(line, indent).is_some() {
                    self.state = State::Block;
                }
                return Ok(Line::Inside);
            }
            _ if is_blank => return Ok(Line::Inside),
            State::Block | State::Literal(_) | State::Plain(_) => self.state = State::Block,
        }
        if line.get(indent) == Some(&b'#') {
            return Ok(Line::Inside);
        }
        if let Some(end) = self.document_mark(line)? {
            return Ok(end);
        }
        self.has_content = true;
        self.structure(line, indent).map(Line::Structure)
    }

    /// Looks for `---`, `...` and directives.
    fn document_mark(&self, line: &[u8]) -> Result<Option<Line>, Irregular> {
        if !self.has_content && line.first() == Some(&b'%') {
            return Err(Irregular);
        }
        let rest = line.strip_prefix(b"---").or_else(|| line.strip_prefix(b"..."));
        let Some(rest) = rest.filter(|rest| is_end(rest, 0)) else {
            return Ok(None);
        };
        if self.has_content {
            return Ok(Some(Line::End));
        }
        let is_start = line.starts_with(b"---") && after_value(rest, 0).is_ok();
        if is_start {
            Ok(Some(Line::Inside))
        } else {
            Err(Irregular)
        }
    }

    fn structure(&mut self, line: &[u8], indent: usize) -> Result<Head, Irregular> {
        let mut head = Head {
            indent,
            is_item: false,
            is_bare_key: false,
        };
        let (mut at, mut owner, mut keys) = (indent, None, 0);
        loop {
            let Some(&byte) = line.get(at) else {
                head.is_bare_key = keys == 1 && !head.is_item;
                return Ok(head);
            };
            let follows_blank = at == indent || matches!(line.get(at.wrapping_sub(1)), Some(b' ' | b'\t'));
            match byte {
                b' ' => at += 1,
                b'\t' if owner.is_some() => at += 1,
                b'#' if follows_blank => {
                    head.is_bare_key = keys == 1 && !head.is_item;
                    return Ok(head);
                }
                b'-' if is_end(line, at + 1) => {
                    head.is_item |= at == indent;
                    owner = Some(at);
                    at += 1;
                    if line.get(at) == Some(&b'\t') {
                        return Err(Irregular);
                    }
                }
                b'"' | b'\'' => {
                    let Some(end) = quoted_end(line, at + 1, byte) else {
                        self.state = State::Quoted(byte);
                        return Ok(head);
                    };
                    match key_end(line, end) {
                        Some(after) => {
                            (owner, at, keys) = (Some(at), after, keys + 1);
                        }
                        None => return after_value(line, end).map(|()| head),
                    }
                }
                b'[' | b'{' => {
                    let flow = Flow {
                        depth: 0,
                        quote: None,
                        at_token: true,
                    };
                    self.flow(line, at, flow)?;
                    return Ok(head);
                }
                b'|' | b'>' => {
                    let is_header = |byte: &u8| matches!(byte, b'+' | b'-' | b'0'..=b'9');
                    let rest = line.get(at + 1..).unwrap_or_default();
                    let width = rest.iter().take_while(|byte| is_header(byte)).count();
                    after_value(rest, width)?;
                    self.state = State::Literal(owner.ok_or(Irregular)?);
                    return Ok(head);
                }
                b'?' if is_end(line, at + 1) => return Err(Irregular),
                b'\t' | b'&' | b'*' | b'!' | b'@' | b'`' | b'%' | b',' | b']' | b'}' => {
                    return Err(Irregular);
                }
                _ => match plain_end(line, at) {
                    PlainEnd::Key(after) => (owner, at, keys) = (Some(at), after, keys + 1),
                    PlainEnd::Comment => return owner.map(|_| head).ok_or(Irregular),
                    PlainEnd::Line => {
                        self.state = State::Plain(owner.ok_or(Irregular)?);
                        return Ok(head);
                    }
                },
            }
        }
    }

    /// Reads on in brackets; what follows them on their last line must be nothing.
    fn flow(&mut self, line: &[u8], from: usize, mut flow: Flow) -> Result<(), Irregular> {
        let mut at = from;
        while let Some(&byte) = line.get(at) {
            if let Some(quote) = flow.quote {
                let Some(end) = quoted_end(line, at, quote) else {
                    break;
                };
                flow.quote = None;
                // A colon may follow a quoted key directly.
                flow.at_token = line.get(end) == Some(&b':');
                at = end + usize::from(flow.at_token);
                continue;
            }
            match byte {
                b' ' | b'\t' => {}
                b'#' if at == 0 || matches!(line.get(at - 1), Some(b' ' | b'\t')) => break,
                b'[' | b'{' => {
                    flow.depth += 1;
                    flow.at_token = true;
                }
                b']' | b'}' => {
                    flow.depth = flow.depth.checked_sub(1).ok_or(Irregular)?;
                    flow.at_token = false;
                    if flow.depth == 0 {
                        return self.close(line, at + 1);
                    }
                }
                b',' => flow.at_token = true,
                b':' if is_end(line, at + 1) => flow.at_token = true,
                b'"' | b'\'' if flow.at_token => flow.quote = Some(byte),
                b'&' | b'*' | b'!' if flow.at_token => return Err(Irregular),
                _ => flow.at_token = false,
            }
            at += 1;
        }
        self.state = State::Flow(flow);
        Ok(())
    }

    /// Ends a text that spanned lines.
    fn close(&mut self, line: &[u8], end: usize) -> Result<(), Irregular> {
        self.state = State::Block;
        after_value(line, end)
    }
}

/// Whether the line, or the word, ends here.
fn is_end(line: &[u8], at: usize) -> bool {
    matches!(line.get(at), None | Some(b' ' | b'\t'))
}

/// Where a quoted text ends that is open at `from`.
fn quoted_end(line: &[u8], from: usize, quote: u8) -> Option<usize> {
    let mut at = from;
    while let Some(&byte) = line.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 1,
            b'\'' if quote == b'\'' && line.get(at + 1) == Some(&b'\'') => at += 1,
            byte if byte == quote => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The place after the colon, if what ends at `end` is a key.
fn key_end(line: &[u8], end: usize) -> Option<usize> {
    let blanks = line.get(end..)?.iter().take_while(|byte| **byte == b' ').count();
    let colon = end + blanks;
    (line.get(colon) == Some(&b':') && is_end(line, colon + 1)).then_some(colon + 1)
}

/// Makes sure that nothing but a comment follows.
fn after_value(line: &[u8], end: usize) -> Result<(), Irregular> {
    let rest = line.get(end..).unwrap_or_default();
    match rest.iter().position(|byte| !matches!(byte, b' ' | b'\t')) {
        None => Ok(()),
        Some(at) if at > 0 && rest.get(at) == Some(&b'#') => Ok(()),
        Some(_) => Err(Irregular),
    }
}

enum PlainEnd {
    Key(usize),
    Comment,
    Line,
}

fn plain_end(line: &[u8], start: usize) -> PlainEnd {
    let comment = comment(line, start).unwrap_or(line.len());
    let colon = (start..comment).find(|at| line.get(*at) == Some(&b':') && is_end(line, at + 1));
    match colon {
        Some(at) => PlainEnd::Key(at + 1),
        None if comment < line.len() => PlainEnd::Comment,
        None => PlainEnd::Line,
    }
}

/// Where a comment starts within a plain text.
fn comment(line: &[u8], start: usize) -> Option<usize> {
    let follows_blank = |at: &usize| matches!(line.get(at - 1), Some(b' ' | b'\t'));
    (start + 1..line.len()).find(|at| line.get(*at) == Some(&b'#') && follows_blank(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `S` for structure, `K` for a bare key, `-` for an item, `.` for the rest.
    fn shape(text: &str) -> Result<String, Irregular> {
        let mut lines = Lines::default();
        let letter = |line: &str| {
            lines.next(line.as_bytes()).map(|line| match line {
                Line::Structure(head) if head.is_item => '-',
                Line::Structure(head) if head.is_bare_key => 'K',
                Line::Structure(_) => 'S',
                Line::Inside => '.',
                Line::End => 'E',
            })
        };
        text.lines().map(letter).collect()
    }

    #[test]
    fn structure_is_told_from_texts() {
        let cases = [
            ("---\na: 1\nb:\n- c: 1\n  d: 2 # x\n...", ".SK-SE"),
            ("a: \"x\ny: z\n\"\nb: 'it''s\n  ok'\nc: 1", "S..S.S"),
            ("a: |\n  \"b\n\n  c:\nd: >-\n  'x\ne: 1", "S...S.S"),
            ("a: b\n  \"c\n  d: [\ne: f", "S..S"),
            ("a: [b, 'c\n  ]', {d: \"e\n}\"},\n f]\ng: {}", "S...S"),
            ("a: it's\nb: x#y\nc: http://x\n# - z\n\nd:", "SSS..K"),
            ("\"k\":\n- - x\n- \"a\": 'b'\n-\n  - y", "K----"),
        ];
        for (text, expected) in cases {
            assert_eq!(shape(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_indexes_do_not_have_is_irregular() {
        for text in [
            "a: &x 1",
            "a: *x",
            "a: !!str 1",
            "? a",
            "%YAML 1.1",
            "\ta: 1",
            "a: [\n  &x 1]",
            "--- a",
            "a: |x",
            "a: \"b\" c",
            "plain",
        ] {
            assert_eq!(shape(text), Err(Irregular), "{text}");
        }
    }
}
