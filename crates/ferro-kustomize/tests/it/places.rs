//! Errors name the file, the document and the line that they are about.

use ferro_kustomize::{MemoryFiles, Options, build};

const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";

/// What stands below an error's text when `/app` is built.
fn place(files: &[(&str, &str)]) -> String {
    let files: MemoryFiles = files.iter().copied().collect();
    let error = build(&files, "/app", &Options::default()).unwrap_err();
    let text = format!("{error:#}");
    match text.rsplit_once("\n  at ") {
        Some((_, place)) => place.to_owned(),
        None => panic!("no place: {text}"),
    }
}

fn of_kustomization(text: &str) -> String {
    place(&[("/app/kustomization.yaml", text), ("/app/o.yaml", OBJECT)])
}

fn of_resource(text: &str) -> String {
    let kustomization = "namePrefix: p-\nresources:\n- o.yaml\n";
    place(&[("/app/kustomization.yaml", kustomization), ("/app/o.yaml", text)])
}

fn of_patch(text: &str) -> String {
    let kustomization = "resources: [o.yaml]\npatches:\n- path: p.yaml\n  target: {kind: ConfigMap}\n";
    let files = [
        ("/app/kustomization.yaml", kustomization),
        ("/app/o.yaml", OBJECT),
        ("/app/p.yaml", text),
    ];
    place(&files)
}

#[test]
fn broken_resources_are_named_with_document_and_line() {
    let broken = format!("{OBJECT}---\na: [\n");
    assert_eq!(of_resource(&broken), "o.yaml:6 (document 2)");
    let nameless = format!("{OBJECT}---\nkind: Pod\nmetadata: {{}}\n");
    assert_eq!(of_resource(&nameless), "o.yaml:6 (document 2)");
    let twice = format!("{OBJECT}---\n{OBJECT}");
    assert_eq!(of_resource(&twice), "o.yaml:6 (document 2)");
}

#[test]
fn files_that_are_missing_are_named_with_the_entry() {
    let missing = "resources:\n- o.yaml\n- gone.yaml\n";
    assert_eq!(of_kustomization(missing), "kustomization.yaml:3");
    let missing = "resources: [o.yaml]\npatches:\n- path: gone.yaml\n";
    assert_eq!(of_kustomization(missing), "kustomization.yaml:3");
    let missing = "configMapGenerator:\n- name: c\n- name: d\n  files: [gone.txt]\n";
    assert_eq!(of_kustomization(missing), "kustomization.yaml:3");
    let missing = "resources: [o.yaml]\ncomponents:\n- ../gone\n";
    assert_eq!(of_kustomization(missing), "kustomization.yaml:3");
}

#[test]
fn wrong_fields_are_named_with_their_line() {
    let unknown = "resources: [o.yaml]\nnamePrefx: p\n";
    assert_eq!(of_kustomization(unknown), "kustomization.yaml:2");
    let mistyped = "resources: [o.yaml]\nnamePrefix: 5\n";
    assert_eq!(of_kustomization(mistyped), "kustomization.yaml:2");
    assert_eq!(of_kustomization("resources: [o.yaml\n"), "kustomization.yaml");
}

#[test]
fn patches_are_named() {
    let homeless = format!("{OBJECT}---\n{}", OBJECT.replace("name: a", "name: b"));
    let kustomization = "resources: [o.yaml]\npatches: [{path: p.yaml}]\n";
    let files = [
        ("/app/kustomization.yaml", kustomization),
        ("/app/o.yaml", OBJECT),
        ("/app/p.yaml", homeless.as_str()),
    ];
    assert_eq!(place(&files), "p.yaml:6 (document 2)");
    assert_eq!(of_patch("- op: [x\n"), "p.yaml:1 (document 1)");
    // An operation fails at the object that it is applied to.
    assert_eq!(
        of_patch("- {op: remove, path: /data/x}\n"),
        "o.yaml:1 (document 1)"
    );
    assert_eq!(
        of_patch("- {op: wrong, path: /data/x}\n"),
        "o.yaml:1 (document 1)"
    );
    let inline = "resources: [o.yaml]\npatches:\n- patch: |\n    apiVersion: v1\n    kind: Pod\n    metadata: {name: b}\n";
    assert_eq!(of_kustomization(inline), "kustomization.yaml:3");
}

#[test]
fn replacements_are_named() {
    let sourceless = "resources: [o.yaml]\nreplacements:\n- source: {kind: Secret}\n  targets: [{select: {kind: ConfigMap}}]\n";
    assert_eq!(of_kustomization(sourceless), "kustomization.yaml:2");
    let source = "resources: [o.yaml]\nreplacements:\n- source: {kind: ConfigMap, fieldPath: data.x}\n  targets: [{select: {kind: ConfigMap}}]\n";
    assert_eq!(of_kustomization(source), "o.yaml:1 (document 1)");
    let target = "resources: [o.yaml]\nreplacements:\n- sourceValue: x\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.x]}]\n";
    assert_eq!(of_kustomization(target), "o.yaml:1 (document 1)");
}

#[test]
fn files_of_bases_are_named_from_the_first_layer_on() {
    let broken = format!("{OBJECT}---\na: [\n");
    let files = [
        ("/app/kustomization.yaml", "resources: [../base]\n"),
        ("/base/kustomization.yaml", "resources:\n- sub/o.yaml\n"),
        ("/base/sub/o.yaml", broken.as_str()),
    ];
    assert_eq!(place(&files), "../base/sub/o.yaml:6 (document 2)");
    let files = [
        ("/app/kustomization.yaml", "resources: [../base]\n"),
        ("/base/kustomization.yaml", "resources:\n- sub\n"),
    ];
    assert_eq!(place(&files), "../base/kustomization.yaml:2");
}
