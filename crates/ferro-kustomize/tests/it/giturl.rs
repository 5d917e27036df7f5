//! Git URLs, taken apart as the oracle takes them apart.

use ferro_kustomize::GitUrl;
use serde_json::{Value as Json, json};

use super::conformance::{Answer, Oracle, cases};
use super::oracle::random::Random;

const SCHEMES: [&str; 14] = [
    "",
    "",
    "",
    "https://",
    "http://",
    "ssh://",
    "file://",
    "HTTPS://",
    "File://",
    "git::",
    "GIT::https://",
    "git://",
    "https:/",
    "git::git::",
];
const USERS: [&str; 9] = ["", "", "", "git@", "a-1@", "1a@", "@", "u:p@", "org-12@"];
const HOSTS: [&str; 18] = [
    "github.com/",
    "github.com/",
    "github.com:",
    "GitHub.com/",
    "g\u{130}thub.com/",
    "github.com",
    "host.example/",
    "host.example:",
    "host:22/",
    "host",
    "/",
    ":",
    "",
    "dev.azure.com/org/",
    "gist.github.com/",
    "github.company.com/",
    "[::1]/",
    "git\u{212a}.com/",
];
const PARTS: [&str; 24] = [
    "a",
    "repo",
    "org/repo",
    "/",
    "//",
    "///",
    ".git",
    ".git/",
    "_git/",
    "_git",
    "..",
    "../",
    "/..",
    "./",
    ".",
    "x/y/z",
    ":",
    "a:b",
    "@",
    " ",
    "é",
    "repo.github.io",
    "%2F",
    "~",
];
const QUERIES: [&str; 30] = [
    "",
    "",
    "",
    "",
    "?",
    "?ref=v1",
    "?version=v2",
    "?ref=&version=v2",
    "?ref=a&ref=b",
    "?timeout=5",
    "?timeout=0",
    "?timeout=-5",
    "?timeout=1m30s",
    "?timeout=+7",
    "?timeout=0.5s",
    "?timeout=5x",
    "?timeout=4294967296",
    "?submodules=false",
    "?submodules=T",
    "?submodules=no",
    "?ref=a%2Fb+c",
    "?ref=%zz",
    "?ref=x;timeout=3",
    "?ref=x&;",
    "?Ref=x",
    "?ref",
    "?=x&ref=y",
    "?ref=%ff",
    "?ref=a?b",
    "?ref=x#y",
];

fn text(random: &mut Random) -> String {
    let mut text = random.pick(&SCHEMES).to_owned();
    text.push_str(random.pick(&USERS));
    text.push_str(random.pick(&HOSTS));
    for _ in random.times(5) {
        text.push_str(random.pick(&PARTS));
        if !random.once_in(3) {
            text.push('/');
        }
    }
    text.push_str(random.pick(&QUERIES));
    text
}

fn parts(text: &str) -> Option<Json> {
    let url = GitUrl::parse(text)?;
    let mut path: Vec<&str> = vec!["clone", "repo"];
    for part in url.sub_path.split('/').filter(|part| !part.is_empty()) {
        if part == ".." {
            path.pop();
        } else {
            path.push(part);
        }
    }
    Some(json!({
        "cloneURL": url.clone_url,
        "subPath": format!("/{}", path.join("/")),
        "ref": url.reference.unwrap_or_default(),
        "submodules": url.submodules,
        "timeout": u64::try_from(url.timeout.as_nanos()).unwrap(),
    }))
}

#[test]
fn urls_are_those_of_the_oracle() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    for seed in 0..u64::from(cases()) * 20 {
        let text = text(&mut Random::new(seed));
        let expected = match oracle.ask("kustomize.giturl", json!({"text": text})) {
            Answer::Output(parts) => Some(parts),
            _ => None,
        };
        assert_eq!(parts(&text), expected, "{text}");
    }
}
