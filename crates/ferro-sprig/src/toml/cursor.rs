//! Reading TOML character by character, with the line that an error is about.

/// What is wrong, and on which line; the key is added by the parser.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) line: usize,
    pub(super) message: String,
}

pub(super) type Lexed<T> = Result<T, Problem>;

/// A place in the text.
pub(super) struct Cursor<'i> {
    input: &'i [u8],
    at: usize,
    line: usize,
    /// Where the current token starts.
    start: usize,
    /// The end has been read.
    at_end: bool,
}

pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

impl<'i> Cursor<'i> {
    pub(super) fn new(input: &'i [u8]) -> Self {
        Self {
            input,
            at: 0,
            line: 1,
            start: 0,
            at_end: false,
        }
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The text of the current token.
    pub(super) fn token(&self) -> String {
        String::from_utf8_lossy(self.input.get(self.start..self.at).unwrap_or_default()).into_owned()
    }

    /// Starts a token here.
    pub(super) fn ignore(&mut self) {
        self.start = self.at;
    }

    fn char_at(&self, at: usize) -> Option<Result<char, u8>> {
        let rest = self.input.get(at..)?;
        let first = *rest.first()?;
        let head = rest.get(..rest.len().min(4)).unwrap_or(rest);
        let valid = match std::str::from_utf8(head) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?,
        };
        Some(valid.chars().next().ok_or(first))
    }

    /// Takes the next character; nothing at the end.
    pub(super) fn next(&mut self) -> Lexed<Option<char>> {
        let Some(found) = self.char_at(self.at) else {
            self.at_end = true;
            return Ok(None);
        };
        if found == Ok('\n') {
            self.line += 1;
        }
        let c = found.map_err(|byte| self.here(format!("invalid UTF-8 byte: 0x{byte:02x}")))?;
        let is_lone_return = c == '\r' && self.input.get(self.at + 1) != Some(&b'\n');
        let is_control = matches!(c, '\0'..='\u{1F}' | '\u{7F}') && !matches!(c, '\t' | '\r' | '\n');
        if is_control || is_lone_return {
            let message = format!(
                "TOML files cannot contain control characters: '0x{:02x}'",
                u32::from(c)
            );
            return Err(self.here(message));
        }
        self.at += c.len_utf8();
        Ok(Some(c))
    }

    /// Gives back what [`Cursor::next`] took.
    pub(super) fn back(&mut self, taken: Option<char>) {
        self.at_end = false;
        if let Some(c) = taken {
            self.at -= c.len_utf8();
            if c == '\n' {
                self.line -= 1;
            }
        }
    }

    pub(super) fn peek(&mut self) -> Lexed<Option<char>> {
        let next = self.next()?;
        self.back(next);
        Ok(next)
    }

    pub(super) fn accept(&mut self, wanted: char) -> Lexed<bool> {
        let next = self.next()?;
        if next == Some(wanted) {
            return Ok(true);
        }
        self.back(next);
        Ok(false)
    }

    pub(super) fn skip_blanks(&mut self) -> Lexed<()> {
        loop {
            let next = self.next()?;
            if !next.is_some_and(is_blank) {
                self.back(next);
                self.ignore();
                return Ok(());
            }
        }
    }

    /// Takes characters as long as they are wanted.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> Lexed<()> {
        loop {
            let next = self.next()?;
            if !next.is_some_and(&wanted) {
                self.back(next);
                return Ok(());
            }
        }
    }

    /// Passes over a comment, up to the line break.
    pub(super) fn skip_comment(&mut self) -> Lexed<()> {
        self.take_while(|c| !is_break(c))
    }

    /// A problem on this line.
    pub(super) fn here(&self, message: impl Into<String>) -> Problem {
        Problem {
            line: self.line,
            message: message.into(),
        }
    }

    /// A problem on this line, or the one before when the text ends with a line break.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        let after_break = self.at_end && self.at > 0 && self.input.get(self.at - 1) == Some(&b'\n');
        Problem {
            line: self.line - usize::from(after_break),
            message: message.into(),
        }
    }

    /// A problem with the line break that was just read.
    pub(super) fn on_previous_line(&self, message: impl Into<String>) -> Problem {
        Problem {
            line: self.line.saturating_sub(1),
            message: message.into(),
        }
    }
}

/// A character in single quotes, as Go's `%q` prints it; the end of the text is a zero.
pub(super) fn quoted(c: Option<char>) -> String {
    let c = c.unwrap_or('\0');
    match c {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        _ => {
            let text = ferro_gocompat::quote::quote(&c.to_string());
            format!("'{}'", text.get(1..text.len() - 1).unwrap_or_default())
        }
    }
}

/// A character in single quotes as it is.
pub(super) fn shown(c: Option<char>) -> String {
    c.map_or_else(|| "end of file".to_owned(), |c| format!("'{c}'"))
}
