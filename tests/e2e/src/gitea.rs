//! Gitea, the program of `tests/conformance/gitea`: repositories with accounts, tokens and deploy keys, over HTTP and SSH.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_testkit::lfs;
use ferro_testkit::ssh::KeyPair;
use serde_json::{Value, json};
use xtask::process::{Process, until};
use xtask::{paths, ports};

use crate::reference;
use crate::world::World;

const TIMEOUT: Duration = Duration::from_secs(60);
const OBJECTS: &str = "application/vnd.git-lfs+json";

/// A server with one account; it ends when it is dropped.
#[derive(Debug)]
pub struct Gitea {
    program: PathBuf,
    dir: PathBuf,
    http: SocketAddr,
    ssh: SocketAddr,
    host_key: KeyPair,
    _process: Process,
}

impl Gitea {
    /// The name of the account.
    pub const USER: &str = "owner";
    /// Its password.
    pub const PASSWORD: &str = "correct-horse-battery";

    /// Starts the server; nothing if the program is not there and cannot be built. Files are in `dir`.
    ///
    /// # Errors
    /// When it does not compile or start.
    pub fn start(world: &World, dir: &Path) -> Result<Option<Self>> {
        // Its database is in C.
        let Some(program) = reference::program("gitea", "FERRO_GITEA", &["go", "cc"])? else {
            return Ok(None);
        };
        let [http, ssh] =
            [ports::free()?, ports::free()?].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let host_key = KeyPair::generate("ed25519", "", &[]);
        write_private(&dir.join("host"), &host_key.private)?;
        std::fs::write(dir.join("app.ini"), configuration(dir, http, ssh)?)?;
        run(&program, dir, &["migrate"])?;
        let email = format!("{}@example.com", Self::USER);
        let flags = [
            "--username",
            Self::USER,
            "--password",
            Self::PASSWORD,
            "--email",
            &email,
            "--must-change-password=false",
        ];
        run(
            &program,
            dir,
            &[&["admin", "user", "create"][..], &flags].concat(),
        )?;
        let nursery = world.cluster().nursery().clone();
        let mut process = nursery.start("gitea", command(&program, dir, &["web"]), &dir.join("gitea.log"))?;
        let ready = || xtask::http::get(http, "/api/healthz", TIMEOUT).ok();
        until("Gitea", TIMEOUT, ready, || {
            let ended = process.exited();
            ensure!(ended.is_none(), "it ended: {}", process.log_tail(15));
            Ok(())
        })?;
        Ok(Some(Self {
            program,
            dir: dir.to_path_buf(),
            http,
            ssh,
            host_key,
            _process: process,
        }))
    }

    /// Where a repository of the account is, over HTTP.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/{}/{repository}.git", self.http, Self::USER)
    }

    /// Where it is over SSH.
    #[must_use]
    pub fn ssh_url(&self, repository: &str) -> String {
        format!("ssh://git@{}/{}/{repository}.git", self.ssh, Self::USER)
    }

    /// Where its owner pushes to; the first push makes a repository, which is private.
    #[must_use]
    pub fn push_url(&self, repository: &str) -> String {
        let account = format!("http://{}:{}@", Self::USER, Self::PASSWORD);
        self.url(repository).replacen("http://", &account, 1)
    }

    /// The server's line for `known_hosts`.
    #[must_use]
    pub fn known_hosts(&self) -> String {
        format!(
            "[{}]:{} {}\n",
            self.ssh.ip(),
            self.ssh.port(),
            self.host_key.public
        )
    }

    /// A token of the account that may read repositories and nothing else.
    ///
    /// # Errors
    /// When Gitea gives none.
    pub fn token(&self) -> Result<String> {
        let flags = ["--username", Self::USER, "--scopes", "read:repository", "--raw"];
        let args = [&["admin", "user", "generate-access-token"][..], &flags].concat();
        let printed = run(&self.program, &self.dir, &args)?;
        let token = printed.split_whitespace().next_back();
        token.map(str::to_owned).context("the token")
    }

    /// Lets who has the key read the repository.
    ///
    /// # Errors
    /// When Gitea refuses the key.
    pub fn add_deploy_key(&self, repository: &str, key: &KeyPair) -> Result<()> {
        let body = json!({"title": "deploy", "key": key.public, "read_only": true});
        let path = format!("/api/v1/repos/{}/{repository}/keys", Self::USER);
        let body = body.to_string();
        self.send("POST", &path, "application/json", body.as_bytes())
            .map(drop)
    }

    /// Stores an object of Git LFS, and gives its pointer file.
    ///
    /// # Errors
    /// When Gitea does not take it.
    pub fn put_object(&self, repository: &str, content: &[u8]) -> Result<String> {
        let oid = lfs::oid(content);
        let objects = json!([{"oid": oid, "size": content.len()}]);
        let body = json!({"operation": "upload", "transfers": ["basic"], "objects": objects}).to_string();
        let path = format!("/{}/{repository}.git/info/lfs/objects/batch", Self::USER);
        let answer = self.send("POST", &path, OBJECTS, body.as_bytes())?;
        let answer: Value = serde_json::from_str(&answer)?;
        let href = crate::object::text(&answer, "/objects/0/actions/upload/href");
        let path = href
            .strip_prefix(&format!("http://{}", self.http))
            .with_context(|| format!("no upload: {answer}"))?;
        self.send("PUT", path, "application/octet-stream", content)?;
        Ok(lfs::pointer(&oid, content.len()))
    }

    /// Sends a request of the account's and gives the body of the answer.
    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.http, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let credentials = STANDARD.encode(format!("{}:{}", Self::USER, Self::PASSWORD));
        let (host, length) = (self.http, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Basic {credentials}\r\nAccept: {kind}\r\n\
             Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("not an answer of HTTP")?;
        let is_success = head.split(' ').nth(1).is_some_and(|it| it.starts_with('2'));
        ensure!(is_success, "{method} {path}: {answer}");
        Ok(body.to_owned())
    }
}

fn configuration(dir: &Path, http: SocketAddr, ssh: SocketAddr) -> Result<String> {
    let (dir, static_root) = (dir.display(), static_root()?);
    Ok(format!(
        "WORK_PATH = {dir}\n\
         RUN_MODE = prod\n\
         [server]\n\
         STATIC_ROOT_PATH = {static_root}\n\
         HTTP_ADDR = 127.0.0.1\n\
         HTTP_PORT = {http_port}\n\
         ROOT_URL = http://{http}/\n\
         OFFLINE_MODE = true\n\
         LFS_START_SERVER = true\n\
         START_SSH_SERVER = true\n\
         BUILTIN_SSH_SERVER_USER = git\n\
         SSH_LISTEN_HOST = 127.0.0.1\n\
         SSH_LISTEN_PORT = {ssh_port}\n\
         SSH_SERVER_HOST_KEYS = {dir}/host\n\
         [database]\n\
         DB_TYPE = sqlite3\n\
         [repository]\n\
         ENABLE_PUSH_CREATE_USER = true\n\
         [security]\n\
         INSTALL_LOCK = true\n\
         [indexer]\n\
         ISSUE_INDEXER_TYPE = db\n\
         [log]\n\
         MODE = console\n",
        http_port = http.port(),
        ssh_port = ssh.port(),
    ))
}

fn command(program: &Path, dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .arg("--config")
        .arg(dir.join("app.ini"))
        .current_dir(dir)
        // Nothing of the user's; and a test may well run in a container as root.
        .env("HOME", dir)
        .env("GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT", "true");
    command
}

fn run(program: &Path, dir: &Path, args: &[&str]) -> Result<String> {
    let output = command(program, dir, args).stdin(Stdio::null()).output()?;
    let (told, printed) = (
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    ensure!(output.status.success(), "gitea {args:?}: {told}{printed}");
    Ok(printed.into_owned())
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn module() -> PathBuf {
    paths::root().join("tests/conformance/gitea")
}

/// Templates and texts, which Gitea wants to have even where nobody looks at them, are in its module.
fn static_root() -> Result<String> {
    let output = Command::new("go")
        .args(["list", "-mod=readonly", "-m", "-f", "{{.Dir}}"])
        .arg("code.gitea.io/gitea")
        .current_dir(module())
        .output()
        .context("cannot start `go`")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the module of Gitea: {told}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
