//! What the language does, by examples.
