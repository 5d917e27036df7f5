//! The two macros that keep kinds and enumerations to their facts.

/// Defines an API kind: the object with its metadata, `spec` and `status`, its identity, and how it is
/// read and written.
///
/// `spec` defaults when it is absent, because no Flux CRD requires it: such an object must reach its
/// controller and be reported, not break the watch.
macro_rules! kind {
    (
        $(#[doc = $doc:literal])*
        $name:ident { group: $group:expr, version: $version:literal, plural: $plural:literal,
            short_names: $short:expr, spec: $spec:ty $(, status: $status:ty)? $(,)? }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
        pub struct $name {
            /// Name, namespace, labels, annotations and the server's bookkeeping.
            #[serde(default)]
            pub metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// What the user asks for.
            #[serde(default)]
            pub spec: $spec,
            $(
                /// What the controller observed.
                #[serde(default)]
                pub status: Option<$status>,
            )?
        }

        impl $name {
            /// Creates an object of this kind with a name and a spec.
            #[must_use]
            pub fn new(name: &str, spec: $spec) -> Self {
                let metadata = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                    name: Some(name.to_owned()),
                    ..Default::default()
                };
                Self { metadata, spec, $(status: None::<$status>)? }
            }
        }

        impl crate::object::Kind for $name {
            const INFO: crate::object::KindInfo = crate::object::KindInfo {
                group: $group,
                version: $version,
                kind: stringify!($name),
                plural: $plural,
                short_names: &$short,
                description: &[$($doc),*],
            };
        }

        impl kube_core::Resource for $name {
            type DynamicType = ();
            type Scope = k8s_openapi::NamespaceResourceScope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                stringify!($name).into()
            }

            fn group((): &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }

            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.metadata
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct as _;
                let mut object = serializer.serialize_struct(stringify!($name), 5)?;
                object.serialize_field("apiVersion", <Self as crate::object::Kind>::INFO.api_version().as_str())?;
                object.serialize_field("kind", stringify!($name))?;
                object.serialize_field("metadata", &self.metadata)?;
                object.serialize_field("spec", &self.spec)?;
                $(
                    if let Some(status) = &self.status {
                        let status: &$status = status;
                        object.serialize_field("status", status)?;
                    }
                )?
                object.end()
            }
        }
    };
}

/// Defines a closed set of strings: the enumeration, its text form and its schema.
///
/// The API server admits no other value, and the first variant marked `#[default]` is what an absent
/// required value reads as.
macro_rules! string_enum {
    (
        $(#[$doc:meta])*
        pub enum $name:ident {
            $( $(#[$variant_doc:meta])* $variant:ident = $text:literal, )+
        }
    ) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $( $(#[$variant_doc])* #[serde(rename = $text)] $variant, )+
        }

        impl $name {
            /// Every value, in the order of the schema.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the value as it is written in manifests.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": [$($text),+]})
            }
        }
    };
}

/// Implements [`FluxObject`](crate::object::FluxObject) for a kind whose status has conditions, an
/// observed generation and the last handled reconcile request.
macro_rules! flux_object {
    ($name:ident, $status:ty, interval: $interval:expr, suspend: $suspend:expr $(, instructions: $instructions:expr)?) => {
        impl crate::object::FluxObject for $name {
            type Status = $status;
            $(const INSTRUCTIONS: &'static [&'static str] = &$instructions;)?

            fn interval(&self) -> Option<crate::meta::Duration> {
                let interval: fn(&Self) -> Option<crate::meta::Duration> = $interval;
                interval(self)
            }

            fn is_suspended(&self) -> bool {
                let suspend: fn(&Self) -> bool = $suspend;
                suspend(self)
            }

            fn status(&self) -> Option<&$status> {
                self.status.as_ref()
            }

            fn status_mut(&mut self) -> &mut $status {
                self.status.get_or_insert_default()
            }

            fn set_status(&mut self, status: Option<$status>) {
                self.status = status;
            }
        }
    };
}

/// Implements [`FluxStatus`](crate::object::FluxStatus) for a status struct with the usual three fields.
macro_rules! flux_status {
    ($status:ty) => {
        impl crate::object::FluxStatus for $status {
            fn conditions(&self) -> &[crate::meta::Condition] {
                &self.conditions
            }

            fn conditions_mut(&mut self) -> &mut Vec<crate::meta::Condition> {
                &mut self.conditions
            }

            fn observed_generation(&self) -> Option<i64> {
                self.observed_generation
            }

            fn set_observed_generation(&mut self, generation: i64) {
                self.observed_generation = Some(generation);
            }

            fn last_handled_reconcile_at(&self) -> Option<&str> {
                self.last_handled_reconcile_at.as_deref()
            }

            fn set_last_handled_reconcile_at(&mut self, token: &str) {
                self.last_handled_reconcile_at = Some(token.to_owned());
            }
        }
    };
}

pub(crate) use {flux_object, flux_status, kind, string_enum};
