//! The functions of Helm's templates: sprig 3.3.0 and Helm 4.2's own, byte for byte.
//!
//! [`functions`] is sprig's text map, [`helm_functions`] what a chart sees of it: without `env` and
//! `expandenv`, with Helm's YAML, JSON and TOML functions. `include`, `tpl`, `required` and `lookup` are not
//! here; they belong to the engine that renders charts. Functions fail where sprig's return an error or
//! panic, with the same text.
//!
//! What a function cannot compute, it asks of an [`Environment`]: the time, randomness, host names.
//!
//! ```
//! use std::sync::Arc;
//! use ferro_gocompat::time::Time;
//!
//! struct Fixed;
//!
//! impl ferro_sprig::Environment for Fixed {
//!     fn now(&self) -> Time {
//!         Time::from_unix(1_700_000_000, 0)
//!     }
//!
//!     fn fill_random(&self, bytes: &mut [u8]) {
//!         bytes.fill(7);
//!     }
//! }
//!
//! let functions = ferro_sprig::helm_functions(Arc::new(Fixed));
//! assert!(functions.get("toYaml").is_some() && functions.get("env").is_none());
//! ```
//!
//! Differences that are meant: lists that Go would allocate without bound are refused; `keys` and `values`
//! come in the order of the keys, where Go shuffles; `sortAlpha` leaves the list that it is given alone,
//! where Go sorts a `[]string` in place.

mod args;
mod convert;
mod crypto;
mod dates;
mod decimal;
mod defaults;
mod dict;
mod encoding;
mod environment;
mod equality;
mod json;
mod lists;
mod merge;
mod numbers;
mod paths;
mod random;
mod reflection;
mod regex;
mod semver;
mod strings;
#[cfg(feature = "system")]
mod system;
mod text;
mod toml;
mod url;

use std::sync::Arc;

use ferro_template::Functions;

pub use dates::{DURATION, Duration, TIME, TimeValue};
pub use environment::Environment;
pub use semver::VERSION;
#[cfg(feature = "system")]
pub use system::System;
pub use url::{UrlParts, parse_url};

use args::Table;

/// The functions of the language and sprig's.
pub fn functions(environment: Arc<dyn Environment>) -> Functions {
    let mut functions = Functions::builtins();
    let mut table = Table::new(&mut functions, environment);
    strings::register(&mut table);
    encoding::register(&mut table);
    numbers::register(&mut table);
    lists::register(&mut table);
    dict::register(&mut table);
    defaults::register(&mut table);
    reflection::register(&mut table);
    regex::register(&mut table);
    semver::register(&mut table);
    paths::register(&mut table);
    url::register(&mut table);
    dates::register(&mut table);
    random::register(&mut table);
    crypto::register(&mut table);
    json::register_sprig(&mut table);
    functions
}

/// The functions that charts can call, but for those that need the chart or the cluster.
pub fn helm_functions(environment: Arc<dyn Environment>) -> Functions {
    let mut functions = functions(Arc::clone(&environment));
    functions.remove("env");
    functions.remove("expandenv");
    let mut table = Table::new(&mut functions, environment);
    json::register_helm(&mut table);
    toml::register(&mut table);
    functions
}
