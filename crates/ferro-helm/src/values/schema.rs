//! `values.schema.json`.
use super::Instance;
use crate::Notice;
use ferro_template::Map as Table;
/// x
pub(crate) fn validate(_chart: &Instance, _values: &Table, _notices: &mut Vec<Notice>) -> Result<(), String> {
    Ok(())
}
