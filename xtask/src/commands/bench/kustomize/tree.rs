//! The trees that are built: an application of ten objects, as often as wanted, and an overlay over all of them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

/// Objects of one application, one of them a generated ConfigMap.
const APPLICATION: usize = 10;

/// Writes a tree whose `overlay` builds to this many objects.
pub(super) fn write(dir: &Path, objects: usize) -> Result<()> {
    let applications = objects.div_ceil(APPLICATION).max(1);
    let base = dir.join("base");
    fs::create_dir_all(&base)?;
    let mut resources = String::from("resources:\n");
    let mut generators = String::from("configMapGenerator:\n");
    for index in 0..applications {
        let name = format!("app-{index:05}");
        fs::write(base.join(format!("{name}.yaml")), application(&name, index))?;
        writeln!(resources, "- {name}.yaml")?;
        write!(
            generators,
            "- name: {name}-config\n  literals:\n  - LOG_LEVEL=info\n  - WORKERS={index}\n  - URL=http://{name}.example.org/\n"
        )?;
    }
    fs::write(
        base.join("kustomization.yaml"),
        format!("kind: Kustomization\n{resources}{generators}"),
    )?;
    overlay(&dir.join("overlay"), applications)
}

/// Everything that an overlay usually changes; one object in a hundred has a patch of its own.
fn overlay(dir: &Path, applications: usize) -> Result<()> {
    fs::create_dir_all(dir)?;
    let mut text = String::from(
        "kind: Kustomization\nresources:\n- ../base\nnamePrefix: prod-\nnamespace: shop\n\
         labels:\n- pairs:\n    team: checkout\n    tier: backend\n  includeSelectors: true\n\
         images:\n- name: registry.example.org/web\n  newTag: v2.1.0\n- name: registry.example.org/worker\n  newName: mirror.example.org/worker\n  newTag: v2.1.0\n\
         patches:\n- target:\n    kind: Ingress\n  patch: |-\n    - op: add\n      path: /metadata/annotations\n      value:\n        ingress.example.org/timeout: \"30\"\n\
         - target:\n    kind: Deployment\n    labelSelector: part=worker\n  patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata:\n      name: any\n    spec:\n      template:\n        spec:\n          containers:\n          - name: main\n            resources:\n              limits:\n                memory: 256Mi\n",
    );
    for index in (0..applications).step_by(10) {
        write!(
            text,
            "- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata:\n      name: app-{index:05}-web\n    spec:\n      replicas: 3\n      template:\n        spec:\n          containers:\n          - name: main\n            env:\n            - name: MODE\n              value: patched\n"
        )?;
    }
    fs::write(dir.join("kustomization.yaml"), text)?;
    Ok(())
}

fn application(name: &str, index: usize) -> String {
    let deployment = |part: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}-{part}\n  labels:\n    app: {name}\n    part: {part}\nspec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: {name}\n      part: {part}\n  template:\n    metadata:\n      labels:\n        app: {name}\n        part: {part}\n    spec:\n      serviceAccountName: {name}\n      containers:\n      - name: main\n        image: registry.example.org/{part}:v2.0.0\n        args: [\"--listen=:8080\", \"--shard={index}\"]\n        envFrom:\n        - configMapRef:\n            name: {name}-config\n        env:\n        - name: POD_NAME\n          valueFrom:\n            fieldRef:\n              fieldPath: metadata.name\n        - name: WORKERS\n          valueFrom:\n            configMapKeyRef:\n              name: {name}-config\n              key: WORKERS\n        ports:\n        - name: http\n          containerPort: 8080\n        readinessProbe:\n          httpGet:\n            path: /healthz\n            port: http\n        resources:\n          requests:\n            cpu: 10m\n            memory: 64Mi\n      volumes:\n      - name: config\n        configMap:\n          name: {name}-config\n"
        )
    };
    let service = |part: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}-{part}\nspec:\n  selector:\n    app: {name}\n    part: {part}\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n"
        )
    };
    let account = format!("apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {name}\n");
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: {name}\nrules:\n- apiGroups: [\"\"]\n  resources: [configmaps]\n  resourceNames: [{name}-config]\n  verbs: [get, watch]\n"
    );
    let binding = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata:\n  name: {name}\nroleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: {name}\nsubjects:\n- kind: ServiceAccount\n  name: {name}\n"
    );
    let ingress = format!(
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\nspec:\n  rules:\n  - host: {name}.example.org\n    http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            name: {name}-web\n            port:\n              name: http\n"
    );
    let autoscaler = format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: {name}\nspec:\n  scaleTargetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: {name}-web\n  minReplicas: 2\n  maxReplicas: 10\n"
    );
    [
        deployment("web"),
        deployment("worker"),
        service("web"),
        service("worker"),
        account,
        role,
        binding,
        ingress,
        autoscaler,
    ]
    .join("---\n")
}
