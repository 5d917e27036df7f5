//! The Go structs that templates get to see: `.Capabilities`, and the named map that values are.

use ferro_template::types::ANY_MAP;
use ferro_template::{Call, Error, List, Map, Method, NamedType, Object, Text, Type, Value};

use crate::capabilities::{Capabilities, HelmVersion, KubeVersion};
use crate::values::{path_value, table_at, to_json};

static VALUES: NamedType = NamedType {
    methods: &[
        Method {
            name: "AsMap",
            params: &[],
            is_variadic: false,
            result: ANY_MAP,
            run: |_, receiver, _| Ok(Value::Map(as_map(receiver).retyped(ANY_MAP))),
        },
        Method {
            name: "PathValue",
            params: &[&Type::String],
            is_variadic: false,
            result: &Type::Any,
            run: path,
        },
        Method {
            name: "Table",
            params: &[&Type::String],
            is_variadic: false,
            result: &VALUES_TYPE,
            run: table,
        },
        Method {
            name: "YAML",
            params: &[],
            is_variadic: false,
            result: &Type::String,
            run: yaml,
        },
    ],
    ..NamedType::plain("common.Values", Type::Map(&Type::String, &Type::Any))
};
static VALUES_TYPE: Type = Type::Named(&VALUES);

/// Gives a table the type that Helm's values have.
pub(super) fn values(table: &Map) -> Value {
    Value::Map(table.retyped(&VALUES_TYPE))
}

fn as_map(receiver: &Value) -> Map {
    receiver.as_map().cloned().unwrap_or_default()
}

fn text(arguments: &[Value]) -> Text {
    arguments
        .first()
        .and_then(Value::as_text)
        .cloned()
        .unwrap_or_default()
}

fn path(_: &mut Call<'_>, receiver: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let path = text(arguments);
    let path = path.to_str();
    if path.is_empty() {
        return Err(Error::new("YAML path cannot be empty"));
    }
    path_value(&as_map(receiver), &path).ok_or_else(|| {
        let key = path.rsplit('.').next().unwrap_or_default();
        Error::new(format!("{} is not a value", ferro_gocompat::quote::quote(key)))
    })
}

fn table(_: &mut Call<'_>, receiver: &Value, arguments: &[Value]) -> Result<Value, Error> {
    match table_at(&as_map(receiver), &text(arguments).to_str()) {
        Ok(table) => Ok(values(&table)),
        Err(key) => Err(Error::new(format!(
            "{} is not a table",
            ferro_gocompat::quote::quote(&key)
        ))),
    }
}

fn yaml(_: &mut Call<'_>, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    let json = to_json(&as_map(receiver)).map_err(|error| Error::new(error.to_string()))?;
    let yaml = ferro_yaml::sigs::to_string(&serde_json::Value::Object(json));
    yaml.map(Value::from)
        .map_err(|error| Error::new(error.to_string()))
}

static CAPABILITIES: NamedType = NamedType::plain(
    "common.Capabilities",
    Type::Struct(
        "struct { KubeVersion common.KubeVersion; APIVersions common.VersionSet; HelmVersion version.BuildInfo }",
    ),
);
static CAPABILITIES_TYPE: Type = Type::Named(&CAPABILITIES);
static KUBE_VERSION: NamedType = NamedType {
    methods: &[
        Method {
            name: "GitVersion",
            params: &[],
            is_variadic: false,
            result: &Type::String,
            run: |_, receiver, _| kube_version(receiver, |version| &version.version),
        },
        Method {
            name: "String",
            params: &[],
            is_variadic: false,
            result: &Type::String,
            run: |_, receiver, _| kube_version(receiver, shown),
        },
    ],
    ..NamedType::plain(
        "common.KubeVersion",
        Type::Struct("struct { Version string; normalizedVersion string; Major string; Minor string }"),
    )
};
static HELM_VERSION: NamedType = NamedType::plain(
    "version.BuildInfo",
    Type::Struct(
        "struct { Version string; GitCommit string; GitTreeState string; GoVersion string; KubeClientVersion string }",
    ),
);
static VERSION_SET: NamedType = NamedType {
    methods: &[Method {
        name: "Has",
        params: &[&Type::String],
        is_variadic: false,
        result: &Type::Bool,
        run: has,
    }],
    ..NamedType::plain("common.VersionSet", Type::Slice(&Type::String))
};
static VERSION_SET_TYPE: Type = Type::Named(&VERSION_SET);

/// Makes the object of a cluster's capabilities.
pub(super) fn capabilities(capabilities: &Capabilities) -> Value {
    let versions = capabilities
        .api_versions
        .iter()
        .map(|version| Value::from(version.as_str()));
    Value::object(CapabilitiesObject {
        kube_version: Value::object(KubeVersionObject {
            version: capabilities.kube_version.clone(),
            is_copy: false,
        }),
        api_versions: Value::List(List::with_type(&VERSION_SET_TYPE, versions.collect())),
        helm_version: Value::object(HelmVersionObject(capabilities.helm_version.clone())),
    })
}

fn has(_: &mut Call<'_>, receiver: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let wanted = text(arguments);
    let versions = receiver.as_list().map(List::items).unwrap_or_default();
    let has = versions.iter().any(|version| version.as_text() == Some(&wanted));
    Ok(Value::Bool(has))
}

fn kube_version(receiver: &Value, part: impl Fn(&KubeVersion) -> &String) -> Result<Value, Error> {
    let version = receiver.downcast::<KubeVersionObject>();
    Ok(Value::from(
        version
            .map(|object| part(&object.version).as_str())
            .unwrap_or_default(),
    ))
}

/// What a version prints as; a copy made by reflection has not kept the normalized form.
fn shown(version: &KubeVersion) -> &String {
    if version.normalized.is_empty() {
        &version.version
    } else {
        &version.normalized
    }
}

struct CapabilitiesObject {
    kube_version: Value,
    api_versions: Value,
    helm_version: Value,
}

impl Object for CapabilitiesObject {
    fn go_type(&self) -> Type {
        Type::Ptr(&CAPABILITIES_TYPE)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("KubeVersion", self.kube_version.clone()),
            ("APIVersions", self.api_versions.clone()),
            ("HelmVersion", self.helm_version.clone()),
        ]
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "KubeVersion" => Some(self.kube_version.clone()),
            "APIVersions" => Some(self.api_versions.clone()),
            "HelmVersion" => Some(self.helm_version.clone()),
            _ => None,
        }
    }

    fn deep_copied(&self) -> Option<Value> {
        let kube_version = match &self.kube_version {
            Value::Object(version) => version.deep_copied(),
            _ => None,
        };
        Some(Value::object(Self {
            kube_version: kube_version.unwrap_or_else(|| self.kube_version.clone()),
            api_versions: self.api_versions.clone(),
            helm_version: self.helm_version.clone(),
        }))
    }
}

struct KubeVersionObject {
    version: KubeVersion,
    /// Whether it is one that functions got; its methods are those of a pointer.
    is_copy: bool,
}

impl Object for KubeVersionObject {
    fn go_type(&self) -> Type {
        Type::Named(&KUBE_VERSION)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let KubeVersion {
            version,
            normalized,
            major,
            minor,
        } = &self.version;
        let text = |text: &String| Value::from(text.as_str());
        vec![
            ("Version", text(version)),
            ("normalizedVersion", text(normalized)),
            ("Major", text(major)),
            ("Minor", text(minor)),
        ]
    }

    fn method(&self, name: &str) -> Option<&'static Method> {
        let mut methods = KUBE_VERSION.methods.iter();
        methods.find(|method| !self.is_copy && method.name == name)
    }

    fn display_addressed(&self) -> Option<Text> {
        (!self.is_copy).then(|| Text::from(shown(&self.version).as_str()))
    }

    fn copied(&self) -> Option<Value> {
        Some(Value::object(Self {
            version: self.version.clone(),
            is_copy: true,
        }))
    }

    fn deep_copied(&self) -> Option<Value> {
        let mut version = self.version.clone();
        version.normalized.clear();
        Some(Value::object(Self {
            version,
            is_copy: self.is_copy,
        }))
    }
}

struct HelmVersionObject(HelmVersion);

impl Object for HelmVersionObject {
    fn go_type(&self) -> Type {
        Type::Named(&HELM_VERSION)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &String| Value::from(text.as_str());
        vec![
            ("Version", text(&self.0.version)),
            ("GitCommit", text(&self.0.git_commit)),
            ("GitTreeState", text(&self.0.git_tree_state)),
            ("GoVersion", text(&self.0.go_version)),
            ("KubeClientVersion", text(&self.0.kube_client_version)),
        ]
    }

    fn json_fields(&self) -> Vec<(&'static str, Value)> {
        let HelmVersion {
            version,
            git_commit,
            git_tree_state,
            go_version,
            kube_client_version,
        } = &self.0;
        let mut fields = vec![
            ("version", version),
            ("git_commit", git_commit),
            ("git_tree_state", git_tree_state),
            ("go_version", go_version),
        ];
        fields.retain(|(_, value)| !value.is_empty());
        fields.push(("kube_client_version", kube_client_version));
        let value = |(name, text): (_, &String)| (name, Value::from(text.as_str()));
        fields.into_iter().map(value).collect()
    }
}

/// `[]string` as templates get it from a struct that was turned into a map: `[]interface {}`.
pub(super) fn strings(texts: &[String]) -> Value {
    Value::list(texts.iter().map(|text| Value::from(text.as_str())).collect())
}
