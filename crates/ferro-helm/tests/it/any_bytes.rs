//! Input of any kind: the entries of the fuzzer, for a while and with the same seeds each time.

use crate::entries;
use crate::oracle::cases;
use crate::random::Random;

type Entry = fn(&[u8]);

/// Entries with texts to begin with.
const ENTRIES: [(Entry, &[&str]); 7] = [
    (
        entries::template,
        &[
            "{{- define \"a\" }}{{ . | quote }}{{ end }}{{ template \"a\" .Values.name }}{{ range $i, $e := .Values.list }}{{ $i }}{{ else }}{{ break }}{{ end }}",
            "{{ with (dict \"a\" (list 1 2.5 nil)) -}} {{ toYaml . | nindent 2 }}{{ end }}{{ if and .Values.n (eq .Values.name \"app\") }}x{{ end }}",
            "{{ $x := merge (dict \"b\" 1) .Values.a }}{{ $_ := set $x \"self\" $x }}{{ range until 3 }}{{ $x = . }}{{ end }}{{ printf \"%v %+q %[2]*d\" $x 1 }}",
            "{{/* c */}}{{ block \"b\" . }}{{ index .Values.list 0 }}{{ slice \"abc\" 1 2 }}{{ end }}{{ 0x1p-2 }}{{ 'a' }}{{ `r` }}",
        ],
    ),
    (
        entries::functions,
        &[
            "^1.2 || >=2.0.0-rc <3",
            "([a-z]+)(?i:b)*?\\d{2,3}[^[:alpha:]]",
            "2006-01-02 15:04:05.999 MST -07:00",
            "a = 1\n[t.\"x y\"]\nb = [1, {c = 2024-01-01T00:00:00Z}]\n[[l]]\n",
            "http://u:p@h:80/a%20b?c=d#e",
            "%+[1]*.3v%q",
            "a: &x [1, *x]\n<<: {b: 2}",
        ],
    ),
    (
        entries::yaml,
        &[
            "a: &x {b: [1, 2.5, ~]}\nc: *x\n<<: *x\n? [k]\n: |+2\n  text\n\n--- # d\n!!binary aGk=\n...\n",
            "kind: Pod\nmetadata:\n  annotations: {helm.sh/hook: test, helm.sh/hook-weight: \"5\"}\n---\n- 'it''s'\n- \"\\x41\\n\"\n",
        ],
    ),
    (
        entries::assignments,
        &[
            "a.b[1].c=x,d={1,two,null},e\\.f=\\,",
            "a[0][2]={},x=[1,{\"k\":null}]",
            "n.a=1,n[0]=2",
        ],
    ),
    (entries::archive, &["\u{1f}app/Chart.yaml\0\0\0ustar\0"]),
    (
        entries::chart,
        &[
            "apiVersion: v2\nname: a\nversion: 1.2.3\ndependencies:\n- {name: b, version: ^1, alias: c, condition: x.y, tags: [t], import-values: [d, {child: e, parent: f}]}\nmaintainers: [{name: n}]\n",
            "!a*\n/b/\n*.[ch]\n# c\n",
        ],
    ),
    (
        entries::schema,
        &[
            "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"$defs\": {\"d\": {\"$dynamicAnchor\": \"n\", \"anyOf\": [{\"$dynamicRef\": \"#n\"}, false]}}, \"properties\": {\"a\": {\"$ref\": \"#/$defs/d\"}, \"n\": {\"multipleOf\": 0.1}}, \"unevaluatedProperties\": false}",
            "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"properties\": {\"name\": {\"format\": \"uri\", \"pattern\": \"^a\", \"enum\": [1]}}, \"dependencies\": {\"a\": [\"b\"]}, \"if\": {}, \"then\": {\"required\": [\"x\"]}}",
        ],
    ),
];

const PIECES: [&str; 30] = [
    "{{",
    "}}",
    " -}}",
    "{{- ",
    "(",
    ")",
    "|",
    "$",
    ".",
    "\"",
    "`",
    "\\",
    "\n",
    "\t",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "*",
    "&a ",
    "<<: ",
    "=",
    ",",
    "99999999999999999999",
    "\u{feff}",
    "\0",
    "{1,1000}",
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
fn nothing_makes_the_engine_panic() {
    let mut random = Random::new(53);
    for _ in 0..cases() / 5 {
        for (entry, seeds) in ENTRIES {
            let seed = *random.pick(seeds);
            entry(&mutated(&mut random, seed));
        }
    }
    for (entry, seeds) in ENTRIES {
        seeds.iter().for_each(|seed| entry(seed.as_bytes()));
    }
}
