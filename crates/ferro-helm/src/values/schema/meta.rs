//! Schemas against the schema of their draft.

use std::sync::LazyLock;

use ferro_gocompat::quote::quote;
use serde_json::Value as Json;

use super::document::{Document, Draft};
use super::{forms, validate};

/// The schema of a draft, and the address by which failures name it.
struct Metaschema {
    schema: Json,
    address: &'static str,
}

impl Metaschema {
    fn of(draft: Draft) -> &'static Self {
        static V4: LazyLock<Metaschema> = LazyLock::new(|| {
            let address = "http://json-schema.org/draft-04/schema#";
            Metaschema::read(include_str!("metaschemas/draft-04.json"), address)
        });
        static V6: LazyLock<Metaschema> = LazyLock::new(|| {
            let address = "http://json-schema.org/draft-06/schema#";
            Metaschema::read(include_str!("metaschemas/draft-06.json"), address)
        });
        static V7: LazyLock<Metaschema> = LazyLock::new(|| {
            let address = "http://json-schema.org/draft-07/schema#";
            Metaschema::read(include_str!("metaschemas/draft-07.json"), address)
        });
        static V2019: LazyLock<Metaschema> = LazyLock::new(|| {
            let address = "https://json-schema.org/draft/2019-09/schema#";
            Metaschema::read(include_str!("metaschemas/2019-09.json"), address)
        });
        static V2020: LazyLock<Metaschema> = LazyLock::new(|| {
            let address = "https://json-schema.org/draft/2020-12/schema#";
            Metaschema::read(include_str!("metaschemas/2020-12.json"), address)
        });
        match draft {
            Draft::V4 => &V4,
            Draft::V6 => &V6,
            Draft::V7 => &V7,
            Draft::V2019 => &V2019,
            Draft::V2020 => &V2020,
        }
    }

    fn read(text: &str, address: &'static str) -> Self {
        let schema = serde_json::from_str(text).expect("a schema of our own is JSON");
        Self { schema, address }
    }
}

/// Checks that a schema is one of its draft; `place` is its address, and the error upstream's.
pub(super) fn check(schema: &Json, draft: Draft, place: &str) -> Result<(), String> {
    // To look at the keywords is a tenth of the work, and enough for nearly all schemas.
    if forms::are_plain(schema, draft) {
        return Ok(());
    }
    let Metaschema {
        schema: metaschema,
        address,
    } = Metaschema::of(draft);
    let document = Document::new(metaschema)?.asserting_formats();
    // These schemas branch at few places, so that the work grows as the schema does, and that is bounded.
    validate::validate(&document, schema, usize::MAX).map_err(|failure| {
        let place = quote(place);
        format!("{place} is not valid against metaschema: jsonschema validation failed with '{address}'\n{failure}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metaschemas_are_schemas_of_their_own_draft() {
        for draft in [Draft::V4, Draft::V6, Draft::V7, Draft::V2019, Draft::V2020] {
            let metaschema = Metaschema::of(draft);
            assert_eq!(check(&metaschema.schema, draft, "meta"), Ok(()), "{draft:?}");
        }
    }
}
