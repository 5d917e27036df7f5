//! Text functions over bytes, because a Go string may hold any: a cut by `trunc` need not end with a
//! character.

pub(crate) mod base;
pub(crate) mod case;
pub(crate) mod runes;
pub(crate) mod words;
pub(crate) mod wrap;
