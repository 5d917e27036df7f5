//! OpenSSH's server and key generator, where they are installed.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server's path; it insists on being started by an absolute one.
fn sshd() -> Option<PathBuf> {
    ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}

/// Whether `sshd` and `ssh-keygen` are installed.
pub fn is_available() -> bool {
    sshd().is_some() && Command::new("ssh-keygen").arg("-?").output().is_ok()
}

/// A key pair made by `ssh-keygen`.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The private key.
    pub private: String,
    /// The public key: type and data.
    pub public: String,
}

impl KeyPair {
    /// Makes a key; `kind` and the further arguments are those of `ssh-keygen` (`-t`, then for instance
    /// `["-m", "PEM"]`).
    pub fn generate(kind: &str, passphrase: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("key");
        let output = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"])
            .arg(&path)
            .args(arguments)
            .output()
            .expect("ssh-keygen runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let public = std::fs::read_to_string(path.with_extension("pub")).expect("a public key");
        let public = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Self {
            private: std::fs::read_to_string(path).expect("a private key"),
            public,
        }
    }
}

impl KeyPair {
    /// Has this key sign a certificate for another one. The arguments are those of `ssh-keygen -s` (`-h` for hosts, `-n` for whom, `-V` for how
    /// long).
    pub fn certify(&self, key: &Self, arguments: &[&str]) -> String {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let authority = directory.path().join("authority");
        write_private(&authority, &self.private);
        let public = directory.path().join("key.pub");
        std::fs::write(&public, format!("{} test\n", key.public)).expect("a file");
        let output = Command::new("ssh-keygen")
            .args(["-q", "-I", "test", "-s"])
            .arg(&authority)
            .args(arguments)
            .arg(&public)
            .output()
            .expect("ssh-keygen runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        std::fs::read_to_string(directory.path().join("key-cert.pub")).expect("a certificate")
    }
}

/// An SSH server for one user key, with the host keys given.
#[derive(Debug)]
pub struct SshServer {
    address: SocketAddr,
    child: Child,
    directory: tempfile::TempDir,
}

impl SshServer {
    /// Starts `sshd`; `options` are further lines of its configuration.
    pub fn start(host_keys: &[&KeyPair], authorized: &[&KeyPair], options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path();
        let mut config = String::new();
        for (index, key) in host_keys.iter().enumerate() {
            let path = root.join(format!("host-{index}"));
            write_private(&path, &key.private);
            config.push_str(&format!("HostKey {}\n", path.display()));
        }
        let authorized: String = authorized.iter().map(|key| format!("{}\n", key.public)).collect();
        write_private(&root.join("authorized"), &authorized);
        // The port is free now; nobody else on a test machine takes it in the meantime, or the start fails.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        drop(listener);
        config.push_str(&format!(
            "ListenAddress {address}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nAcceptEnv GIT_PROTOCOL\n\
             PermitRootLogin prohibit-password\nMaxAuthTries 10\n",
            root.join("authorized").display()
        ));
        for line in options {
            config.push_str(line);
            config.push('\n');
        }
        let path = root.join("sshd_config");
        std::fs::write(&path, config).expect("a file");
        // Where it changes its root to, even when told not to separate privileges.
        drop(std::fs::create_dir_all("/run/sshd"));
        let log = std::fs::File::create(root.join("log")).expect("a file");
        let child = Command::new(sshd().expect("sshd is installed"))
            .args(["-D", "-e", "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd starts");
        let mut server = Self {
            address,
            child,
            directory,
        };
        server.wait_until_ready();
        server
    }

    /// The address it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a directory, for the user of this process.
    pub fn url(&self, directory: &Path) -> String {
        let user = Command::new("id").arg("-un").output().expect("id runs").stdout;
        let user = String::from_utf8(user).expect("a plain name");
        format!("ssh://{}@{}{}", user.trim(), self.address, directory.display())
    }

    /// A `known_hosts` line with a host key.
    pub fn known_hosts(&self, key: &KeyPair) -> String {
        format!("[{}]:{} {}\n", self.address.ip(), self.address.port(), key.public)
    }

    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().expect("a child").is_some();
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(
                !ended && started.elapsed() < Duration::from_secs(20),
                "sshd does not start: {log}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn write_private(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, content).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("own file");
}
