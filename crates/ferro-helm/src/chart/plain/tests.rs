use super::super::head::parse_head;
use super::*;

const DEPLOYMENT: &str = r#"# Source: app/templates/a.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: "app"
  labels: {}
  annotations:
    helm.sh/hook: pre-install,post-install # both
    'quoted': "1"
    version: 1.20.3-a # no number
spec:
  replicas: 2
  empty:
  list:
  - a
  - b: c
    d:
    - - e
      - f
  -
    g: -1
  template:
    verbs: ["get", list, 'watch']
    args:
    - --flag=a
    - -c
    - -a b # comment
    path: .status.phase
    address: :8080
    pattern: ^([0-9]+)$
    escaped: "a \"b\\n\" \
      \  c
      d\te"
    short: "\\"
    words: one of many, which go on
      - and, on

      to the end
    item:
    - more
     words
    flow: [ "a b",
      # not the end ]
      c ,'d',
       ]
    wrapped: 'It''s a text
      of two lines, ''quoted''

      and more: than' # one
    text: |
      a: b
        - c

      # no comment
    folded: >-

      d
    other: 'x: y'
    image: registry/app:v1 # the image
    below:
      {}
    items:
    -
      []
    - of:
        []
  last: é
"#;

const CRD: &str = "apiVersion: v1\nkind: A\nmetadata:\n  annotations:\n    a/b: v0.1\n  name: x.y\nspec:\n  group: y\n  \
                   names:\n    kind: X\n  versions:\n  - name: v1\n    schema:\n      properties:\n        a:\n          \
                   description: |-\n            Text: more\n            text\n          type: string\n    served: true\n";

#[test]
fn plain_manifests_are_read() {
    let head = read(DEPLOYMENT).unwrap();
    assert_eq!(Ok(&head), parse_head(DEPLOYMENT).as_ref());
    assert_eq!((&*head.kind, &*head.name), ("Deployment", "app"));
    assert_eq!(
        head.annotations.unwrap()["helm.sh/hook"],
        "pre-install,post-install"
    );
    assert_eq!(read(CRD), parse_head(CRD).ok());
    let without = "kind: A\nmetadata:\n  annotations:\n    {}\n";
    assert_eq!(read(without).unwrap().annotations.unwrap().len(), 0);
    assert_eq!(read(without), parse_head(without).ok());
}

#[test]
fn what_is_not_plain_is_left_to_the_parser() {
    for text in [
        "",
        "a",
        "- a\n",
        " a: b\n",
        "kind: 1\n",
        "Kind: a\n",
        "kind: a\nkind: b\n",
        "kind: yes\n",
        "a: *b\n",
        "a: &b c\n",
        "a: !c d\n",
        "a: b: c\n",
        "a: |2\n   b\n",
        "a: |\n    \n  b\n",
        "a:\tb\n",
        "a: b\r\n",
        "? a\n",
        "<<: b\n",
        "null: b\n",
        "a: {b: c}\n",
        "a: [b\n",
        "metadata:\n",
        "metadata:\n- a\n",
        "metadata: {}\n",
        "metadata:\n  {}\n",
        "metadata:\n  annotations:\n    []\n",
        "{}\n",
        "a:\n{}\n",
        "a: 'b'\n  {}\n",
        "a:\n  {}\n  b: c\n",
        "a:\n  {}\n  {}\n",
        "metadata:\n  annotations:\n    a: 1\n",
        "metadata:\n  annotations:\n    yes: a\n",
        "a: @b\n",
        "a: `b`\n",
        "a: %b\n",
        "a: .inf\n",
        "a: .NaN\n",
        "a: \"b\\q\"\n",
        "a: \"b\\x41\"\n",
        "a: \"b\\\"\n",
        "a: \"b\n c\n",
        "\"a\\n\": b\n",
        "a: b\n  c: d\n",
        "a: b # c\n  d\n",
        "a: b\n  c # d\n",
        "a: b\n  # c\n  d\n",
        "a: [b\n]\n",
        "a: [b c]\n",
        "a: [,]\n",
        "a: [b,, c]\n",
        "a: [b] c\n",
        "a: [b: c]\n",
        "a: [b, # c\n  d]\n",
        "a: : b\n",
        "a: -.inf\n",
        "a: - b\n",
        "a: --b: c\n",
        "a: 'b\n",
        "a: 'b\n  c' d\n",
        "a:\n  b: 'c\n d'\n",
        "kind: 1.2\n",
        "kind: 1.2:3.4\n",
        "a\n",
        "a: b\n- c\n",
        "a:\n  b: c\n d: e\n",
        "a: 'b'c\n",
        "a: \"b\"#c\n",
    ] {
        assert_eq!(read(text), None, "{text:?}");
    }
}

/// Numbers without a pattern.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Changes a text a little: lines go, come again or are moved, and characters that mean something come.
fn change(random: &mut Random, text: &str) -> String {
    const PIECES: [&str; 28] = [
        " ", "  ", ":", ": ", "-", "- ", "#", " #", "'", "\"", "|", ">", "\n", "\t", "{}", "[]", "[a]", ",",
        "&a", "*a", "!", "~", ".", "1", "é", "\\", "a:", "?",
    ];
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..=random.below(3) {
        let at = random.below(lines.len());
        match random.below(6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[random.below(lines.len())].clone()),
            2 => lines[at].insert_str(0, &" ".repeat(1 + random.below(3))),
            3 => lines[at] = lines[at].strip_prefix("  ").unwrap_or(&lines[at]).to_owned(),
            _ => {
                let ends: Vec<usize> = lines[at].char_indices().map(|(at, _)| at).collect();
                let end = lines[at].len();
                let place = ends.get(random.below(ends.len() + 1)).copied().unwrap_or(end);
                lines[at].insert_str(place, PIECES[random.below(PIECES.len())]);
            }
        }
        if lines.is_empty() {
            lines.push(String::new());
        }
    }
    lines.join("\n")
}

#[test]
fn what_is_read_is_what_the_parser_reads() {
    let cases = std::env::var("FERRO_CASES").map_or(20_000, |cases| cases.parse().unwrap());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut plain = 0;
    for case in 0..cases {
        let text = change(&mut random, if case % 2 == 0 { DEPLOYMENT } else { CRD });
        if let Some(head) = read(&text) {
            assert_eq!(Ok(head), parse_head(&text), "{text}");
            plain += 1;
        }
    }
    assert!(plain > cases / 20, "{plain} of {cases} are plain");
}
