//! TOML as BurntSushi/toml v1.6 writes and reads it.

mod encode;

use crate::args::{ANY, STRING, Table, fail, text};

pub(crate) fn register(table: &mut Table<'_>) {
    // An error is what `toToml` answers.
    table.add(&["toToml"], &[ANY], STRING, |args| {
        text(encode::encode(args.any(0)).unwrap_or_else(|failure| failure.message.into_bytes()))
    });
    table.add(&["mustToToml"], &[ANY], STRING, |args| match encode::encode(args.any(0)) {
        Ok(toml) => text(toml),
        Err(failure) => fail(failure.message),
    });
}
