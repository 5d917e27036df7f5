//! Input of any kind: the entries of the fuzzer, for a while and with the same seeds each time.

mod entries;

use super::oracle::random::Random;

const SEEDS: [&str; 12] = [
    "kind: List\nitems:\n- {kind: A, metadata: {name: a}}\n",
    "resources: [o.yaml]\npatches:\n- target: {kind: .*}\n  patch: |-\n    - {op: add, path: /a, value: 1}\n",
    "configMapGenerator:\n- name: c\n  literals: [a=b]\nreplacements:\n- {sourceValue: x, targets: [{select: {name: c}}]}\n",
    "vars:\n- {name: V, objref: {kind: A, name: a}}\ntransformers:\n- |-\n  apiVersion: builtin\n  kind: LabelTransformer\n",
    "- op: replace\n  path: /spec/template/spec/containers/0/image\n  value: x\n- {op: move, from: /data, path: /spec}\n",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\nspec:\n  $patch: replace\n  template: null\n",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec: {template: {spec: {containers: [{name: main, $patch: delete}, {env: [{}]}]}}}\n",
    "spec.template.spec.containers.[name=main].env.*.value",
    "data.json.a.1.b",
    "data.[a.b/c].-.\\.x.[=y]",
    "a: &a [x, *a]\nb: !!binary =\n? [k]\n: {<<: *a}\n",
    "- &x {a: &y [1]}\n- *x\n- [*y, *y, *y, *y]\n",
];

const PIECES: [&str; 24] = [
    "\n",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "*",
    "&a ",
    "*a",
    "<<: ",
    "\"",
    "'",
    "|\n",
    "---\n",
    "...\n",
    "null",
    "$patch: delete\n",
    "\\",
    "\u{feff}",
    "\t",
    "99999999999999999999",
    "kind: FooList\n",
];

/// Changes a text here and there.
fn mutated(random: &mut Random, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(8)).min(bytes.len());
        match random.below(4) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            2 => drop(bytes.splice(at..at, random.pick(&PIECES).bytes())),
            _ => drop(bytes.splice(at..end, [u8::try_from(random.below(256)).unwrap()])),
        }
    }
    bytes
}

#[test]
fn nothing_makes_a_build_panic() {
    let count = super::oracle::number("FERRO_CASES", 300);
    for seed in 0..count {
        let random = &mut Random::new(seed);
        let text = random.pick(&SEEDS);
        let data = mutated(random, text);
        for entry in [
            entries::resources,
            entries::kustomization,
            entries::patch,
            entries::replacement,
        ] {
            entry(&data);
        }
    }
}

/// Depth and repetition that would end a parser without limits, or a walker that recurses.
#[test]
fn depth_and_repetition_are_bounded() {
    let bomb: String = (0..30).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
        format!("{text}a{}: &a{} [*a{n}, *a{n}, *a{n}, *a{n}]\n", n + 1, n + 1)
    });
    let nested = "kind: List\nitems:\n- ".repeat(3000);
    for data in [
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "- ".repeat(50_000),
        bomb,
        nested,
        "a.".repeat(50_000),
        "[a=".repeat(20_000),
    ] {
        for entry in [
            entries::resources,
            entries::kustomization,
            entries::patch,
            entries::replacement,
        ] {
            entry(data.as_bytes());
        }
    }
}
