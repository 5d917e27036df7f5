//! Tests of the substitution language.

mod bounds;
mod language;
mod oracle;
