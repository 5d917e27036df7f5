//! Room for recursion.

/// What must be left of the stack, and how much more is taken when it is not.
const RESERVE: usize = 256 << 10;
const MORE: usize = 2 << 20;

/// Runs something that may recurse, on more stack if there is little left. How deep it goes is bounded
/// elsewhere.
pub(crate) fn guarded<R>(run: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(RESERVE, MORE, run)
}
