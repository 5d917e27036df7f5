//! Execution.
use crate::error::Error;
use crate::func::Call;
use crate::set::Templates;
use crate::value::{Text, Value};

/// What one execution counts.
pub(crate) struct Run {}

pub(crate) fn execute_nested(
    _call: &mut Call<'_>,
    _templates: &Templates,
    name: &str,
    _data: &Value,
) -> Result<Text, Error> {
    Err(Error::new(format!("template: no template {name:?}")))
}
