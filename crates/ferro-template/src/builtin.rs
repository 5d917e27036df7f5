//! The functions of the language.
use crate::func::Function;
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Function)> {
    std::iter::empty()
}
