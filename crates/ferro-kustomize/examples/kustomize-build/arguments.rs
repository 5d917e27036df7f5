//! The command line, read as Go's `pflag` reads it.

use ferro_kustomize::{LoadRestrictions, Reorder};

pub(crate) const HELP: &str = "\
Prints what a kustomization builds to.

Usage:
  kustomize-build [DIR] [flags]

Flags:
  -o, --output PATH             write to a file, or one file per object into a directory
      --load-restrictor WORD    LoadRestrictionsRootOnly, or LoadRestrictionsNone to read files outside of the layers' own
                                directories (default LoadRestrictionsRootOnly)
      --enable-helm             render helmCharts, with an engine of this program
      --helm-kube-version V     the version of Kubernetes that charts see
      --helm-api-versions V     an API version that charts see, besides the usual ones; can be repeated
      --helm-command COMMAND    accepted; no program is called to render charts
      --helm-debug              accepted; charts are rendered without a trace
      --enable-alpha-plugins    allows charts as --enable-helm does; plugins that are not built in are refused all the same
      --enable-exec, --network, --network-name NAME, --mount OPTIONS, -e, --env VARIABLE, --as-current-user
                                accepted; they concern plugins that are not built in
      --stack-trace             accepted; errors always name their place
      --reorder legacy|none     deprecated: use sortOptions in the kustomization
      --enable-managedby-label  deprecated: use managedByLabel in buildMetadata
  -h, --help                    print this
";

/// What the command line asks for.
pub(crate) struct Arguments {
    pub(crate) dir: String,
    pub(crate) output: String,
    pub(crate) wants_help: bool,
    pub(crate) load_restrictions: LoadRestrictions,
    pub(crate) reorder: Reorder,
    pub(crate) managed_by_label: bool,
    pub(crate) renders_charts: bool,
    pub(crate) helm_kube_version: String,
    pub(crate) helm_api_versions: Vec<String>,
    /// Lines for standard error.
    pub(crate) notes: Vec<&'static str>,
}

/// A flag: its name, its letter, what it takes.
struct Flag {
    name: &'static str,
    letter: Option<char>,
    is_switch: bool,
    /// What users are told instead of using it.
    deprecated: Option<&'static str>,
}

const fn switch(name: &'static str) -> Flag {
    Flag {
        name,
        letter: None,
        is_switch: true,
        deprecated: None,
    }
}

const fn valued(name: &'static str, letter: Option<char>) -> Flag {
    Flag {
        name,
        letter,
        is_switch: false,
        deprecated: None,
    }
}

const FLAGS: [Flag; 17] = [
    switch("as-current-user"),
    switch("enable-alpha-plugins"),
    switch("enable-exec"),
    switch("enable-helm"),
    switch("helm-debug"),
    switch("network"),
    switch("stack-trace"),
    valued("env", Some('e')),
    valued("helm-api-versions", None),
    valued("helm-command", None),
    valued("helm-kube-version", None),
    valued("load-restrictor", None),
    valued("mount", None),
    valued("network-name", None),
    valued("output", Some('o')),
    Flag {
        deprecated: Some(
            "Flag --reorder has been deprecated, use the new 'sortOptions' field in kustomization.yaml instead.",
        ),
        ..valued("reorder", None)
    },
    Flag {
        deprecated: Some(
            "Flag --enable-managedby-label has been deprecated, The flag `enable-managedby-label` has been deprecated. \
             Use the `managedByLabel` option in the `buildMetadata` field instead.",
        ),
        ..switch("enable-managedby-label")
    },
];

const HELP_FLAG: Flag = Flag {
    letter: Some('h'),
    ..switch("help")
};

fn by_name(name: &str) -> Option<&'static Flag> {
    std::iter::once(&HELP_FLAG)
        .chain(&FLAGS)
        .find(|flag| flag.name == name)
}

fn by_letter(letter: char) -> Option<&'static Flag> {
    std::iter::once(&HELP_FLAG)
        .chain(&FLAGS)
        .find(|flag| flag.letter == Some(letter))
}

/// A truth as Go reads it.
fn truth(flag: &Flag, text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => {
            let shown = match flag.letter {
                Some(letter) => format!("-{letter}, --{}", flag.name),
                None => format!("--{}", flag.name),
            };
            Err(format!(
                "invalid argument {text:?} for {shown:?} flag: strconv.ParseBool: parsing {text:?}: invalid syntax"
            ))
        }
    }
}

/// The values of flags as they are given, before they are looked at.
#[derive(Default)]
struct Given {
    dirs: Vec<String>,
    switches: Vec<(&'static str, bool)>,
    values: Vec<(&'static str, String)>,
    notes: Vec<&'static str>,
}

impl Given {
    fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut given = Self::default();
        let mut words = words;
        while let Some(word) = words.next() {
            if word == "--" {
                given.dirs.extend(words.by_ref());
            } else if let Some(long) = word.strip_prefix("--") {
                given.long(&word, long, &mut words)?;
            } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                given.letters(letters, &mut words)?;
            } else {
                given.dirs.push(word);
            }
        }
        Ok(given)
    }

    fn long(
        &mut self,
        word: &str,
        long: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        if long.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {word}"));
        }
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let flag = by_name(name).ok_or_else(|| format!("unknown flag: --{name}"))?;
        let value = match value {
            Some(value) => value,
            None if flag.is_switch => "true".to_owned(),
            None => rest
                .next()
                .ok_or_else(|| format!("flag needs an argument: --{name}"))?,
        };
        self.set(flag, value)
    }

    /// Several flags may stand behind one dash; the first that takes a value takes what is left.
    fn letters(&mut self, letters: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let mut letters = letters;
        while let Some(letter) = letters.chars().next() {
            let flag = by_letter(letter)
                .ok_or_else(|| format!("unknown shorthand flag: {letter:?} in -{letters}"))?;
            let behind = letters.get(letter.len_utf8()..).unwrap_or_default();
            let value = match behind.strip_prefix('=').filter(|value| !value.is_empty()) {
                Some(value) => Some(value),
                None if flag.is_switch => None,
                None => Some(behind).filter(|value| !value.is_empty()),
            };
            if flag.is_switch && value.is_none() {
                self.set(flag, "true".to_owned())?;
                letters = behind;
                continue;
            }
            let value = value.map(str::to_owned).or_else(|| rest.next());
            let value = value.ok_or_else(|| format!("flag needs an argument: {letter:?} in -{letters}"))?;
            return self.set(flag, value);
        }
        Ok(())
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), String> {
        if flag.is_switch {
            self.switches.push((flag.name, truth(flag, &value)?));
        } else {
            self.values.push((flag.name, value));
        }
        self.notes.extend(flag.deprecated);
        Ok(())
    }

    fn is_on(&self, name: &str) -> bool {
        let last = self.switches.iter().rfind(|(known, _)| *known == name);
        last.is_some_and(|(_, value)| *value)
    }

    fn last(&self, name: &str) -> Option<&str> {
        let last = self.values.iter().rfind(|(known, _)| *known == name);
        last.map(|(_, value)| value.as_str())
    }
}

fn illegal<T>(flag: &str, value: &str, legal: &str) -> Result<T, String> {
    Err(format!(
        "illegal flag value --{flag} {value}; legal values: [{legal}]"
    ))
}

impl Arguments {
    /// Reads the words behind the program's name. A failure comes with what is to be said before it.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, (Vec<&'static str>, String)> {
        let given = Given::read(words).map_err(|error| (Vec::new(), error))?;
        let notes = given.notes.clone();
        Self::check(given).map_err(|error| (notes, error))
    }

    fn check(given: Given) -> Result<Self, String> {
        let wants_help = given.is_on("help");
        let dir = match given.dirs.as_slice() {
            _ if wants_help => String::new(),
            [] => ".".to_owned(),
            [dir] => dir.clone(),
            _ => return Err("specify one path to kustomization.yaml".to_owned()),
        };
        let load_restrictions = match given.last("load-restrictor").unwrap_or_default() {
            "" | "LoadRestrictionsRootOnly" => LoadRestrictions::RootOnly,
            "LoadRestrictionsNone" => LoadRestrictions::None,
            other => {
                let legal = "LoadRestrictionsRootOnly LoadRestrictionsNone";
                return illegal("load-restrictor", other, legal);
            }
        };
        let reorder = match given.last("reorder").unwrap_or("legacy") {
            "legacy" => Reorder::Legacy,
            "none" => Reorder::None,
            other => return illegal("reorder", other, "legacy none"),
        };
        let text = |name: &str| given.last(name).unwrap_or_default().to_owned();
        let all = |name: &str| {
            let values = given.values.iter().filter(|(known, _)| *known == name);
            values.map(|(_, value)| value.clone()).collect()
        };
        Ok(Self {
            dir,
            output: text("output"),
            wants_help,
            load_restrictions,
            reorder,
            managed_by_label: given.is_on("enable-managedby-label"),
            renders_charts: given.is_on("enable-helm") || given.is_on("enable-alpha-plugins"),
            helm_kube_version: text("helm-kube-version"),
            helm_api_versions: all("helm-api-versions"),
            notes: given.notes,
        })
    }
}
