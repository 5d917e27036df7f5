//! Types and kinds.

use ferro_template::Value;

use crate::args::{ANY, BOOL, STRING, Table, text};
use crate::equality::deep_equal;

pub(crate) fn register(table: &mut Table<'_>) {
    table.add(&["typeOf"], &[ANY], STRING, |args| text(args.any(0).type_name()));
    table.add(&["kindOf"], &[ANY], STRING, |args| {
        text(args.any(0).kind().name())
    });
    table.add(&["typeIs"], &[STRING, ANY], BOOL, |args| {
        Ok(Value::Bool(args.text(0) == args.any(1).type_name().as_bytes()))
    });
    table.add(&["typeIsLike"], &[STRING, ANY], BOOL, |args| {
        let (wanted, found) = (args.text(0), args.any(1).type_name());
        let pointed = found.as_bytes().strip_prefix(b"*");
        Ok(Value::Bool(wanted == found.as_bytes() || pointed == Some(wanted)))
    });
    table.add(&["kindIs"], &[STRING, ANY], BOOL, |args| {
        Ok(Value::Bool(args.text(0) == args.any(1).kind().name().as_bytes()))
    });
    table.add(&["deepEqual"], &[ANY, ANY], BOOL, |args| {
        Ok(Value::Bool(deep_equal(args.any(0), args.any(1))))
    });
}
