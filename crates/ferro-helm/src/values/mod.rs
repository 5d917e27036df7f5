//! Values: reading, merging, scoping to subcharts, checking.
//!
//! Values at rest are JSON data, and can be shared by threads: a number is a floating-point number as YAML
//! and JSON give it, or an integer as `--set` and `targetPath` do; templates can tell them apart.

mod coalesce;
mod compose;
mod convert;
mod import;
mod read;
mod resolve;
pub mod schema;
mod show;

pub use coalesce::{coalesce, coalesce_tables, coalesce_values};
pub use compose::{Composition, TargetPath};
pub use convert::to_map;
pub(crate) use convert::{MAX_DEPTH, to_json, to_value};
pub use read::{Error as ReadError, merge, read, with_float_numbers};
pub use resolve::{Instance, resolve};
pub(crate) use resolve::{path_value, table_at};

/// Why values do not fit a chart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What should be a subchart's values is none.
    #[error("type mismatch on {chart}: {found}")]
    TypeMismatch {
        /// The subchart.
        chart: String,
        /// What is there instead, as Go's `%t` prints it.
        found: String,
    },
    /// Importing values led to tables within themselves, or users wrote them nested beyond reason.
    #[error("values are nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}
