//! Ignore rules, versions, documents, manifests: small things against upstream.

use std::collections::BTreeMap;

use ferro_helm::chart::ignore::Rules;
use ferro_helm::manifest::{INSTALL_ORDER, sort};
use ferro_helm::{Capabilities, KubeVersion, values};
use serde_json::{Value as Json, json};

use crate::answer::{compare, object_with_integers};
use crate::oracle::{Answer, Oracle, cases};
use crate::outcome::hook;
use crate::random::Random;

fn text(random: &mut Random, pieces: &[&str], most: usize) -> String {
    let length = random.below(most);
    (0..length).map(|_| *random.pick(pieces)).collect()
}

#[test]
fn random_ignore_rules_match_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut random = Random::new(11);
    let pieces = [
        "a",
        "b",
        "*",
        "?",
        "/",
        "/",
        "!",
        "#",
        "[a-b]",
        "[",
        "\\",
        ".",
        "\n",
        " ",
        "templates",
        "**",
        "é",
    ];
    let paths = [
        "a",
        "b",
        "a/b",
        "ab",
        "templates/a",
        "templates/.a",
        ".a",
        "a/b/a",
        "",
        "é",
        "b/a/b.a",
    ];
    for _ in 0..cases() {
        let rules = text(&mut random, &pieces, 8);
        let path = *random.pick(&paths);
        let is_dir = random.one_in(2);
        let ours = Rules::parse(rules.as_bytes());
        let ours = ours
            .map(|rules| json!(rules.ignores(path, is_dir)))
            .map_err(|error| error.to_string());
        let fields = json!({"text": rules, "path": path, "dir": is_dir});
        compare(&mut oracle, "helm.ignore", &fields, &ours);
    }
}

#[test]
fn random_kube_versions_are_read_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut random = Random::new(13);
    let pieces = [
        "1",
        "v",
        ".",
        ".",
        "0",
        "33",
        "-gke.1",
        "+",
        " ",
        "\n",
        "x",
        "99999999999999999999",
    ];
    for _ in 0..cases() {
        let text = text(&mut random, &pieces, 8);
        let ours = KubeVersion::parse(&text)
            .map(|it| json!([it.version, it.normalized, it.major, it.minor]))
            .map_err(|error| error.to_string());
        compare(&mut oracle, "helm.kubeversion", &json!({"text": text}), &ours);
    }
}

#[test]
fn capabilities_without_a_cluster_are_upstreams() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let Answer::Output(theirs) = oracle.ask("helm.capabilities", json!({})) else {
        panic!("the oracle has capabilities");
    };
    let ours = Capabilities::default();
    assert_eq!(theirs["APIVersions"], json!(ours.api_versions));
    assert_eq!(theirs["KubeVersion"]["Version"], json!(ours.kube_version.version));
}

#[test]
fn random_values_files_are_read_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut random = Random::new(17);
    let pieces = [
        "a: 1\n",
        "b: {c: yes}\n",
        "---\n",
        "--- # c\n",
        "---",
        "--- x\n",
        "\n",
        "# c\n",
        "b:\n  d: null\n",
        "- x\n",
        "a:\n- 1e3\n- 0x10\n",
        "\r\n",
        "c: |\n  t\n ---\n",
        "d: 12345678901234567890\n",
        "5",
        "true",
        "a: {b: ~}",
    ];
    for _ in 0..cases() {
        let text = text(&mut random, &pieces, 6);
        let ours = values::read(text.as_bytes())
            .map(|values| Json::Object(object_with_integers(&values)))
            .map_err(|error| error.to_string());
        compare(&mut oracle, "helm.values.read", &json!({"text": text}), &ours);
    }
}

fn sorted(files: &BTreeMap<String, String>) -> Result<Json, String> {
    let files = files
        .iter()
        .map(|(path, text)| (path.clone(), text.as_str().into()))
        .collect();
    let sorted = sort(&files, &INSTALL_ORDER).map_err(|error| error.to_string())?;
    let manifests: Vec<_> = sorted
        .manifests
        .iter()
        .map(|it| json!([it.path, it.content]))
        .collect();
    let hooks: Vec<Json> = sorted.hooks.iter().map(hook).collect();
    // Go writes a list that was never made as null.
    let hooks = if hooks.is_empty() {
        Json::Null
    } else {
        Json::Array(hooks)
    };
    Ok(json!({"hooks": hooks, "manifests": manifests}))
}

#[test]
fn random_files_are_sorted_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut random = Random::new(19);
    let pieces = [
        "kind: Pod\n",
        "kind: Secret\n",
        "kind: Zoo\n",
        "kind: Ant\n",
        "---\n",
        "---",
        "\n--- \t\n",
        "\n  ---\n",
        "metadata:\n  name: x\n",
        "metadata:\n  annotations:\n    helm.sh/hook: pre-install\n",
        "metadata:\n  annotations:\n    helm.sh/hook: \"test , POST-delete\"\n    helm.sh/hook-weight: \"7\"\n",
        "metadata:\n  annotations:\n    helm.sh/hook: unknown\n",
        "metadata: {annotations: {a: true}}\n",
        "metadata:\n  annotations:\n    helm.sh/hook: post-upgrade\n    helm.sh/hook-weight: 3\n    \
         helm.sh/hook-delete-policy: hook-failed, X\n",
        "apiVersion: 1.20\n",
        "Kind: Job\n",
        "kind: [x]\n",
        "metadata: text\n",
        "# c\n",
        "a: b: c\n",
        "\u{a0}\n",
        "metadata: {annotations: {a: []}}\n",
        "- 1\n",
        "kind: 12345678\n",
        "apiVersion: 1e7\n",
    ];
    for _ in 0..cases() * 2 {
        let names = ["a.yaml", "b/c.yaml", "_d.yaml", "z.txt"];
        let mut files = BTreeMap::new();
        for name in names {
            if random.one_in(2) {
                files.insert(name.to_owned(), text(&mut random, &pieces, 7));
            }
        }
        compare(
            &mut oracle,
            "helm.sort",
            &json!({"files": files}),
            &sorted(&files),
        );
    }
}
