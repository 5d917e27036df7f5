//! Numbers.

use ferro_gocompat::quote::quote_bytes;

use super::{Kind, Lexer, Token, is_alphanumeric};

impl Lexer<'_> {
    pub(super) fn lex_number(&mut self) -> Token {
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || !self.current().ends_with(b"i") {
                return self.bad_number();
            }
            return self.emit(Kind::Complex);
        }
        self.emit(Kind::Number)
    }

    #[cold]
    fn bad_number(&mut self) -> Token {
        self.error(format!("bad number syntax: {}", quote_bytes(self.current())))
    }

    fn scan_number(&mut self) -> bool {
        self.accept(b"+-");
        let mut digits: &[u8] = b"0123456789_";
        let (mut is_decimal, mut is_hex) = (true, false);
        if self.accept(b"0") {
            if self.accept(b"xX") {
                digits = b"0123456789abcdefABCDEF_";
                (is_decimal, is_hex) = (false, true);
            } else if self.accept(b"oO") {
                digits = b"01234567_";
                is_decimal = false;
            } else if self.accept(b"bB") {
                digits = b"01_";
                is_decimal = false;
            }
        }
        self.accept_run(digits);
        if self.accept(b".") {
            self.accept_run(digits);
        }
        if is_decimal && self.accept(b"eE") || is_hex && self.accept(b"pP") {
            self.accept(b"+-");
            self.accept_run(b"0123456789_");
        }
        self.accept(b"i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }

    /// Steps over one of these characters, of which none ends a line.
    fn accept(&mut self, valid: &[u8]) -> bool {
        match self.rest().first() {
            Some(first) => {
                let is_valid = valid.contains(first);
                self.pos += usize::from(is_valid);
                is_valid
            }
            None => {
                self.at_eof = true;
                false
            }
        }
    }

    fn accept_run(&mut self, valid: &[u8]) {
        while self.accept(valid) {}
    }
}
