//! The command line.

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) name: String,
    pub(crate) chart: String,
    pub(crate) namespace: String,
    pub(crate) kube_version: Option<String>,
    pub(crate) api_versions: Vec<String>,
    pub(crate) value_files: Vec<String>,
    pub(crate) set: Vec<String>,
    pub(crate) set_string: Vec<String>,
    pub(crate) set_json: Vec<String>,
    pub(crate) set_file: Vec<String>,
    pub(crate) set_literal: Vec<String>,
    pub(crate) show_only: Vec<String>,
    pub(crate) include_crds: bool,
    pub(crate) is_upgrade: bool,
    pub(crate) skip_tests: bool,
    pub(crate) no_hooks: bool,
    pub(crate) skip_schema_validation: bool,
}

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            namespace: std::env::var("HELM_NAMESPACE").unwrap_or_else(|_| "default".to_owned()),
            ..Self::default()
        };
        let mut positional = Vec::new();
        let mut words = words;
        while let Some(word) = words.next() {
            if word == "--" {
                positional.extend(words.by_ref());
            } else if let Some(flag) = word.strip_prefix("--") {
                let (flag, value) = match flag.split_once('=') {
                    Some((flag, value)) => (flag, Some(value.to_owned())),
                    None => (flag, None),
                };
                arguments.flag(flag, value, &mut words)?;
            } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
                arguments.short(short, &mut words)?;
            } else {
                positional.push(word);
            }
        }
        arguments.take_positional(positional)?;
        Ok(arguments)
    }

    fn short(&mut self, short: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let (letter, rest) = short.split_at(short.chars().next().map_or(0, char::len_utf8));
        let flag = match letter {
            "f" => "values",
            "n" => "namespace",
            "a" => "api-versions",
            "s" => "show-only",
            _ => return Err(format!("unknown shorthand flag: '{letter}' in -{short}")),
        };
        let rest = rest.strip_prefix('=').unwrap_or(rest);
        let value = (!rest.is_empty()).then(|| rest.to_owned());
        self.flag(flag, value, words)
    }

    fn flag(
        &mut self,
        flag: &str,
        value: Option<String>,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let switch = match flag {
            "include-crds" => Some(&mut self.include_crds),
            "is-upgrade" => Some(&mut self.is_upgrade),
            "skip-tests" => Some(&mut self.skip_tests),
            "no-hooks" => Some(&mut self.no_hooks),
            "skip-schema-validation" => Some(&mut self.skip_schema_validation),
            _ => None,
        };
        if let Some(switch) = switch {
            *switch = !matches!(
                value.as_deref(),
                Some("false" | "f" | "F" | "0" | "FALSE" | "False")
            );
            return Ok(());
        }
        let known = [
            "namespace",
            "kube-version",
            "api-versions",
            "values",
            "set",
            "set-string",
            "set-json",
            "set-file",
            "set-literal",
            "show-only",
        ];
        if !known.contains(&flag) {
            return Err(format!("unknown flag: --{flag}"));
        }
        let value = value
            .or_else(|| words.next())
            .ok_or_else(|| format!("flag needs an argument: --{flag}"))?;
        let listed = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match flag {
            "namespace" => self.namespace = value,
            "kube-version" => self.kube_version = Some(value),
            "api-versions" => self.api_versions.extend(listed()),
            "values" => self.value_files.extend(listed()),
            "set" => self.set.push(value),
            "set-string" => self.set_string.push(value),
            "set-json" => self.set_json.push(value),
            "set-file" => self.set_file.push(value),
            "set-literal" => self.set_literal.push(value),
            _ => self.show_only.push(value),
        }
        Ok(())
    }

    fn take_positional(&mut self, mut words: Vec<String>) -> Result<(), String> {
        if words.len() > 2 {
            let rest = words.split_off(2).join(", ");
            return Err(format!(
                "expected at most two arguments, unexpected arguments: {rest}"
            ));
        }
        match <[String; 2]>::try_from(words) {
            Ok([name, chart]) => (self.name, self.chart) = (name, chart),
            Err(mut words) => {
                "release-name".clone_into(&mut self.name);
                self.chart = words.pop().ok_or_else(|| {
                    "\"helm template\" requires at least 1 argument\n\nUsage:  helm template [NAME] [CHART] [flags]"
                        .to_owned()
                })?;
            }
        }
        Ok(())
    }
}
