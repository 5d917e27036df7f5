//! The two patch languages.

pub(crate) mod json6902;
pub(crate) mod smp;
mod smp_list;
