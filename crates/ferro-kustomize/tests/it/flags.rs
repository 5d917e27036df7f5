//! The command line of the example, compared with what kustomize 5.8.1 says to the same words.

#[allow(dead_code, reason = "the example uses the rest")]
#[path = "../../examples/kustomize-build/arguments.rs"]
mod arguments;

use arguments::Arguments;
use ferro_kustomize::{LoadRestrictions, Reorder};

fn parse(line: &str) -> Result<Arguments, (Vec<&'static str>, String)> {
    Arguments::parse(line.split_whitespace().map(str::to_owned))
}

fn error(line: &str) -> String {
    parse(line).err().unwrap().1
}

#[test]
fn flags_are_read_as_upstream_reads_them() {
    let found = parse("dir --output=out.yaml --enable-helm --load-restrictor LoadRestrictionsNone").unwrap();
    assert_eq!((found.dir.as_str(), found.output.as_str()), ("dir", "out.yaml"));
    assert!(found.renders_charts && !found.wants_help && found.notes.is_empty());
    assert_eq!(found.load_restrictions, LoadRestrictions::None);
    assert_eq!(found.reorder, Reorder::Legacy);

    for line in [
        "-oout dir",
        "-o=out dir",
        "-o out dir",
        "dir --output out",
        "-eA=b -o out -- dir",
    ] {
        let found = parse(line).unwrap();
        assert_eq!(
            (found.dir.as_str(), found.output.as_str()),
            ("dir", "out"),
            "{line}"
        );
    }
    let found =
        parse("--helm-api-versions a --helm-api-versions=b --helm-kube-version 1.2 --helm-debug").unwrap();
    assert_eq!(found.helm_api_versions, ["a", "b"]);
    assert_eq!(
        (found.dir.as_str(), found.helm_kube_version.as_str()),
        (".", "1.2")
    );
    assert_eq!(parse("-").unwrap().dir, "-");
    assert_eq!(parse("-- --x").unwrap().dir, "--x");
    assert!(!parse("--enable-helm --enable-helm=F").unwrap().renders_charts);
    assert!(parse("--enable-alpha-plugins").unwrap().renders_charts);
    assert!(parse("a b -h").unwrap().wants_help);
    assert!(
        parse("--stack-trace --as-current-user --network --network-name x --mount a --mount b -e c").is_ok()
    );
}

#[test]
fn wrong_flags_are_refused_in_upstreams_words() {
    for (line, expected) in [
        ("--nope=1", "unknown flag: --nope"),
        ("-ox -x", "unknown shorthand flag: 'x' in -x"),
        ("-hx", "unknown shorthand flag: 'x' in -x"),
        ("-=x", "unknown shorthand flag: '=' in -=x"),
        ("---x", "bad flag syntax: ---x"),
        ("--=1", "bad flag syntax: --=1"),
        ("--output", "flag needs an argument: --output"),
        ("-e", "flag needs an argument: 'e' in -e"),
        (
            "--network=q",
            "invalid argument \"q\" for \"--network\" flag: strconv.ParseBool: parsing \"q\": invalid syntax",
        ),
        (
            "--help=q",
            "invalid argument \"q\" for \"-h, --help\" flag: strconv.ParseBool: parsing \"q\": invalid syntax",
        ),
        ("a b --reorder=x", "specify one path to kustomization.yaml"),
        (
            "--reorder=x --load-restrictor=y",
            "illegal flag value --load-restrictor y; legal values: [LoadRestrictionsRootOnly LoadRestrictionsNone]",
        ),
        (
            "--reorder=x",
            "illegal flag value --reorder x; legal values: [legacy none]",
        ),
    ] {
        assert_eq!(error(line), expected, "{line}");
    }
}

#[test]
fn deprecated_flags_are_noted_each_time_even_when_the_rest_is_wrong() {
    assert_eq!(parse("--reorder none --reorder legacy").unwrap().notes.len(), 2);
    let (notes, _) = parse("--enable-managedby-label a b").err().unwrap();
    assert_eq!(notes.len(), 1);
    let (notes, _) = parse("--reorder none --nope").err().unwrap();
    assert!(
        notes.is_empty(),
        "flags that cannot be read are all that is spoken of"
    );
}
