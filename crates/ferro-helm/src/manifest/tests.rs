use super::*;

fn sorted(files: &[(&str, &str)]) -> Result<Sorted, ParseError> {
    let files = files
        .iter()
        .map(|(path, content)| ((*path).to_owned(), Text::from(*content)))
        .collect();
    sort(&files, &INSTALL_ORDER)
}

#[test]
fn kinds_have_an_order_and_files_keep_theirs() {
    let files = [
        (
            "b.yaml",
            "kind: Zebra\n---\nkind: Deployment\nmetadata: {name: b}\n",
        ),
        (
            "a.yaml",
            "kind: Deployment\nmetadata: {name: a}\n---\nkind: Ant\n",
        ),
        ("_c.yaml", "kind: [broken"),
        ("d.yaml", " \n\t\n"),
    ];
    let sorted = sorted(&files).unwrap();
    let seen: Vec<_> = sorted
        .manifests
        .iter()
        .map(|it| (it.kind.as_str(), it.name.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("Deployment", "a"),
            ("Deployment", "b"),
            ("Ant", ""),
            ("Zebra", "")
        ]
    );
}

#[test]
fn hooks_are_told_by_an_annotation() {
    let hook = "kind: Job\nmetadata:\n  name: j\n  annotations:\n    helm.sh/hook: Pre-Install, test-success\n    \
                helm.sh/hook-weight: \"-5\"\n    helm.sh/hook-delete-policy: hook-failed,x\n";
    let sorted = sorted(&[("a.yaml", hook)]).unwrap();
    let hook = &sorted.hooks[0];
    assert_eq!(hook.events, [HookEvent::PreInstall, HookEvent::Test]);
    assert_eq!(hook.weight, -5);
    assert_eq!(
        hook.delete_policies,
        [DeletePolicy::HookFailed, DeletePolicy::Other("x".to_owned())]
    );
}

#[test]
fn a_hook_for_an_unknown_stage_vanishes() {
    let hook = "kind: Job\nmetadata:\n  annotations:\n    helm.sh/hook: crd-install\n";
    let sorted = sorted(&[("a.yaml", hook)]).unwrap();
    assert!(sorted.hooks.is_empty() && sorted.manifests.is_empty());
    assert_eq!(
        sorted.notices[0].to_string(),
        "level=INFO msg=\"skipping unknown hooks\" hookTypes=crd-install"
    );
}

#[test]
fn what_is_no_yaml_is_refused_with_its_path() {
    let error = sorted(&[("a.yaml", "a: b: c\n")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "YAML parse error on a.yaml: error converting YAML to JSON: yaml: mapping values are not allowed in \
         this context"
    );
}
