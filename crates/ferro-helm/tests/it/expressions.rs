//! Random expressions in the manner of charts: functions of sprig and Helm, mostly with arguments that they take.

use crate::random::Random;

/// What an expression is expected to be; not all are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
    Bool,
    List,
    Map,
    Any,
}

use Kind::{Any, Bool, Int, List, Map, Text};

/// Forms of expressions. `T`, `I`, `B`, `L`, `M` and `A` between two `%` stand for an expression of that kind.
const TEXTS: &[&str] = &[
    "upper %T%",
    "lower %T%",
    "title %T%",
    "untitle %T%",
    "trim %T%",
    "nospace %T%",
    "swapcase %T%",
    "initials %T%",
    "snakecase %T%",
    "camelcase %T%",
    "kebabcase %T%",
    "quote %A%",
    "quote %A% %A%",
    "squote %A%",
    "toString %A%",
    "trunc 5 %T%",
    "trunc -3 %T%",
    "trunc 63 %T% | trimSuffix \"-\"",
    "trimAll \"-a\" %T%",
    "trimPrefix %T% %T%",
    "trimSuffix \"e\" %T%",
    "replace \"a\" \"-\" %T%",
    "replace %T% \"_\" %T%",
    "repeat 2 %T%",
    "substr 1 4 %T%",
    "abbrev 6 %T%",
    "wrap 7 %T%",
    "wrapWith 4 \"|\" %T%",
    "plural \"one\" \"many\" %I%",
    "cat %A% %A%",
    "indent 2 %T%",
    "nindent 4 %T%",
    "b64enc %T%",
    "b64enc %T% | b64dec",
    "b64dec %T%",
    "b32enc %T%",
    "sha256sum %T%",
    "sha1sum %T%",
    "adler32sum %T%",
    "print %A% %A%",
    "println %A%",
    "printf \"%s-%d\" %T% %I%",
    "printf \"%v %q %t\" %A% %T% %B%",
    "printf \"%v|%T\" %A% %A%",
    "printf \"%05d %-5s|%x\" %I% %T% %T%",
    "printf \"%.2f\" (float64 %A%)",
    "default %T% %A%",
    "default \"none\" %T%",
    "coalesce %A% %T% \"x\"",
    "ternary %T% %T% %B%",
    "required \"it is needed\" %T%",
    "toYaml %A%",
    "toYaml %M%",
    "toYaml %L%",
    "toYaml %M% | nindent 2",
    "toYamlPretty %M%",
    "toJson %A%",
    "toJson %M%",
    "toPrettyJson %M%",
    "toRawJson %A%",
    "toToml %M%",
    "mustToYaml %M%",
    "mustToJson %A%",
    "join \",\" %L%",
    "join \"-\" %A%",
    "typeOf %A%",
    "kindOf %A%",
    "regexReplaceAll \"[^a-z]+\" %T% \"-\"",
    "regexReplaceAll \"(a|e)(.)?\" %T% \"${2}$1\"",
    "regexReplaceAllLiteral \"[0-9]\" %T% \"$1\"",
    "regexFind \"[a-z]+$\" %T%",
    "regexQuoteMeta %T%",
    "include \"app.fullname\" $",
    "include \"app.value\" (dict \"value\" %A% \"context\" $)",
    "include \"app.labels\" $",
    "include \"app.echo\" %A%",
    "include \"app.sum\" (list %A% %A%)",
    "tpl %T% $",
    "tpl \"{{ .Values.name }}-{{ include \\\"app.echo\\\" .Values.text }}\" $",
    "tpl (toYaml %M%) $",
    "tpl \"{{ define \\\"inner\\\" }}[{{ . }}]{{ end }}{{ include \\\"inner\\\" %I% }}\" $",
    "index (list %T% %T%) 1",
    "get %M% %T%",
    "get (dict \"a\" %T%) \"a\"",
    "first (list %T% %A%)",
    "last (splitList \"-\" %T%)",
    "dig \"a\" \"b\" %T% %M%",
    "dig \"image\" \"tag\" \"latest\" (dict \"image\" (dict \"tag\" %T%))",
    "base %T%",
    "dir %T%",
    "clean %T%",
    "ext %T%",
    "urlJoin (dict \"scheme\" \"http\" \"host\" %T% \"path\" \"/p\")",
    "date \"2006-01-02\" (toDate \"2006-01-02\" \"2024-02-29\")",
    "dateInZone \"15:04 MST\" 1700000000 \"UTC\"",
    "duration %I%",
    "now | unixEpoch",
    "randAlphaNum 5",
    "htpasswd %T% %T%",
    "uuidv4",
    "(semver \"1.2.3-rc.1+b\").Prerelease",
    "seq 1 %I%",
    "sha512sum (toJson %M%)",
    "(split \"-\" %T%)._0",
    "(splitn \"-\" 2 %T%)._1",
    "mustRegexReplaceAllLiteral \"/+\" %T% \"/\"",
    "list %T% %T% | join \".\"",
    "tuple %A% %T% | toString",
    "%T% | upper | quote",
    "%A% | toString | trim | default \"d\"",
    "%M% | toYaml | trim",
    "%L% | toJson | quote",
    "or %T% %A%",
    "and %B% %T%",
    "html %T%",
    "js %T%",
    "urlquery %T%",
    "$.Files.Get \"conf/a.txt\"",
    "($.Files.Glob \"conf/*\").AsConfig",
    "($.Files.Glob \"**\").AsSecrets",
    "$.Files.Lines \"conf/a.txt\" | join \"|\"",
    "toYaml ($.Files.Get \"conf/b.yaml\" | fromYaml)",
    "lookup \"v1\" \"Secret\" $.Release.Namespace \"x\" | toYaml",
    "$.Template.Name",
    "$.Capabilities.KubeVersion",
    "$.Capabilities.KubeVersion.Version | trimPrefix \"v\"",
    "$.Capabilities.HelmVersion | toJson",
    "$.Chart.Version | replace \"+\" \"_\"",
    "$.Release | toYaml",
    "$.Chart | toJson",
    "fromJson (toJson %M%) | toString",
    "mustFromJson (toJson %A%) | toString",
    "toDecimal %A%",
    "round 3.14159 2",
    "trimall \"$\" %T%",
    "mustDateModify \"1h\" (toDate \"2006-01-02\" \"2024-02-29\") | date \"15:04\"",
    "$.Values.global | toYaml",
    "getHostByName %T%",
    "regexSplit \"[-,]\" %T% -1 | join \"/\"",
    "len %T%",
];
const INTS: &[&str] = &[
    "len %L%",
    "len %M%",
    "len %T%",
    "add %I% %A%",
    "add1 %I%",
    "sub %I% 1",
    "mul %I% %I% 2",
    "div %I% 2",
    "mod %I% 3",
    "max %I% %A%",
    "min %I% 2",
    "int %A%",
    "int64 %A%",
    "atoi %T%",
    "floor %A% | int",
    "ceil %A% | int",
    "ternary %I% %I% %B%",
    "$.Release.Revision | int",
    "(semver \"1.2.3\").Minor | int",
    "$.Capabilities.KubeVersion.Minor | int",
    "default %I% %I% | int",
];
const BOOLS: &[&str] = &[
    "eq %T% %T%",
    "ne %T% \"x\"",
    "eq %I% %I%",
    "lt %I% %I%",
    "ge %T% %T%",
    "gt %I% 1",
    "not %A%",
    "empty %A%",
    "and %B% %B% | not",
    "or %B% %B% | empty",
    "has %A% %L%",
    "has %T% (list \"a\" %T%)",
    "hasKey %M% %T%",
    "hasKey %M% \"a\"",
    "contains %T% %T%",
    "hasPrefix \"a\" %T%",
    "hasSuffix %T% %T%",
    "kindIs \"map\" %A%",
    "kindIs \"string\" %A%",
    "typeIs \"string\" %A%",
    "typeIsLike \"float64\" %A%",
    "deepEqual %A% %A%",
    "regexMatch \"^[a-z-]+$\" %T%",
    "mustRegexMatch \"[0-9]\" %T%",
    "semverCompare \">=1.19-0\" $.Capabilities.KubeVersion.Version",
    "semverCompare \"<1.14-0 || ^2\" \"1.2.3\"",
    "semverCompare \"~1.2\" (default \"1.2.9\" \"\")",
    "$.Capabilities.APIVersions.Has \"policy/v1\"",
    "$.Capabilities.APIVersions.Has %T%",
    "all %A% %A%",
    "any %A% %A%",
    "$.Release.IsInstall",
    "$.Chart.IsRoot",
    "eq (toString %A%) (toString %A%)",
    "isAbs %T%",
];
const LISTS: &[&str] = &[
    "list %A% %A%",
    "list %T% %T% %T%",
    "tuple %A%",
    "append %L% %A%",
    "prepend %L% %A%",
    "concat %L% %L%",
    "uniq %L%",
    "without %L% %A%",
    "compact %L%",
    "reverse %L%",
    "initial %L%",
    "rest %L%",
    "slice %L% 0 1",
    "chunk 2 %L%",
    "splitList \"-\" %T%",
    "splitList \",\" %T%",
    "keys %M% | sortAlpha",
    "sortAlpha %L%",
    "until %I%",
    "untilStep 0 6 2",
    "fromYamlArray (toYaml %L%)",
    "fromYamlArray %T%",
    "fromJsonArray (toJson %L%)",
    "regexFindAll \"[a-z]+\" %T% -1",
    "regexSplit \"-\" %T% 2",
    "pluck \"a\" %M% %M%",
    "default %L% %A%",
    "ternary %L% %L% %B%",
    "toStrings %L%",
    "values (dict \"a\" %A%)",
    "mustUniq (concat %L% %L%)",
    "$.Files.Lines \"conf/a.txt\"",
    "first (list %L% 1)",
];
const MAPS: &[&str] = &[
    "dict \"a\" %A% \"b\" %A%",
    "dict \"a\" %M% %T% %A%",
    "dict",
    "merge %M% %M%",
    "merge (dict) %M% %M%",
    "mergeOverwrite %M% %M%",
    "mustMergeOverwrite (deepCopy %M%) %M%",
    "mustMerge (dict \"a\" %A%) %M%",
    "pick %M% \"a\" %T%",
    "omit %M% \"b\" %T%",
    "set %M% %T% %A%",
    "set (deepCopy %M%) \"a\" %A%",
    "unset %M% \"a\"",
    "fromYaml (toYaml %M%)",
    "fromYaml (toYaml %A%)",
    "fromYaml (include \"app.yaml\" $)",
    "fromYaml %T%",
    "fromJson (toJson %M%)",
    "fromToml (toToml %M%)",
    "deepCopy %M%",
    "default (dict \"x\" 1) %M%",
    "default %M% %A%",
    "split \"-\" %T%",
    "urlParse \"http://u:p@host:80/a?b=c#d\"",
    "index (list %M% %M%) 0",
    "get (dict \"a\" %M%) \"a\"",
    "coalesce %M% %M%",
    "ternary %M% %M% %B%",
    "dig \"a\" (dict \"d\" 1) %M%",
    "lookup \"v1\" \"ConfigMap\" \"\" \"\"",
    "mustDeepCopy %M%",
    "first (list %M%)",
    "fromYaml (tpl (toYaml %M%) $)",
];

const LEAF_TEXTS: &[&str] = &[
    "$.Values.name",
    "$.Values.text",
    "$.Values.image.tag",
    "$.Values.image.repository",
    "$.Release.Name",
    "$.Chart.Name",
    "\"lit-eral\"",
    "\"a\"",
    "`raw \"x\"`",
    "\"\"",
    "\"a,b-c\"",
    "$.Values.template",
    "(index $.Values.args 0)",
];
const LEAF_INTS: &[&str] = &[
    "0",
    "1",
    "3",
    "7",
    "(int $.Values.replicas)",
    "(len $.Values.args)",
];
const LEAF_BOOLS: &[&str] = &[
    "true",
    "false",
    "$.Values.enabled",
    "$.Values.image.pull",
    "$.Release.IsUpgrade",
];
const LEAF_LISTS: &[&str] = &[
    "$.Values.args",
    "$.Values.env",
    "list",
    "(list 1 \"a\" nil)",
    "$.Values.mixed",
];
const LEAF_MAPS: &[&str] = &[
    "$.Values.labels",
    "$.Values.resources",
    "$.Values.image",
    "dict",
    "$.Values.deep",
    "$.Values.deep.a",
];
const LEAF_ANYS: &[&str] = &[
    "$.Values.replicas",
    "$.Values.nope",
    "$.Values.ratio",
    "$.Values.big",
    "1.5",
    "nil",
    "$.Values.none",
    "0x1F",
    "'c'",
    "$.Values.mixed",
    "1e6",
];

/// Makes expressions over the values that `idioms` writes.
pub(crate) struct Expressions<'r> {
    pub(crate) random: &'r mut Random,
    /// Variables that can be used.
    pub(crate) variables: Vec<String>,
}

impl Expressions<'_> {
    /// An expression that can be an argument.
    pub(crate) fn operand(&mut self, kind: Kind, depth: usize) -> String {
        if depth == 0 || self.random.one_in(3) {
            return self.leaf(kind);
        }
        format!("({})", self.pipeline(kind, depth))
    }

    /// An expression that can stand alone.
    pub(crate) fn pipeline(&mut self, kind: Kind, depth: usize) -> String {
        let kind = self.actual(kind);
        let forms = match kind {
            Text => TEXTS,
            Int => INTS,
            Bool => BOOLS,
            List => LISTS,
            Map | Any => MAPS,
        };
        let form = *self.random.pick(forms);
        let mut text = String::new();
        let mut rest = form;
        while let Some(at) = rest.find('%') {
            let kind = match rest.as_bytes().get(at + 1..at + 3) {
                Some(b"T%") => Text,
                Some(b"I%") => Int,
                Some(b"B%") => Bool,
                Some(b"L%") => List,
                Some(b"M%") => Map,
                Some(b"A%") => Any,
                _ => {
                    text.push_str(&rest[..=at]);
                    rest = &rest[at + 1..];
                    continue;
                }
            };
            text.push_str(&rest[..at]);
            let operand = self.operand(kind, depth.saturating_sub(1));
            text.push_str(&operand);
            rest = &rest[at + 3..];
        }
        text.push_str(rest);
        // A nil cannot start a command.
        if text.starts_with("nil") {
            "(list nil) | first".to_owned()
        } else {
            text
        }
    }

    fn actual(&mut self, kind: Kind) -> Kind {
        if kind == Any || self.random.one_in(40) {
            return *self.random.pick(&[Text, Text, Int, Bool, List, Map]);
        }
        kind
    }

    fn leaf(&mut self, kind: Kind) -> String {
        if !self.variables.is_empty() && (kind == Any && self.random.one_in(3) || self.random.one_in(30)) {
            return self.random.pick(&self.variables).clone();
        }
        let kind = if kind == Any && self.random.one_in(2) {
            self.actual(Any)
        } else {
            kind
        };
        let leaves = match kind {
            Text => LEAF_TEXTS,
            Int => LEAF_INTS,
            Bool => LEAF_BOOLS,
            List => LEAF_LISTS,
            Map => LEAF_MAPS,
            Any => LEAF_ANYS,
        };
        (*self.random.pick(leaves)).to_owned()
    }
}
