//! Printing of values: Go's `fmt` over the value model.

use std::rc::Rc;

use ferro_gocompat::float::Width;
use ferro_gocompat::fmt::{Args, Printer, printf};

use crate::exec::Output;
use crate::stack::guarded;
use crate::value::types::Kind;
use crate::value::{Int, Object, Text, Type, Value};

/// How deep a value may nest; a map that contains itself nests forever.
const MAX_DEPTH: usize = 20_000;

/// The message of the error about that.
pub(crate) const TOO_DEEP: &str = "value is nested too deeply to be printed";

/// Why an action cannot print a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unprintable {
    Function,
    TooDeep,
}

/// Formats like `fmt.Sprint`: with a blank between operands of which neither is a string.
///
/// ```
/// use ferro_template::{Value, sprint};
///
/// assert_eq!(sprint(&[Value::from("a"), Value::int(1), Value::int(2), Value::from("b")]), *"a1 2b");
/// ```
pub fn sprint(args: &[Value]) -> Text {
    text(|show| show.sprint(args))
}

/// Formats like `fmt.Sprintln`.
pub fn sprintln(args: &[Value]) -> Text {
    text(|show| show.sprintln(args))
}

/// Formats like `fmt.Sprintf`.
///
/// ```
/// use ferro_template::{Value, sprintf};
///
/// assert_eq!(sprintf(b"%05.1f|%d", &[Value::Float(2.25), Value::from("x")]), *"002.2|%!d(string=x)");
/// ```
pub fn sprintf(format: &[u8], args: &[Value]) -> Text {
    text(|show| show.sprintf(format, args))
}

fn text(print: impl FnOnce(&mut Show<'_>)) -> Text {
    let mut printer = Printer::default();
    print(&mut Show::new(&mut printer));
    Text::from(printer.out)
}

/// Formats within a limit; says so when the value nests too deeply.
pub(crate) fn limited(limit: usize, print: impl FnOnce(&mut Show<'_>)) -> Result<Text, Unprintable> {
    let mut printer = Printer {
        limit,
        ..Printer::default()
    };
    let mut show = Show::new(&mut printer);
    print(&mut show);
    if show.is_too_deep {
        return Err(Unprintable::TooDeep);
    }
    Ok(Text::from(printer.out))
}

/// Formats a value for one verb.
pub(crate) fn verb(value: &Value, verb: char) -> String {
    text(|show| show.arg(value, verb)).to_string()
}

/// Formats what a pointer points to, without the pointer's methods, and other values as they are.
pub(crate) fn pointee(value: &Value) -> String {
    let shown = text(|show| match value {
        Value::Object(object) if value.kind() == Kind::Ptr && !object.is_nil() => {
            show.structure(&**object, 'v');
        }
        _ => show.arg(value, 'v'),
    });
    shown.to_string()
}

/// Prints the value of an action.
pub(crate) fn action(out: &mut Output, value: &Value, limit: usize) -> Result<(), Unprintable> {
    match value {
        Value::Nil => out.push_str("<no value>"),
        Value::Str(text) => out.push_text(text),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(int) if int.kind.is_signed() => out.push_integer(int.bits),
        Value::Float(number) if is_small_integer(*number) => out.push_integer(*number as i64),
        Value::Func(_) => return Err(Unprintable::Function),
        value => {
            let mut printer = Printer {
                limit,
                ..Printer::default()
            };
            let mut show = Show::new(&mut printer);
            show.dereferenced(value);
            if show.is_too_deep {
                return Err(Unprintable::TooDeep);
            }
            out.push_bytes(&printer.out);
        }
    }
    Ok(())
}

/// Tells whether a float prints as the integer that it is, which those out of YAML mostly do.
fn is_small_integer(number: f64) -> bool {
    number.abs() < 1e6 && number.trunc() == number && (number != 0.0 || number.is_sign_positive())
}

/// A printer in the course of printing an operand.
pub(crate) struct Show<'p> {
    printer: &'p mut Printer,
    depth: usize,
    is_too_deep: bool,
    /// Whether a complaint about a verb is being printed, in which methods are not called.
    is_complaining: bool,
}

impl<'p> Show<'p> {
    fn new(printer: &'p mut Printer) -> Self {
        Self {
            printer,
            depth: 0,
            is_too_deep: false,
            is_complaining: false,
        }
    }

    fn is_over(&self) -> bool {
        self.is_too_deep || self.printer.out.len() > self.printer.limit
    }

    pub(crate) fn sprint(&mut self, args: &[Value]) {
        let mut previous_is_text = false;
        for (index, arg) in args.iter().enumerate() {
            let is_text = arg.kind() == Kind::String;
            if index > 0 && !is_text && !previous_is_text {
                self.printer.text(" ");
            }
            self.arg(arg, 'v');
            previous_is_text = is_text;
        }
    }

    pub(crate) fn sprintln(&mut self, args: &[Value]) {
        for (index, arg) in args.iter().enumerate() {
            if index > 0 {
                self.printer.text(" ");
            }
            self.arg(arg, 'v');
        }
        self.printer.text("\n");
    }

    pub(crate) fn sprintf(&mut self, format: &[u8], args: &[Value]) {
        let operands = Operands {
            args,
            is_too_deep: std::cell::Cell::new(false),
        };
        printf(self.printer, format, &operands);
        self.is_too_deep |= operands.is_too_deep.get();
    }

    /// Formats what escapers escape: like [`Self::sprint`], but with what an action would print for each.
    pub(crate) fn escapable(&mut self, args: &[Value]) {
        let mut previous_is_text = false;
        for (index, arg) in args.iter().enumerate() {
            let is_text = matches!(arg.kind(), Kind::String | Kind::Invalid);
            if index > 0 && !is_text && !previous_is_text {
                self.printer.text(" ");
            }
            match arg {
                Value::Nil => self.printer.text("<no value>"),
                arg => self.dereferenced(arg),
            }
            previous_is_text = is_text;
        }
    }

    /// Prints as an action does: a pointer as what it points to, with the methods of the pointer.
    fn dereferenced(&mut self, value: &Value) {
        let Value::Object(object) = value else {
            return self.arg(value, 'v');
        };
        if let Some(text) = object.display_addressed() {
            return self.text_verb(text.as_bytes(), 'v', value);
        }
        if object.is_nil() {
            return self.arg(value, 'v');
        }
        self.structure(&**object, 'v');
    }

    /// Prints an operand: `printArg`.
    pub(crate) fn arg(&mut self, value: &Value, verb: char) {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.printer.pad(b"<nil>"),
            (Value::Nil, _) => self.complain(value, verb),
            (_, 'T') => {
                let name = value.type_name();
                self.printer.string(name.as_bytes());
            }
            (_, 'p') => self.pointer(value, verb),
            (Value::Bytes(bytes), _) => self.bytes(bytes, verb, "[]byte", value),
            _ => {
                if !self.methods(value, verb) {
                    self.value(value, verb, true);
                }
            }
        }
    }

    /// Prints what the `Error` or `String` method says, if that is asked for.
    fn methods(&mut self, value: &Value, verb: char) -> bool {
        if self.is_complaining
            || !matches!(
                value,
                Value::Object(_) | Value::Named(_) | Value::List(_) | Value::Map(_)
            )
        {
            return false;
        }
        if verb == 'w' {
            self.complain(value, verb);
            return true;
        }
        if self.printer.flags.sharp_v {
            let Value::Object(object) = value else {
                return false;
            };
            let Some(text) = object.go_string() else {
                return false;
            };
            self.printer.string(text.as_bytes());
            return true;
        }
        if !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return false;
        }
        let Some(text) = value.display() else { return false };
        self.text_verb(text.as_bytes(), verb, value);
        true
    }

    /// Prints a value without its methods: `printValue`.
    fn value(&mut self, value: &Value, verb: char, is_top: bool) {
        if self.is_over() {
            return;
        }
        match value.plain() {
            Value::Nil => self.nil_interface(&Type::Any),
            Value::Bool(flag) => match verb {
                't' | 'v' => self.printer.boolean(*flag),
                _ => self.complain(value, verb),
            },
            Value::Int(int) => self.integer(*int, verb, value),
            Value::Float(number) => self.float(*number, Width::Double, verb, value),
            Value::Float32(number) => self.float(f64::from(*number), Width::Single, verb, value),
            Value::Complex(re, im) => self.complex(*re, *im, verb, value),
            Value::Str(text) => self.text_verb(text.as_bytes(), verb, value),
            Value::Bytes(bytes) => self.bytes(bytes, verb, "[]uint8", value),
            Value::List(_) | Value::Map(_) | Value::Object(_) => self.nested(value, verb, is_top),
            Value::Func(_) | Value::Named(_) => self.pointer(value, verb),
        }
    }

    fn nested(&mut self, value: &Value, verb: char, is_top: bool) {
        if self.depth >= MAX_DEPTH {
            self.is_too_deep = true;
            return;
        }
        self.depth += 1;
        guarded(|| match value {
            Value::List(list) => {
                self.open(
                    &list.ty().to_string(),
                    "[",
                    list.is_nil(),
                    |show| {
                        for (index, item) in list.items().iter().enumerate() {
                            show.separate(index);
                            show.element(item, list.elem(), verb);
                        }
                    },
                    "]",
                );
            }
            Value::Map(map) => {
                let entries = map.entries();
                self.open(
                    &map.ty().to_string(),
                    "map[",
                    map.is_nil(),
                    |show| {
                        for (index, (key, item)) in entries.iter().enumerate() {
                            show.separate(index);
                            show.element(&key.to_value(map.key_type()), map.key_type(), verb);
                            show.printer.text(":");
                            show.element(item, map.elem(), verb);
                        }
                    },
                    "]",
                );
            }
            Value::Object(object) => self.object(object, verb, is_top),
            _ => {}
        });
        self.depth -= 1;
    }

    /// Prints brackets around elements; in Go syntax braces, after the type.
    fn open(&mut self, ty: &str, left: &str, is_nil: bool, elements: impl FnOnce(&mut Self), right: &str) {
        if !self.printer.flags.sharp_v {
            self.printer.text(left);
            elements(self);
            return self.printer.text(right);
        }
        self.printer.text(ty);
        if is_nil {
            return self.printer.text("(nil)");
        }
        self.printer.text("{");
        elements(self);
        self.printer.text("}");
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.printer
                .text(if self.printer.flags.sharp_v { ", " } else { " " });
        }
    }

    /// Prints a value inside another, of which the static type is known.
    fn element(&mut self, value: &Value, ty: &Type, verb: char) {
        if self.is_over() {
            return;
        }
        if matches!(value, Value::Nil) {
            return self.nil_interface(ty);
        }
        if !self.methods(value, verb) {
            self.value(value, verb, false);
        }
    }

    fn nil_interface(&mut self, ty: &Type) {
        if self.printer.flags.sharp_v {
            self.printer.text(&format!("{ty}(nil)"));
        } else {
            self.printer.text("<nil>");
        }
    }

    fn object(&mut self, object: &Rc<dyn Object>, verb: char, is_top: bool) {
        if object.go_type().kind() != Kind::Ptr {
            return self.structure(&**object, verb);
        }
        if is_top && !object.is_nil() {
            self.printer.text("&");
            return self.structure(&**object, verb);
        }
        self.pointer(&Value::Object(Rc::clone(object)), verb);
    }

    /// Prints the fields of a struct.
    fn structure(&mut self, object: &dyn Object, verb: char) {
        let flags = self.printer.flags;
        if flags.sharp_v {
            let ty = match object.go_type() {
                Type::Ptr(target) => *target,
                ty => ty,
            };
            self.printer.text(&ty.to_string());
        }
        self.printer.text("{");
        for (index, (name, value)) in object.fields().iter().enumerate() {
            self.separate(index);
            if flags.plus_v || flags.sharp_v {
                self.printer.text(name);
                self.printer.text(":");
            }
            self.element(value, &Type::Any, verb);
        }
        self.printer.text("}");
    }

    fn integer(&mut self, int: Int, verb: char, value: &Value) {
        let is_negative = int.kind.is_signed() && int.bits < 0;
        let code = int.bits as u64;
        let magnitude = if is_negative {
            int.bits.unsigned_abs()
        } else {
            code
        };
        let base = match verb {
            'v' if self.printer.flags.sharp_v && !int.kind.is_signed() => return self.hex_number(code, true),
            'v' | 'd' => 10,
            'b' => 2,
            'o' | 'O' => 8,
            'x' | 'X' => 16,
            'c' => return self.printer.character(code),
            'q' => return self.printer.quoted_character(code),
            'U' => return self.printer.unicode(code),
            _ => return self.complain(value, verb),
        };
        self.printer.integer(is_negative, magnitude, base, verb);
    }

    fn hex_number(&mut self, number: u64, has_prefix: bool) {
        let sharp = std::mem::replace(&mut self.printer.flags.sharp, has_prefix);
        self.printer.integer(false, number, 16, 'v');
        self.printer.flags.sharp = sharp;
    }

    fn float(&mut self, number: f64, width: Width, verb: char, value: &Value) {
        let (format, precision) = match verb {
            'v' => (b'g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb as u8, None),
            'f' | 'e' | 'E' => (verb as u8, Some(6)),
            'F' => (b'f', Some(6)),
            _ => return self.complain(value, verb),
        };
        self.printer.float(number, width, format, precision);
    }

    fn complex(&mut self, re: f64, im: f64, verb: char, value: &Value) {
        if !matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E') {
            return self.complain(value, verb);
        }
        let plus = self.printer.flags.plus;
        self.printer.text("(");
        self.float(re, Width::Double, verb, value);
        self.printer.flags.plus = true;
        self.float(im, Width::Double, verb, value);
        self.printer.text("i)");
        self.printer.flags.plus = plus;
    }

    fn text_verb(&mut self, text: &[u8], verb: char, value: &Value) {
        match verb {
            'v' if self.printer.flags.sharp_v => self.printer.quoted(text),
            'v' | 's' => self.printer.string(text),
            'x' => self.printer.hex(text, false),
            'X' => self.printer.hex(text, true),
            'q' => self.printer.quoted(text),
            _ => self.complain(value, verb),
        }
    }

    fn bytes(&mut self, bytes: &[u8], verb: char, ty: &str, value: &Value) {
        match verb {
            's' => self.printer.string(bytes),
            'x' => self.printer.hex(bytes, false),
            'X' => self.printer.hex(bytes, true),
            'q' => self.printer.quoted(bytes),
            _ => self.open(
                ty,
                "[",
                false,
                |show| {
                    for (index, byte) in bytes.iter().enumerate() {
                        show.separate(index);
                        let byte = Int::new(crate::value::IntKind::Uint8, i64::from(*byte));
                        if verb == 'v' && show.printer.flags.sharp_v {
                            show.hex_number(byte.bits as u64, true);
                        } else if show.is_over() {
                            break;
                        } else {
                            show.integer(byte, verb, &Value::Int(byte));
                        }
                    }
                    let _ = value;
                },
                "]",
            ),
        }
    }

    /// Prints an address. Which one depends on the run in Go, too; it is always the same here.
    fn pointer(&mut self, value: &Value, verb: char) {
        const ADDRESS: u64 = 0x00C0_0001_2000;
        let is_pointer = matches!(value.kind(), Kind::Ptr | Kind::Map | Kind::Slice | Kind::Func);
        let address = if value.is_nil() { 0 } else { ADDRESS };
        match verb {
            _ if !is_pointer => self.complain(value, verb),
            'v' if self.printer.flags.sharp_v => {
                let ty = value.type_name();
                self.printer.text(&format!("({ty})("));
                if address == 0 {
                    self.printer.text("nil");
                } else {
                    self.hex_number(address, true);
                }
                self.printer.text(")");
            }
            'v' if address == 0 => self.printer.pad(b"<nil>"),
            'v' | 'p' => {
                let has_prefix = !self.printer.flags.sharp;
                self.hex_number(address, has_prefix);
            }
            'b' => self.printer.integer(false, address, 2, verb),
            'o' => self.printer.integer(false, address, 8, verb),
            'd' => self.printer.integer(false, address, 10, verb),
            'x' | 'X' => self.printer.integer(false, address, 16, verb),
            _ => self.complain(value, verb),
        }
    }

    /// Prints `%!verb(type=value)`.
    fn complain(&mut self, value: &Value, verb: char) {
        self.is_complaining = true;
        self.printer.text("%!");
        self.printer.char(verb);
        self.printer.text("(");
        if matches!(value, Value::Nil) {
            self.printer.text("<nil>");
        } else {
            let ty = value.type_name();
            self.printer.text(&ty);
            self.printer.text("=");
            if let Value::Bytes(_) = value {
                self.arg(value, 'v');
            } else {
                self.value(value, 'v', true);
            }
        }
        self.printer.text(")");
        self.is_complaining = false;
    }
}

/// The operands of a format.
struct Operands<'a> {
    args: &'a [Value],
    is_too_deep: std::cell::Cell<bool>,
}

impl Operands<'_> {
    fn show(&self, printer: &mut Printer, print: impl FnOnce(&mut Show<'_>)) {
        let mut show = Show::new(printer);
        print(&mut show);
        if show.is_too_deep {
            self.is_too_deep.set(true);
        }
    }
}

impl Args for Operands<'_> {
    fn len(&self) -> usize {
        self.args.len()
    }

    fn integer(&self, index: usize) -> Option<i64> {
        self.args.get(index)?.as_int()?.as_i64()
    }

    fn print(&self, index: usize, verb: char, printer: &mut Printer) {
        if let Some(value) = self.args.get(index) {
            self.show(printer, |show| show.arg(value, verb));
        }
    }

    fn print_extra(&self, index: usize, printer: &mut Printer) {
        match self.args.get(index) {
            None | Some(Value::Nil) => printer.text("<nil>"),
            Some(value) => {
                let ty = value.type_name();
                printer.text(&ty);
                printer.text("=");
                self.show(printer, |show| show.arg(value, 'v'));
            }
        }
    }
}
