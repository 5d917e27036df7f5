//! A certificate authority of OpenSSL's that tells whether it has revoked what it issued: as a responder of OCSP (RFC 6960), and by a list
//! (RFC 5280), both over HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_testkit::http::{Request, Response, Server};
use percent_encoding::percent_decode_str;
use xtask::ports;

use crate::process;
use crate::world::lock;

const PROGRAM: &str = "openssl";
const CONFIGURATION: &str = "authority.cnf";
/// What is in the certificate of a signer of artifacts.
const SIGNER: &str = "basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
";
/// Where the responder is asked.
const RESPONDER: &str = "/ocsp";
/// Where the list is.
const LIST: &str = "/list";

/// Where a certificate says that its revocation is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// By the responder.
    Responder,
    /// In the list.
    List,
    /// By a responder where there is none, and in the list.
    ListWithoutResponder,
}

/// The authority. Who asks it is answered until it is closed or dropped.
#[derive(Debug)]
pub struct CertificateAuthority {
    office: Arc<Office>,
    address: SocketAddr,
    nobody: SocketAddr,
    server: Option<Server>,
}

/// The authority's files, and the program that works on them.
#[derive(Debug)]
struct Office {
    dir: PathBuf,
    /// Held while the program works, as it replaces its index of certificates by renaming files.
    work: Mutex<()>,
    asked: AtomicUsize,
}

impl CertificateAuthority {
    /// Makes an authority with files in `dir`, and has it answer; nothing where there is no OpenSSL.
    ///
    /// # Errors
    /// When OpenSSL does not do what it should, or no port can be opened.
    pub fn start(dir: &Path) -> Result<Option<Self>> {
        if Command::new(PROGRAM).arg("version").output().is_err() {
            return Ok(None);
        }
        std::fs::create_dir_all(dir)?;
        let office = Office {
            dir: dir.to_path_buf(),
            work: Mutex::default(),
            asked: AtomicUsize::default(),
        };
        office.found()?;
        let [address, nobody] =
            [ports::free()?, ports::free()?].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut authority = Self {
            office: Arc::new(office),
            address,
            nobody,
            server: None,
        };
        authority.open()?;
        Ok(Some(authority))
    }

    /// Its own certificate, in PEM.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn certificate(&self) -> Result<String> {
        self.office.read("authority.crt")
    }

    /// Makes `chain.crt` and `signer.key` in `dir`, for a signer of artifacts with this common name.
    ///
    /// # Errors
    /// When OpenSSL does not make them.
    pub fn issue(&self, name: &str, witness: Witness, dir: &Path) -> Result<()> {
        let responder = |at: SocketAddr| format!("authorityInfoAccess = OCSP;URI:http://{at}{RESPONDER}\n");
        let list = format!("crlDistributionPoints = URI:http://{}{LIST}\n", self.address);
        let told = match witness {
            Witness::Responder => responder(self.address),
            Witness::List => list,
            Witness::ListWithoutResponder => responder(self.nobody) + &list,
        };
        let _alone = lock(&self.office.work);
        self.office.issue(name, &format!("{SIGNER}{told}"))?;
        std::fs::create_dir_all(dir)?;
        let chain = self.office.read(&format!("{name}.crt"))? + &self.certificate()?;
        std::fs::write(dir.join("chain.crt"), chain)?;
        std::fs::write(dir.join("signer.key"), self.office.read(&format!("{name}.key"))?)?;
        Ok(())
    }

    /// Revokes the certificate with this common name.
    ///
    /// # Errors
    /// When there is none, or it is revoked already.
    pub fn revoke(&self, name: &str) -> Result<()> {
        let certificate = self.office.path(&format!("{name}.crt"));
        let _alone = lock(&self.office.work);
        self.office.authority(&["-revoke", &certificate])
    }

    /// Answers from now on, where certificates say.
    ///
    /// # Errors
    /// When somebody else listens there by now.
    pub fn open(&mut self) -> Result<()> {
        let office = Arc::clone(&self.office);
        let server = Server::start_at(self.address, move |request| office.answer(&request));
        self.server = Some(server.with_context(|| format!("cannot listen on {}", self.address))?);
        Ok(())
    }

    /// Is not there from now on.
    pub fn close(&mut self) {
        self.server = None;
    }

    /// How often somebody asked.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.office.asked.load(Ordering::Relaxed)
    }
}

impl Office {
    /// Makes the certificates of the authority itself, and of the responder that answers for it.
    fn found(&self) -> Result<()> {
        let dir = self.dir.to_string_lossy();
        // What matters of names is what policies want to find in them.
        let configuration = format!(
            "[ca]
default_ca = authority
[authority]
database = {dir}/index
crlnumber = {dir}/number
new_certs_dir = {dir}
certificate = {dir}/authority.crt
private_key = {dir}/authority.key
default_md = sha256
default_days = 2
default_crl_days = 1
rand_serial = yes
policy = names
[names]
countryName = match
stateOrProvinceName = match
organizationName = match
commonName = supplied
[req]
distinguished_name = nothing
[nothing]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
"
        );
        self.write(CONFIGURATION, &configuration)?;
        self.write("index", "")?;
        self.write("number", "01\n")?;
        let certificate = self.path("authority.crt");
        let root = ["-x509", "-days", "2", "-extensions", "root", "-out", &certificate];
        self.request("authority", &root)?;
        let responder = "basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = OCSPSigning
";
        self.issue("responder", responder)
    }

    /// Makes a key and a certificate with these extensions.
    fn issue(&self, name: &str, extensions: &str) -> Result<()> {
        let [request, certificate, file] = [
            format!("{name}.csr"),
            format!("{name}.crt"),
            format!("{name}.cnf"),
        ]
        .map(|it| self.path(&it));
        self.write(&format!("{name}.cnf"), extensions)?;
        self.request(name, &["-out", &request])?;
        self.authority(&[
            "-batch",
            "-notext",
            "-extfile",
            &file,
            "-in",
            &request,
            "-out",
            &certificate,
        ])
    }

    /// Makes a key, and what the flags say about it.
    fn request(&self, name: &str, flags: &[&str]) -> Result<()> {
        let (configuration, key) = (self.path(CONFIGURATION), self.path(&format!("{name}.key")));
        let subject = format!("/C=US/ST=WA/O=Example/CN={name}");
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            &key,
        ];
        let request = ["req", "-config", &configuration, "-subj", &subject];
        self.run(&[&request[..], &key, flags].concat())
    }

    /// Acts as the authority.
    fn authority(&self, flags: &[&str]) -> Result<()> {
        self.run(&[&["ca", "-config", &self.path(CONFIGURATION)], flags].concat())
    }

    /// Answers to whoever wants to know what is revoked.
    fn answer(&self, request: &Request) -> Response {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let _alone = lock(&self.work);
        let answered = match request.path.strip_prefix(RESPONDER) {
            Some(path) => question(path, request).map(|question| self.respond(&question)),
            None => (request.path == LIST).then(|| self.list()),
        };
        match answered {
            Some(Ok(answer)) => Response::new(200, answer),
            Some(Err(error)) => Response::new(500, format!("{error:#}")),
            None => Response::new(404, "nothing here"),
        }
    }

    /// What OpenSSL's responder answers (`OCSPResponse`, DER) to a question (`OCSPRequest`, DER).
    fn respond(&self, question: &[u8]) -> Result<Vec<u8>> {
        let (asked, answer) = (self.dir.join("question"), self.dir.join("answer"));
        std::fs::write(&asked, question)?;
        let [index, authority, certificate, key] =
            ["index", "authority.crt", "responder.crt", "responder.key"].map(|it| self.path(it));
        let files = [
            "-index",
            &index,
            "-CA",
            &authority,
            "-rsigner",
            &certificate,
            "-rkey",
            &key,
        ];
        let (asked, answered) = (asked.to_string_lossy(), answer.to_string_lossy());
        let flags = ["-ndays", "1", "-reqin", &asked, "-respout", &answered];
        self.run(&[&["ocsp"], &files[..], &flags].concat())?;
        Ok(std::fs::read(answer)?)
    }

    /// What OpenSSL lists as revoked (`CertificateList`, DER).
    fn list(&self) -> Result<Vec<u8>> {
        let (text, list) = (self.path("list.pem"), self.path("list.crl"));
        self.authority(&["-gencrl", "-out", &text])?;
        self.run(&["crl", "-in", &text, "-outform", "DER", "-out", &list])?;
        Ok(std::fs::read(list)?)
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        // It keeps the state of its random numbers in the user's home otherwise.
        let home = [("HOME", &*self.dir.to_string_lossy())];
        process::run(Path::new(PROGRAM), arguments, &home, "")?.success()?;
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }

    fn read(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.dir.join(name))?)
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        Ok(std::fs::write(self.dir.join(name), content)?)
    }
}

/// What is asked, in the path or in the body (RFC 6960 appendix A.1).
fn question(path: &str, request: &Request) -> Option<Vec<u8>> {
    if request.method == "POST" {
        let is_question = request.header("content-type") == "application/ocsp-request";
        return is_question.then(|| request.body.to_vec());
    }
    let encoded = percent_decode_str(path.strip_prefix('/')?).decode_utf8().ok()?;
    STANDARD.decode(&*encoded).ok()
}
