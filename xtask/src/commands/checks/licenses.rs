//! Which packages may be linked: permissive licences, no second TLS stack, no feature that changes what JSON or gzip we write.

use super::metadata::{Metadata, Package};

const PERMISSIVE: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const BANNED: [(&str, &str); 4] = [
    ("openssl-sys", "TLS is rustls with ring"),
    ("aws-lc-sys", "TLS is rustls with ring"),
    ("native-tls", "TLS is rustls with ring"),
    (
        "serde_yaml",
        "it is archived; users' YAML goes through ferro-yaml",
    ),
];

const BANNED_FEATURES: [(&str, &str, &str); 4] = [
    (
        "serde_json",
        "preserve_order",
        "Go sorts the keys of a JSON object, and so do we",
    ),
    (
        "serde_json",
        "arbitrary_precision",
        "it breaks flattened and untagged types",
    ),
    (
        "flate2",
        "miniz_oxide",
        "a second backend would change the digests of artifacts",
    ),
    (
        "flate2",
        "zlib",
        "a second backend would change the digests of artifacts",
    ),
];

pub(super) fn faults(metadata: &Metadata) -> Vec<String> {
    let all = || metadata.packages.values();
    let licenses = all().filter(|it| !it.is_member).filter_map(license_fault);
    let banned = BANNED.iter().filter(|(name, _)| all().any(|it| it.name == *name));
    let banned = banned.map(|(name, why)| format!("{name} is in the graph; {why}"));
    let features = BANNED_FEATURES
        .iter()
        .filter(|(name, feature, _)| all().any(|it| it.name == *name && it.features.contains(*feature)));
    let features = features.map(|(name, feature, why)| format!("{name} has its feature {feature} on; {why}"));
    licenses.chain(banned).chain(features).collect()
}

fn license_fault(package: &Package) -> Option<String> {
    let license = package.license.as_deref().unwrap_or("no licence");
    let is_fine = is_permissive(license);
    (!is_fine).then(|| {
        format!(
            "{} {}: {license} is not known as permissive",
            package.name, package.version
        )
    })
}

/// Reads an SPDX expression; the slash is what older manifests write for OR.
fn is_permissive(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let res = any(&mut words);
    res && words.peek().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>) -> bool {
    let mut res = all(words);
    while words.next_if_eq(&"OR").is_some() {
        res |= all(words);
    }
    res
}

fn all(words: &mut Words<'_>) -> bool {
    let mut res = one(words);
    while words.next_if_eq(&"AND").is_some() {
        res &= one(words);
    }
    res
}

fn one(words: &mut Words<'_>) -> bool {
    let Some(word) = words.next() else { return false };
    if word == "(" {
        let res = any(words);
        return words.next() == Some(")") && res;
    }
    if words.next_if_eq(&"WITH").is_some() {
        let exception = words.next().unwrap_or_default();
        return PERMISSIVE.contains(&format!("{word} WITH {exception}").as_str());
    }
    PERMISSIVE.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::is_permissive;

    #[test]
    fn expressions_are_read_as_spdx_says() {
        for fine in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-2.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(is_permissive(fine), "{fine}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-2.0",
            "(MIT",
            "MIT Apache-2.0",
            "Apache-2.0 WITH Other-exception",
            "MIT AND (GPL-2.0 OR LGPL-2.1)",
        ] {
            assert!(!is_permissive(bad), "{bad}");
        }
    }
}
