//! TOML as BurntSushi/toml v1.6 writes and reads it.

mod cursor;
mod decode;
mod encode;
mod scalar;

use ferro_template::{Map, Value};

use crate::args::{ANY, MAP, STRING, Table, fail, text};

pub(crate) fn register(table: &mut Table<'_>) {
    // An error is what `toToml` answers.
    table.add(&["toToml"], &[ANY], STRING, |args| {
        match encode::encode(args.any(0)) {
            Ok(toml) => text(toml),
            Err(failure) if failure.is_panic => fail(failure.message),
            Err(failure) => text(failure.message),
        }
    });
    table.add(&["fromToml"], &[STRING], MAP, |args| {
        Ok(Value::Map(decode::decode(args.text(0)).unwrap_or_else(
            |problem| Map::from_iter([("Error", Value::from(problem))]),
        )))
    });
    table.add(&["mustToToml"], &[ANY], STRING, |args| {
        match encode::encode(args.any(0)) {
            Ok(toml) => text(toml),
            Err(failure) => fail(failure.message),
        }
    });
}
