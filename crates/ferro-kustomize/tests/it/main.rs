//! The engine as a whole.

mod corpus;
