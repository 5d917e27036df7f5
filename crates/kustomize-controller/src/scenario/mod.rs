//! Runs of the reconciler.
