//! An API server that follows a script, and a terminal that remembers.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use flux::Terminal;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

pub(crate) const GIT: &str = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories";
pub(crate) const KS: &str = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations";

/// One exchange: the request that is expected, and the answer.
pub(crate) struct Step {
    method: Method,
    path: String,
    /// What the query must contain.
    query: &'static str,
    /// The body that is expected, if it matters.
    body: Option<Value>,
    status: u16,
    answer: String,
    /// Whether the answer never comes.
    hangs: bool,
}

impl Step {
    fn new(method: Method, path: &str, answer: &Value) -> Self {
        let (path, query, body) = (path.to_owned(), "", None);
        Self {
            method,
            path,
            query,
            body,
            status: 200,
            answer: answer.to_string(),
            hangs: false,
        }
    }

    pub(crate) fn get(path: &str, answer: &Value) -> Self {
        Self::new(Method::GET, path, answer)
    }

    /// Expects a list; the answer holds the items.
    pub(crate) fn list(path: &str, items: &[Value]) -> Self {
        let list = json!({
            "apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items,
        });
        Self::get(path, &list)
    }

    /// Expects a watch; the answer holds the changed objects.
    pub(crate) fn watch(path: &str, objects: &[Value]) -> Self {
        let lines = objects
            .iter()
            .map(|object| json!({"type": "MODIFIED", "object": object}).to_string());
        let answer = lines.map(|line| line + "\n").collect();
        Self {
            query: "watch=true",
            answer,
            ..Self::get(path, &Value::Null)
        }
    }

    /// Expects a watch of which nothing comes.
    pub(crate) fn idle_watch(path: &str) -> Self {
        Self::watch(path, &[]).unanswered()
    }

    /// Lets the request wait for ever.
    pub(crate) fn unanswered(self) -> Self {
        Self { hangs: true, ..self }
    }

    /// Expects a merge patch; the answer is the patched object.
    pub(crate) fn patch(path: &str, answer: &Value) -> Self {
        Self {
            query: "fieldManager=flux",
            ..Self::new(Method::PATCH, path, answer)
        }
    }

    /// Expects an object to be created; the answer is the object.
    pub(crate) fn post(path: &str, object: &Value) -> Self {
        Self {
            query: "fieldManager=flux",
            body: Some(object.clone()),
            ..Self::new(Method::POST, path, object)
        }
    }

    /// Expects a question that is posted and creates nothing.
    pub(crate) fn ask(path: &str, answer: &Value) -> Self {
        Self::new(Method::POST, path, answer)
    }

    /// Expects an object to be replaced.
    pub(crate) fn put(path: &str, object: &Value) -> Self {
        Self {
            query: "fieldManager=flux",
            body: Some(object.clone()),
            ..Self::new(Method::PUT, path, object)
        }
    }

    /// Expects an object to be deleted.
    pub(crate) fn delete(path: &str) -> Self {
        Self::new(
            Method::DELETE,
            path,
            &json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
        )
    }

    /// Expects an object to be looked for in vain.
    pub(crate) fn missing(path: &str) -> Self {
        Self::get(path, &Value::Null).failing(404, "NotFound", "not found")
    }

    pub(crate) fn with_query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    pub(crate) fn with_body(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    /// Refuses the request.
    pub(crate) fn failing(self, code: u16, reason: &str, message: &str) -> Self {
        let status = json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure",
            "code": code, "reason": reason, "message": message,
        });
        Self {
            status: code,
            answer: status.to_string(),
            ..self
        }
    }
}

/// What came of running the program.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
    /// Bodies of the requests that had one.
    pub(crate) bodies: Vec<Value>,
}

impl Outcome {
    /// Expects success with these outputs.
    pub(crate) fn expect(&self, out: &str, err: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (0, out, err));
    }

    /// Expects failure with these outputs.
    pub(crate) fn expect_failure(&self, out: &str, err: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (1, out, err));
    }
}

/// Runs `flux` with arguments separated by spaces, and expects exactly the steps of a script.
pub(crate) async fn flux(args: &str, script: Vec<Step>) -> Outcome {
    flux_answering(args, "", script).await
}

/// Runs `flux` as [`flux`] does, and answers what it asks.
pub(crate) async fn flux_answering(args: &str, answers: &'static str, script: Vec<Step>) -> Outcome {
    let script = Arc::new(Mutex::new(VecDeque::from(script)));
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let problems = Arc::new(Mutex::new(Vec::new()));
    let service = {
        let (script, bodies, problems) = (script.clone(), bodies.clone(), problems.clone());
        tower::service_fn(move |request: Request<Body>| {
            let (script, bodies, problems) = (script.clone(), bodies.clone(), problems.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body: Option<Value> = serde_json::from_slice(&body).ok();
                let step = script.lock().unwrap().pop_front();
                let path = head.uri.path();
                let query = head.uri.query().unwrap_or_default();
                let answer = match step {
                    Some(step)
                        if (&step.method, step.path.as_str()) == (&head.method, path)
                            && query.contains(step.query)
                            && (step.body.is_none() || step.body == body) =>
                    {
                        if step.hangs {
                            std::future::pending::<()>().await;
                        }
                        Response::builder()
                            .status(step.status)
                            .body(Body::from(step.answer.into_bytes()))
                    }
                    step => {
                        let expected =
                            step.map(|step| format!("{} {}?{}", step.method, step.path, step.query));
                        problems.lock().unwrap().push(format!(
                            "expected {expected:?}, but got {} {path}?{query} {body:?}",
                            head.method
                        ));
                        Response::builder()
                            .status(500)
                            .body(Body::from(b"off the script".to_vec()))
                    }
                };
                bodies.lock().unwrap().extend(body);
                answer
            }
        })
    };
    let client = kube::Client::new(service, "default");
    let (out, err) = (Memory::default(), Memory::default());
    let terminal = Terminal::new(Box::new(out.clone()), Box::new(err.clone()));
    let mut terminal = terminal.with_answers(Box::new(answers.as_bytes()));
    let args = ["flux"].into_iter().chain(args.split(' ')).map(Into::into);
    let code = flux::run_with(args, Some(client), &mut terminal).await;
    let outcome = Outcome {
        code,
        out: out.text(),
        err: err.text(),
        bodies: bodies.lock().unwrap().clone(),
    };
    assert_eq!(*problems.lock().unwrap(), [""; 0], "{outcome:?}");
    let left: Vec<_> = script
        .lock()
        .unwrap()
        .iter()
        .map(|step| step.path.clone())
        .collect();
    assert_eq!(left, [""; 0], "requests that were not made; {outcome:?}");
    outcome
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a GitRepository.
pub(crate) fn git(name: &str, ready: &str, message: &str) -> Value {
    object(
        "source.toolkit.fluxcd.io/v1",
        "GitRepository",
        name,
        ready,
        message,
    )
}

/// Returns a Kustomization.
pub(crate) fn ks(name: &str, ready: &str, message: &str) -> Value {
    object(
        "kustomize.toolkit.fluxcd.io/v1",
        "Kustomization",
        name,
        ready,
        message,
    )
}

fn object(api_version: &str, kind: &str, name: &str, ready: &str, message: &str) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "flux-system", "generation": 1, "resourceVersion": "5"},
        "spec": {"sourceRef": {"kind": "GitRepository", "name": "podinfo"}},
        "status": {
            "observedGeneration": 1,
            "lastHandledReconcileAt": "before",
            "conditions": [{"type": "Ready", "status": ready, "message": message}],
        },
    })
}

/// Returns an object with a field set.
pub(crate) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[field] = value;
    object
}
