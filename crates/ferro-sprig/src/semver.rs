//! Versions, as objects with the methods of Masterminds/semver.

use ferro_gocompat::semver::{Constraints, Version};
use ferro_template::types::MethodFn;
use ferro_template::{Error, IntKind, Method, NamedType, Object, Text, Type, Value};

use crate::args::{BOOL, INT, Outcome, STRING, Table};

const UINT64: &Type = &Type::Int(IntKind::Uint64);
/// `*semver.Version`
static POINTER: Type = Type::Ptr(&VALUE);
/// `semver.Version`
static VALUE: Type = Type::Named(&VERSION);

/// The type of versions.
pub static VERSION: NamedType = NamedType {
    name: "semver.Version",
    underlying: Type::Struct(
        "struct { major uint64; minor uint64; patch uint64; pre string; metadata string; original string }",
    ),
    methods: &VALUE_METHODS,
    display: None,
    is_error: false,
};

/// A version as templates hold it: by pointer, or by value after a step such as `IncMinor`.
struct VersionValue {
    version: Version,
    is_pointer: bool,
}

pub(crate) fn register(table: &mut Table<'_>) {
    table.add(&["semver"], &[STRING], &POINTER, |args| {
        Ok(Value::object(VersionValue {
            version: parse(&args.string(0))?,
            is_pointer: true,
        }))
    });
    table.add(&["semverCompare"], &[STRING, STRING], BOOL, |args| {
        let constraints =
            Constraints::parse(&args.string(0)).map_err(|error| Error::new(error.to_string()))?;
        Ok(Value::Bool(constraints.check(&parse(&args.string(1))?)))
    });
}

fn parse(text: &str) -> Result<Version, Error> {
    Version::parse(text).map_err(|error| Error::new(error.to_string()))
}

impl Object for VersionValue {
    fn go_type(&self) -> Type {
        if self.is_pointer { POINTER } else { VALUE }
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let number = |bits: u64| Value::int_of(IntKind::Uint64, bits.cast_signed());
        vec![
            ("major", number(self.version.major())),
            ("minor", number(self.version.minor())),
            ("patch", number(self.version.patch())),
            ("pre", Value::from(self.version.prerelease())),
            ("metadata", Value::from(self.version.metadata())),
            ("original", Value::from(self.version.original())),
        ]
    }

    fn method(&self, name: &str) -> Option<&'static Method> {
        let pointer_methods: &[Method] = if self.is_pointer { &POINTER_METHODS } else { &[] };
        VALUE_METHODS
            .iter()
            .chain(pointer_methods)
            .find(|method| method.name == name)
    }

    fn display(&self) -> Option<Text> {
        Some(Text::from(self.version.to_string()))
    }
}

/// The version that a value holds; methods are only ever called on versions.
fn version_of(value: &Value) -> Result<&Version, Error> {
    match value.downcast::<VersionValue>() {
        Some(value) => Ok(&value.version),
        None => crate::args::nil_dereference(),
    }
}

/// The text that JSON has for a version.
pub(crate) fn json_text(value: &Value) -> Option<String> {
    value
        .downcast::<VersionValue>()
        .map(|value| value.version.to_string())
}

const fn method(
    name: &'static str,
    params: &'static [&'static Type],
    result: &'static Type,
    run: MethodFn,
) -> Method {
    Method {
        name,
        params,
        is_variadic: false,
        result,
        run,
    }
}

static VALUE_METHODS: [Method; 11] = [
    method("Major", &[], UINT64, |_, this, _| {
        number(version_of(this)?.major())
    }),
    method("Minor", &[], UINT64, |_, this, _| {
        number(version_of(this)?.minor())
    }),
    method("Patch", &[], UINT64, |_, this, _| {
        number(version_of(this)?.patch())
    }),
    method("Prerelease", &[], STRING, |_, this, _| {
        Ok(Value::from(version_of(this)?.prerelease()))
    }),
    method("Metadata", &[], STRING, |_, this, _| {
        Ok(Value::from(version_of(this)?.metadata()))
    }),
    method("String", &[], STRING, |_, this, _| {
        Ok(Value::from(version_of(this)?.to_string()))
    }),
    method("IncMajor", &[], &VALUE, |_, this, _| {
        let version = version_of(this)?;
        next(version, version.major().wrapping_add(1), 0, 0)
    }),
    method("IncMinor", &[], &VALUE, |_, this, _| {
        let version = version_of(this)?;
        next(version, version.major(), version.minor().wrapping_add(1), 0)
    }),
    // A prerelease is followed by its release.
    method("IncPatch", &[], &VALUE, |_, this, _| {
        let version = version_of(this)?;
        let step = u64::from(version.prerelease().is_empty());
        next(
            version,
            version.major(),
            version.minor(),
            version.patch().wrapping_add(step),
        )
    }),
    method("SetPrerelease", &[STRING], &VALUE, |_, this, args| {
        let version = version_of(this)?;
        let given = args.first().and_then(Value::as_text).cloned().unwrap_or_default();
        with_parts(version, &given.to_str(), version.metadata())
    }),
    method("SetMetadata", &[STRING], &VALUE, |_, this, args| {
        let version = version_of(this)?;
        let given = args.first().and_then(Value::as_text).cloned().unwrap_or_default();
        with_parts(version, version.prerelease(), &given.to_str())
    }),
];

static POINTER_METHODS: [Method; 7] = [
    method("Original", &[], STRING, |_, this, _| {
        Ok(Value::from(version_of(this)?.original()))
    }),
    method("Compare", &[&POINTER], INT, |_, this, args| {
        let order = version_of(this)?.cmp(other(args)?);
        Ok(Value::int(order as i64))
    }),
    method("Equal", &[&POINTER], BOOL, |_, this, args| {
        Ok(Value::Bool(version_of(this)? == other(args)?))
    }),
    method("LessThan", &[&POINTER], BOOL, |_, this, args| {
        Ok(Value::Bool(version_of(this)? < other(args)?))
    }),
    method("LessThanEqual", &[&POINTER], BOOL, |_, this, args| {
        Ok(Value::Bool(version_of(this)? <= other(args)?))
    }),
    method("GreaterThan", &[&POINTER], BOOL, |_, this, args| {
        Ok(Value::Bool(version_of(this)? > other(args)?))
    }),
    method("GreaterThanEqual", &[&POINTER], BOOL, |_, this, args| {
        Ok(Value::Bool(version_of(this)? >= other(args)?))
    }),
];

fn number(bits: u64) -> Outcome {
    Ok(Value::int_of(IntKind::Uint64, bits.cast_signed()))
}

fn other(args: &[Value]) -> Result<&Version, Error> {
    version_of(args.first().unwrap_or(&Value::Nil))
}

fn prefix(version: &Version) -> &'static str {
    if version.original().starts_with('v') {
        "v"
    } else {
        ""
    }
}

fn next(version: &Version, major: u64, minor: u64, patch: u64) -> Outcome {
    by_value(&format!("{}{major}.{minor}.{patch}", prefix(version)))
}

fn with_parts(version: &Version, prerelease: &str, metadata: &str) -> Outcome {
    let mut text = format!(
        "{}{}.{}.{}",
        prefix(version),
        version.major(),
        version.minor(),
        version.patch()
    );
    for (mark, part) in [("-", prerelease), ("+", metadata)] {
        if !part.is_empty() {
            text.push_str(mark);
            text.push_str(part);
        }
    }
    by_value(&text)
}

fn by_value(text: &str) -> Outcome {
    Ok(Value::object(VersionValue {
        version: parse(text)?,
        is_pointer: false,
    }))
}
