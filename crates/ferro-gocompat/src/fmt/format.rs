//! The walk through a format: verbs, flags, widths, argument indexes.

use super::printer::{Flags, Printer};
use crate::literal::decode;

/// The operands of a format.
pub trait Args {
    /// Returns how many there are.
    fn len(&self) -> usize;

    /// Tells whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns an operand as an integer, if it is one: for `*`.
    fn integer(&self, index: usize) -> Option<i64>;

    /// Prints an operand for a verb, with the flags of the printer.
    fn print(&self, index: usize, verb: char, printer: &mut Printer);

    /// Prints `type=value`, or `<nil>`, of an operand that no verb asked for.
    fn print_extra(&self, index: usize, printer: &mut Printer);
}

/// Widths and precisions beyond this are not taken for numbers.
const MAX_NUMBER: i64 = 1_000_000;

/// The place in a format.
struct Cursor<'f> {
    format: &'f [u8],
    at: usize,
    /// The next operand.
    operand: usize,
    operands: usize,
    /// Whether an operand was chosen by index anywhere.
    is_reordered: bool,
    /// Whether the last index was valid.
    is_good: bool,
}

/// Formats like `fmt.Sprintf`.
pub fn printf(printer: &mut Printer, format: &[u8], args: &dyn Args) {
    let mut cursor = Cursor {
        format,
        at: 0,
        operand: 0,
        operands: args.len(),
        is_reordered: false,
        is_good: true,
    };
    while cursor.at < format.len() {
        cursor.is_good = true;
        let rest = format.get(cursor.at..).unwrap_or_default();
        let plain = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
        printer.out.extend_from_slice(rest.get(..plain).unwrap_or(rest));
        cursor.at += plain;
        if cursor.at < format.len() {
            cursor.at += 1;
            cursor.verb(printer, args);
        }
    }
    if !cursor.is_reordered && cursor.operand < args.len() {
        printer.flags = Flags::default();
        printer.text("%!(EXTRA ");
        for index in cursor.operand..args.len() {
            if index > cursor.operand {
                printer.text(", ");
            }
            args.print_extra(index, printer);
        }
        printer.text(")");
    }
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    /// Handles what follows a percent sign.
    fn verb(&mut self, printer: &mut Printer, args: &dyn Args) {
        printer.flags = self.flags();
        if let Some(verb @ b'a'..=b'z') = self.peek()
            && self.operand < self.operands
        {
            // Without width, precision and index: the most common form.
            self.at += 1;
            return self.print(char::from(verb), printer, args);
        }
        let mut after_index = self.index();
        after_index = self.width(after_index, printer, args);
        after_index = self.precision(after_index, printer, args);
        if !after_index {
            self.index();
        }
        let rest = self.format.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return printer.text("%!(NOVERB)");
        }
        let (verb, size) = decode(rest);
        self.at += size;
        if verb == '%' {
            printer.text("%");
        } else if !self.is_good {
            self.complain(verb, "(BADINDEX)", printer);
        } else if self.operand >= self.operands {
            self.complain(verb, "(MISSING)", printer);
        } else {
            self.print(verb, printer, args);
        }
    }

    fn complain(&self, verb: char, what: &str, printer: &mut Printer) {
        printer.text("%!");
        printer.char(verb);
        printer.text(what);
    }

    fn print(&mut self, verb: char, printer: &mut Printer, args: &dyn Args) {
        if verb == 'v' || verb == 'w' {
            let flags = &mut printer.flags;
            flags.sharp_v = std::mem::take(&mut flags.sharp);
            flags.plus_v = std::mem::take(&mut flags.plus);
        }
        args.print(self.operand, verb, printer);
        self.operand += 1;
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        flags
    }

    /// Reads `[n]` and tells whether it was there.
    fn index(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.is_reordered = true;
        let rest = self.format.get(self.at..).unwrap_or_default();
        let close = rest.iter().position(|byte| *byte == b']');
        let (number, consumed) = match close {
            Some(close) if rest.len() >= 3 => {
                let (number, digits) = number(rest.get(1..close).unwrap_or_default());
                (number.filter(|_| digits + 1 == close), close + 1)
            }
            _ => (None, 1),
        };
        self.at += consumed;
        let operand = number.map(|number| number - 1);
        match operand.and_then(|operand| usize::try_from(operand).ok()) {
            Some(operand) if operand < self.operands => {
                self.operand = operand;
                true
            }
            _ => {
                self.is_good = false;
                number.is_some()
            }
        }
    }

    fn width(&mut self, after_index: bool, printer: &mut Printer, args: &dyn Args) -> bool {
        if self.peek() != Some(b'*') {
            let width = self.number();
            printer.flags.width = width;
            if after_index && width.is_some() {
                self.is_good = false;
            }
            return after_index;
        }
        self.at += 1;
        match self.star(args) {
            None => printer.text("%!(BADWIDTH)"),
            Some(width) => {
                printer.flags.width = usize::try_from(width.unsigned_abs()).ok();
                if width < 0 {
                    printer.flags.minus = true;
                    printer.flags.zero = false;
                }
            }
        }
        false
    }

    fn precision(&mut self, mut after_index: bool, printer: &mut Printer, args: &dyn Args) -> bool {
        if self.peek() != Some(b'.') || self.at + 1 >= self.format.len() {
            return after_index;
        }
        self.at += 1;
        if after_index {
            self.is_good = false;
        }
        after_index = self.index();
        if self.peek() != Some(b'*') {
            printer.flags.precision = Some(self.number().unwrap_or(0));
            return after_index;
        }
        self.at += 1;
        printer.flags.precision = self
            .star(args)
            .and_then(|precision| usize::try_from(precision).ok());
        if printer.flags.precision.is_none() {
            printer.text("%!(BADPREC)");
        }
        false
    }

    /// Takes an operand for a `*`.
    fn star(&mut self, args: &dyn Args) -> Option<i64> {
        if self.operand >= self.operands {
            return None;
        }
        let number = args.integer(self.operand);
        self.operand += 1;
        number.filter(|number| (-MAX_NUMBER..=MAX_NUMBER).contains(number))
    }

    fn number(&mut self) -> Option<usize> {
        let (number, digits) = number(self.format.get(self.at..).unwrap_or_default());
        self.at += digits;
        number.and_then(|number| usize::try_from(number).ok())
    }
}

/// Reads digits and returns their value and how many bytes are done with: all, if the number is too large.
fn number(text: &[u8]) -> (Option<i64>, usize) {
    let mut value = None;
    for (index, byte) in text.iter().enumerate() {
        if !byte.is_ascii_digit() {
            return (value, index);
        }
        let so_far = value.unwrap_or(0);
        if so_far > MAX_NUMBER {
            return (None, text.len());
        }
        value = Some(so_far * 10 + i64::from(byte - b'0'));
    }
    (value, text.len())
}
