//! Schemas against the schema of their draft.

use ferro_gocompat::quote::quote;
use serde_json::Value as Json;

use super::document::{Document, Draft};
use super::{forms, validate};

/// The schema of a draft.
fn metaschema(draft: Draft) -> Result<Json, String> {
    let text = match draft {
        Draft::V4 => include_str!("metaschemas/draft-04.json"),
        Draft::V6 => include_str!("metaschemas/draft-06.json"),
        Draft::V7 => include_str!("metaschemas/draft-07.json"),
        Draft::V2019 => include_str!("metaschemas/2019-09.json"),
        Draft::V2020 => include_str!("metaschemas/2020-12.json"),
    };
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Checks that a schema is one of its draft; `place` is its address, and the error upstream's.
pub(super) fn check(schema: &Json, draft: Draft, place: &str) -> Result<(), String> {
    // To look at the keywords is less work, and enough for nearly all schemas.
    if forms::are_plain(schema, draft) {
        return Ok(());
    }
    let metaschema = metaschema(draft)?;
    let document = Document::new(&metaschema)?.asserting_formats();
    // These schemas branch at few places, so that the work grows as the schema does, and that is bounded.
    validate::validate(&document, schema, usize::MAX).map_err(|failure| {
        let address = metaschema.get("$schema").and_then(Json::as_str);
        let address = address.unwrap_or_default().trim_end_matches('#');
        let place = quote(place);
        format!("{place} is not valid against metaschema: jsonschema validation failed with '{address}#'\n{failure}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metaschemas_are_schemas_of_their_own_draft() {
        for draft in [Draft::V4, Draft::V6, Draft::V7, Draft::V2019, Draft::V2020] {
            let metaschema = metaschema(draft).unwrap();
            assert_eq!(check(&metaschema, draft, "meta"), Ok(()), "{draft:?}");
        }
    }
}
