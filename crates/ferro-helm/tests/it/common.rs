//! The library chart that most public charts are built on (the shared corpus has it), called with random values.

use std::path::{Path, PathBuf};

use ferro_helm::render::Renderer;
use serde_json::{Map, Value as Json, json};

use crate::charts::{Files, load};
use crate::oracle::{Oracle, cases};
use crate::outcome::{Setting, Verdict, judge, ours};
use crate::random::Random;
use crate::steady;

const CALLS: &[&str] = &[
    "{{ include \"common.names.fullname\" . }}",
    "{{ include \"common.names.name\" . }}-{{ include \"common.names.chart\" . }}",
    "{{ include \"common.names.namespace\" . | quote }} {{ include \"common.names.fullname.namespace\" . }}",
    "{{ include \"common.names.dependency.fullname\" (dict \"chartName\" \"db\" \"chartValues\" .Values.db \"context\" $) }}",
    "{{ include \"common.labels.standard\" (dict \"customLabels\" .Values.commonLabels \"context\" $) | nindent 4 }}",
    "{{ include \"common.labels.standard\" . | nindent 2 }}",
    "{{ include \"common.labels.matchLabels\" (dict \"customLabels\" .Values.podLabels \"context\" $) | nindent 6 }}",
    "{{ include \"common.tplvalues.render\" (dict \"value\" .Values.commonAnnotations \"context\" $) | nindent 4 }}",
    "{{ include \"common.tplvalues.render\" (dict \"value\" .Values.any \"context\" $) }}",
    "{{ include \"common.tplvalues.render\" (dict \"value\" .Values.extraDeploy \"context\" $) }}",
    "{{ include \"common.tplvalues.render\" (dict \"value\" .Values.any \"context\" $ \"scope\" .Values.image) }}",
    "{{ include \"common.tplvalues.merge\" (dict \"values\" (list .Values.commonLabels .Values.podLabels) \"context\" $) }}",
    "{{ include \"common.tplvalues.merge-overwrite\" (dict \"values\" (list .Values.podLabels .Values.commonLabels) \"context\" $) | nindent 2 }}",
    "{{ include \"common.images.image\" (dict \"imageRoot\" .Values.image \"global\" .Values.global) }}",
    "{{ include \"common.images.image\" (dict \"imageRoot\" .Values.image \"global\" .Values.global \"chart\" .Chart) }}",
    "{{ include \"common.images.pullSecrets\" (dict \"images\" (list .Values.image .Values.db.image) \"global\" .Values.global) }}",
    "{{ include \"common.images.renderPullSecrets\" (dict \"images\" (list .Values.image) \"context\" $) }}",
    "{{ include \"common.images.version\" (dict \"imageRoot\" .Values.image \"chart\" .Chart) }}",
    "{{ include \"common.affinities.pods\" (dict \"type\" .Values.podAffinityPreset \"component\" \"web\" \"customLabels\" .Values.podLabels \"topologyKey\" .Values.topologyKey \"context\" $) | nindent 8 }}",
    "{{ include \"common.affinities.pods\" (dict \"type\" \"soft\" \"extraPodAffinityTerms\" .Values.terms \"extraMatchLabels\" .Values.commonLabels \"context\" $) | nindent 8 }}",
    "{{ include \"common.affinities.nodes\" (dict \"type\" .Values.podAffinityPreset \"key\" \"kubernetes.io/arch\" \"values\" .Values.list) | nindent 8 }}",
    "{{ include \"common.capabilities.kubeVersion\" . }} {{ include \"common.capabilities.deployment.apiVersion\" . }} {{ include \"common.capabilities.ingress.apiVersion\" . }}",
    "{{ include \"common.capabilities.hpa.apiVersion\" (dict \"context\" $) }} {{ include \"common.capabilities.policy.apiVersion\" . }} {{ include \"common.capabilities.cronjob.apiVersion\" . }}",
    "{{ include \"common.capabilities.psp.supported\" . }} {{ include \"common.capabilities.networkPolicy.apiVersion\" . }} {{ include \"common.capabilities.vpa.apiVersion\" (dict \"context\" $) }}",
    "{{ include \"common.capabilities.apiVersions.has\" (dict \"version\" \"monitoring.coreos.com/v1\" \"context\" $) }} {{ include \"common.capabilities.supportsHelmVersion\" . }}",
    "{{ include \"common.capabilities.admissionConfiguration.apiVersion\" . }} {{ include \"common.capabilities.podSecurityConfiguration.apiVersion\" . }}",
    "{{ include \"common.ingress.backend\" (dict \"serviceName\" (include \"common.names.fullname\" .) \"servicePort\" \"http\" \"context\" $) | nindent 10 }}",
    "{{ include \"common.ingress.backend\" (dict \"serviceName\" \"svc\" \"servicePort\" 80 \"context\" $) | nindent 10 }}",
    "{{ if or .Values.tls (and (include \"common.ingress.certManagerRequest\" (dict \"annotations\" .Values.commonAnnotations)) .Values.selfSigned) }}tls{{ end }}",
    "{{ include \"common.secrets.name\" (dict \"existingSecret\" .Values.existingSecret \"defaultNameSuffix\" \"suffix\" \"context\" $) }}",
    "{{ include \"common.secrets.key\" (dict \"existingSecret\" .Values.existingSecret \"key\" \"password\") }}",
    "{{ include \"common.secrets.passwords.manage\" (dict \"secret\" \"s\" \"key\" \"password\" \"providedValues\" (list \"auth.password\" \"global.password\") \"length\" 10 \"strong\" .Values.strong \"context\" $) }}",
    "{{ include \"common.secrets.passwords.manage\" (dict \"secret\" \"s\" \"key\" \"password\" \"providedValues\" (list \"db.auth.password\") \"chartName\" \"db\" \"failOnNew\" false \"skipB64enc\" true \"skipQuote\" true \"context\" $) }}",
    "{{ include \"common.secrets.lookup\" (dict \"secret\" \"s\" \"key\" \"k\" \"defaultValue\" .Values.nameOverride \"context\" $) }}",
    "{{ include \"common.secrets.exists\" (dict \"secret\" \"s\" \"context\" $) }}.",
    "{{ include \"common.storage.class\" (dict \"persistence\" .Values.persistence \"global\" .Values.global) }}",
    "{{ include \"common.resources.preset\" (dict \"type\" .Values.preset) | nindent 2 }}",
    "{{ include \"common.compatibility.renderSecurityContext\" (dict \"secContext\" .Values.securityContext \"context\" $) | nindent 2 }}",
    "{{ include \"common.compatibility.isOpenshift\" . }}",
    "{{ include \"common.utils.fieldToEnvVar\" (dict \"field\" \"my-pass-word\") }} {{ include \"common.utils.secret.getvalue\" (dict \"secret\" \"s\" \"field\" \"f\" \"context\" $) }}",
    "{{ include \"common.utils.getValueFromKey\" (dict \"key\" \"db.auth.password\" \"context\" $) }} {{ include \"common.utils.getKeyFromList\" (dict \"keys\" (list \"db.auth.none\" \"nameOverride\") \"context\" $) }}",
    "{{ include \"common.utils.checksumTemplate\" (dict \"path\" \"/b.yaml\" \"context\" $) }}",
    "{{ include (print $.Template.BasePath \"/b.yaml\") . | sha256sum }}",
    "{{ include \"common.validations.values.multiple.empty\" (dict \"required\" (list (dict \"valueKey\" \"db.auth.password\" \"secret\" \"s\" \"field\" \"f\")) \"context\" $) }}",
    "{{ include \"common.errors.upgrade.passwords.empty\" (dict \"validationErrors\" (list (include \"common.validations.values.single.empty\" (dict \"valueKey\" \"db.auth.password\" \"secret\" \"s\" \"field\" \"f\" \"context\" $))) \"context\" $) }}",
    "{{ include \"common.validations.values.mariadb.passwords\" (dict \"secret\" \"s\" \"subchart\" false \"context\" $) }}",
    "{{ include \"common.warnings.rollingTag\" .Values.image }}{{ include \"common.warnings.resources\" (dict \"sections\" (list \"db\" \"\") \"context\" $) }}",
    "{{ include \"common.warnings.modifiedImages\" (dict \"images\" (list .Values.image) \"context\" $) }}",
    "{{ include \"common.errors.insecureImages\" (dict \"images\" (list .Values.image) \"context\" $) }}",
    "{{- $podLabels := include \"common.tplvalues.merge\" (dict \"values\" (list .Values.podLabels .Values.commonLabels) \"context\" .) }}\nlabels: {{- include \"common.labels.standard\" (dict \"customLabels\" $podLabels \"context\" $) | nindent 4 }}",
    "{{- if .Values.any }}{{- include \"common.tplvalues.render\" (dict \"value\" .Values.any \"context\" $) | nindent 8 }}{{- else if ne .Values.preset \"none\" }}{{- toYaml .Values.persistence | nindent 2 }}{{- end }}",
    "{{- range $key, $value := .Values.podLabels }}\n{{ $key }}: {{ include \"common.tplvalues.render\" (dict \"value\" $value \"context\" $) | quote }}\n{{- end }}",
    "{{ include \"common.redis.values.enabled\" (dict \"context\" $) }} {{ include \"common.mysql.values.enabled\" (dict \"context\" $) }} {{ include \"common.postgresql.values.use.global\" (dict \"key\" \"password\" \"context\" $) }}",
];

fn any(random: &mut Random) -> Json {
    let values = [
        json!(null),
        json!(""),
        json!("plain"),
        json!("{{ .Release.Name }}"),
        json!("{{ include \"common.names.fullname\" . }}"),
        json!("a: {{ .Values.nameOverride }}\nb: [1]\n"),
        json!({"app": "{{ .Chart.Name }}", "tier": "web"}),
        json!({"a.b/c": "x", "n": 10.0, "t": true}),
        json!([{"name": "{{ .Release.Name }}", "value": 1.0}]),
        json!([{"kind": "ConfigMap", "data": {"k": "{{ .Values.image.tag | quote }}"}}, "text: 1"]),
        json!(true),
        json!(1_000_000.0),
        json!("{{ .RelativeScope.tag }}"),
        json!("{{ fail \"no\" }}"),
        json!({}),
        json!([]),
    ];
    random.pick(&values).clone()
}

fn one_of<const N: usize>(random: &mut Random, choices: &[Json; N]) -> Json {
    random.pick(choices).clone()
}

fn text(random: &mut Random) -> Json {
    json!(*random.pick(&[
        "",
        "",
        "web",
        "my-name",
        "latest",
        "1.2.3-debian-12-r1",
        "docker.io",
        "-",
        "a.b/c",
        "soft",
        "hard"
    ]))
}

fn map(random: &mut Random) -> Json {
    let maps = [
        json!({}),
        json!({"app": "x"}),
        json!({"app": "{{ .Release.Name }}", "tier": "db", "n": "1"}),
        json!({"cert-manager.io/issuer": "i"}),
        json!({"kubernetes.io/tls-acme": "true", "b": 2.0}),
        json!({"app.kubernetes.io/name": "other"}),
    ];
    random.pick(&maps).clone()
}

fn image(random: &mut Random) -> Json {
    json!({
        "registry": text(random), "repository": *random.pick(&["bitnami/app", "a/b"]), "tag": text(random),
        "digest": *random.pick(&["", "", "sha256:ab"]),
        "pullSecrets": one_of(random, &[json!([]), json!(["one", "{{ .Release.Name }}"]), json!([{"name": "two"}])]),
    })
}

fn values(random: &mut Random) -> Json {
    json!({
        "global": {
            "imageRegistry": text(random), "imagePullSecrets": one_of(random, &[json!([]), json!(["g"]), json!([{"name": "h"}])]),
            "storageClass": text(random), "defaultStorageClass": text(random),
            "security": {"allowInsecureImages": random.one_in(2)},
            "compatibility": {"openshift": {"adaptSecurityContext": *random.pick(&["auto", "force", "disabled"])}},
        },
        "nameOverride": text(random), "fullnameOverride": text(random), "namespaceOverride": text(random),
        "kubeVersion": *random.pick(&["", "", "1.18.0", "1.30"]),
        "apiVersions": one_of(random, &[json!([]), json!(["monitoring.coreos.com/v1"])]),
        "commonLabels": map(random), "podLabels": map(random), "commonAnnotations": map(random),
        "any": any(random), "extraDeploy": any(random), "terms": [any(random)],
        "list": [text(random), "amd64"],
        "image": image(random),
        "db": {"image": image(random), "nameOverride": text(random), "fullnameOverride": text(random),
               "enabled": random.one_in(2), "auth": {"password": text(random), "enabled": random.one_in(2)},
               "resources": map(random)},
        "auth": {"password": text(random)},
        "podAffinityPreset": *random.pick(&["", "soft", "hard"]), "topologyKey": text(random),
        "existingSecret": one_of(random, &[json!(""), json!("name"), json!({"name": "n", "keyMapping": {"password": "pw"}}), json!("{{ .Release.Name }}-s")]),
        "strong": random.one_in(2), "tls": random.one_in(2), "selfSigned": random.one_in(2),
        "persistence": {"storageClass": *random.pick(&["", "-", "fast"]), "size": "8Gi"},
        "preset": *random.pick(&["none", "nano", "large"]),
        "securityContext": {"enabled": true, "fsGroup": 1001.0, "runAsUser": 1001.0, "seLinuxOptions": map(random)},
    })
}

fn library() -> Option<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/charts");
    let path = corpus.join("zookeeper/chart/charts/common");
    path.is_dir().then_some(path)
}

fn add_folder(files: &mut Files, path: &Path, prefix: &str) {
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        let name = format!("{prefix}{}", entry.file_name().unwrap().to_string_lossy());
        if entry.is_dir() {
            add_folder(files, &entry, &format!("{name}/"));
        } else {
            files.insert(name, std::fs::read_to_string(&entry).unwrap());
        }
    }
}

#[test]
fn calls_of_the_common_library_render_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let Some(library) = library() else {
        eprintln!("skipped: the corpus with the library chart is not here");
        return;
    };
    let mut base = Files::new();
    add_folder(&mut base, &library, "charts/common/");
    let chart = json!({
        "apiVersion": "v2", "name": "app", "version": "1.2.3", "appVersion": "4.5.6",
        "dependencies": [{"name": "common", "version": "2.x.x", "repository": "oci://host/charts"}],
        "annotations": {"images": "- image: docker.io/bitnami/app:1\n  name: app\n"},
    });
    base.insert("Chart.yaml".to_owned(), chart.to_string());
    let engine = steady::engine();
    let mut random = Random::new(47);
    let (mut rendered, mut failed, mut unstable, mut different) = (0, 0, 0, Vec::new());
    for _ in 0..cases() {
        let mut files = base.clone();
        files.insert("values.yaml".to_owned(), values(&mut random).to_string());
        for file in ["a.yaml", "b.yaml"] {
            let calls =
                (0..1 + random.below(4)).map(|index| format!("k{index}: |\n  {}\n", random.pick(CALLS)));
            files.insert(format!("templates/{file}"), calls.collect());
        }
        let setting = Setting {
            kube_version: random.pick::<&str>(&["1.34.0", "1.17.0", "1.24.3-eks"]),
            api_versions: [
                vec![],
                vec!["monitoring.coreos.com/v1", "security.openshift.io/v1"],
            ][random.below(2)]
            .clone(),
            is_upgrade: random.one_in(2),
        };
        let user = Map::new();
        let mut fields = json!({"files": files, "values": user});
        setting.describe(&mut fields);
        let renderer = Renderer::new(engine.clone(), load(&files).unwrap().chart);
        match judge(&mut oracle, &fields, &ours(&renderer, &user, &setting)) {
            Verdict::Rendered => rendered += 1,
            Verdict::Failed => failed += 1,
            Verdict::Unstable => unstable += 1,
            Verdict::Different(how) => {
                let own = |name: &str| files[name].clone();
                different.push(format!(
                    "{}{}\n{}\n{how}",
                    own("templates/a.yaml"),
                    own("templates/b.yaml"),
                    own("values.yaml")
                ));
            }
        }
    }
    eprintln!("{rendered} rendered and {failed} failed alike, {unstable} without one answer");
    let count = different.len();
    different.sort_by_key(String::len);
    different.truncate(12);
    assert!(different.is_empty(), "{count} differ\n{}", different.join("\n\n"));
}
