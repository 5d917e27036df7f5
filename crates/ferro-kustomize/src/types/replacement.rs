//! Replacements: values copied from one object into others.

use super::Selector;
use super::decode::record;

record! {
    /// How a value is taken apart or put in.
    pub struct FieldOptions {
        /// What splits the text.
        pub delimiter: String = "delimiter",
        /// Which part of the text is meant.
        pub index: i64 = "index",
        /// Accepted and unused.
        pub encoding: String = "encoding",
        /// Whether a missing field is created.
        pub create: bool = "create",
    }
}

record! {
    /// Where a value comes from; each part is compared literally.
    pub struct SourceSelector {
        /// The API group.
        pub group: String = "group" in "ResId.Gvk",
        /// The version.
        pub version: String = "version" in "ResId.Gvk",
        /// The kind.
        pub kind: String = "kind" in "ResId.Gvk",
        /// The name.
        pub name: String = "name" in "ResId",
        /// The namespace.
        pub namespace: String = "namespace" in "ResId",
        /// The field; the name without one.
        pub field_path: String = "fieldPath",
        /// Which part of the field.
        pub options: Option<FieldOptions> = "options",
    }
}

record! {
    /// Where a value goes.
    pub struct TargetSelector {
        /// The objects.
        pub select: Option<Selector> = "select",
        /// Objects left out.
        pub reject: Vec<Selector> = "reject",
        /// The fields; the name without any.
        pub field_paths: Vec<String> = "fieldPaths",
        /// How the value is put in.
        pub options: Option<FieldOptions> = "options",
    }
}

record! {
    /// A value and the places it goes to.
    pub struct Replacement {
        /// Where the value comes from.
        pub source: Option<SourceSelector> = "source",
        /// Where it goes.
        pub targets: Vec<TargetSelector> = "targets",
        /// The value itself, instead of a source.
        pub source_value: Option<String> = "sourceValue",
    }
}

record! {
    /// A replacement, inline or in a file.
    pub struct ReplacementField {
        /// The file, with one replacement or a list of them.
        pub path: String = "path",
        /// Where the value comes from.
        pub source: Option<SourceSelector> = "source" in "Replacement",
        /// Where it goes.
        pub targets: Vec<TargetSelector> = "targets" in "Replacement",
        /// The value itself, instead of a source.
        pub source_value: Option<String> = "sourceValue" in "Replacement",
    }
}
