//! Our answers to the oracle's questions, in its form.

use ferro_gocompat::json;
use ferro_yaml::{
    Dialect, EmitOptions, ParseOptions, documents_to_string, parse_documents, parse_one, sigs, to_string,
};
use serde_json::{Value, json};

/// Answers a request as the oracle does: its output or its error's text.
pub(crate) fn answer(op: &str, text: &str) -> Result<Value, String> {
    answer_or_error(op, text).map_err(|error| error.to_string())
}

fn answer_or_error(op: &str, text: &str) -> Result<Value, ferro_yaml::Error> {
    let options = ParseOptions {
        comments: true,
        ..ParseOptions::default()
    };
    Ok(match op {
        "yaml.v2.roundtrip" => both(&sigs::from_slice(text)?)?,
        "yaml.v2.strict" => both(&sigs::from_slice_strict(text)?)?,
        "yaml.v2.fromjson" => json!(sigs::to_string(&serde_json::from_str(text).unwrap())?),
        "yaml.v3.nodes" => {
            json!(documents_to_string(
                &parse_documents(text, &options)?,
                &EmitOptions::kyaml()
            )?)
        }
        "yaml.v3.tag" => json!(Dialect::V3.resolve(text).tag().name()),
        "kyaml.roundtrip" => {
            let documents = parse_documents(text, &options)?;
            json!(documents_to_string(documents.first(), &EmitOptions::kyaml())?)
        }
        "kyaml.json" => {
            let root = parse_one(text, &ParseOptions::default())?;
            if root.is_scalar() {
                return Err(ferro_yaml::Error::UnsupportedKey(
                    "a resource is a mapping or a list".to_owned(),
                ));
            }
            both(&root.to_json()?)?
        }
        "tostring" => json!(to_string(&parse_one(text, &options)?, &EmitOptions::kyaml())?),
        op => panic!("no such operation: {op}"),
    })
}

fn both(value: &Value) -> Result<Value, ferro_yaml::Error> {
    Ok(json!({"json": json::to_string(value), "yaml": sigs::to_string(value)?}))
}
