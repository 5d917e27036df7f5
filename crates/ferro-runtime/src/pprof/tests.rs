//! What is answered below `/debug/pprof/`, over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
#[cfg(feature = "profile")]
use std::sync::Arc;
#[cfg(feature = "profile")]
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;

use super::*;

/// Gets a path: the status and the body.
async fn fetch(address: SocketAddr, path: &'static str) -> (u16, Vec<u8>) {
    let fetched = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        let head = String::from_utf8(answer).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    });
    fetched.await.unwrap()
}

async fn server() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes::<()>().with_state(())).await });
    address
}

#[tokio::test]
async fn index_command_line_and_what_has_no_meaning_are_answered() {
    let address = server().await;
    let text = async |path| {
        let (status, body) = fetch(address, path).await;
        (status, String::from_utf8(body).unwrap())
    };
    let (status, index) = text("/debug/pprof/").await;
    assert!(status == 200 && index.contains("profile?seconds="), "{index}");
    assert_eq!(text("/debug/pprof").await.0, 308);
    let (status, words) = text("/debug/pprof/cmdline").await;
    let expected: Vec<_> = std::env::args().collect();
    assert_eq!(
        (status, words.split('\0').collect::<Vec<_>>()),
        (200, expected.iter().map(String::as_str).collect())
    );
    for name in [
        "goroutine",
        "heap",
        "allocs",
        "block",
        "mutex",
        "threadcreate",
        "trace",
        "symbol",
    ] {
        let path: &'static str = Box::leak(format!("/debug/pprof/{name}").into_boxed_str());
        let (status, reason) = text(path).await;
        assert_eq!(status, 501, "{name}");
        assert!(
            reason.starts_with(&format!("no profile {name}: ")) && reason.lines().count() == 1,
            "{reason}"
        );
    }
    assert_eq!(
        text("/debug/pprof/other").await,
        (404, "unknown profile: other\n".to_owned())
    );
}

#[cfg(not(feature = "profile"))]
#[tokio::test]
async fn program_without_the_feature_says_so() {
    let (status, reason) = fetch(server().await, "/debug/pprof/profile").await;
    assert!(status == 501 && reason.ends_with(b"feature `profile`\n"));
}

/// Uses the CPU until it is told not to.
#[cfg(feature = "profile")]
#[inline(never)]
fn burn_the_time_that_is_sampled(stop: &AtomicBool) -> u64 {
    let mut value: u64 = 1;
    while !stop.load(Ordering::Relaxed) {
        for step in 0..10_000 {
            value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
        }
    }
    value
}

/// One test for all that samples: there is one timer in the process.
#[cfg(feature = "profile")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profile_tells_where_the_time_went() {
    let address = server().await;
    for path in [
        "/debug/pprof/profile?seconds=0",
        "/debug/pprof/profile?seconds=301",
        "/debug/pprof/profile?seconds=x",
    ] {
        let (status, reason) = fetch(address, path).await;
        assert_eq!(
            (status, reason.as_slice()),
            (400, &b"seconds must be a whole number from 1 to 300\n"[..]),
            "{path}"
        );
    }
    let stop = Arc::<AtomicBool>::default();
    let stopped = Arc::clone(&stop);
    let burner = std::thread::spawn(move || burn_the_time_that_is_sampled(&stopped));
    // There is one at a time, until it is over or nobody waits for it any more.
    {
        let mut first = std::pin::pin!(cpu::profile(std::time::Duration::from_secs(60)));
        assert!(futures::poll!(&mut first).is_pending());
        let (status, reason) = fetch(address, "/debug/pprof/profile?seconds=1").await;
        assert_eq!(status, 409, "{}", String::from_utf8_lossy(&reason));
    }
    let (status, packed) = fetch(address, "/debug/pprof/profile?seconds=2").await;
    stop.store(true, Ordering::Relaxed);
    burner.join().unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&packed));

    let mut message = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_end(&mut message)
        .unwrap();
    let profile = decoded::Profile::from(message.as_slice());
    let share = profile.share("burn_the_time_that_is_sampled");
    assert!(share > 0.5, "{share} of {} samples", profile.samples.len());
    assert!(
        profile.table.iter().all(|it| !it.contains("perf_signal_handler")),
        "{:?}",
        profile.table
    );

    // And as those read it whom it is for.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &packed).unwrap();
    let top = std::process::Command::new("go")
        .args(["tool", "pprof", "-top"])
        .arg(file.path())
        .env("PPROF_TMPDIR", std::env::temp_dir())
        .output();
    match top {
        Ok(top) => {
            let told = String::from_utf8_lossy(&top.stdout);
            let errors = String::from_utf8_lossy(&top.stderr);
            assert!(top.status.success(), "{errors}");
            assert!(told.contains("Type: cpu"), "{told}");
            assert!(told.contains("burn_the_time_that_is_sampled"), "{told}");
        }
        Err(error) => eprintln!("skipped: no go to read the profile with: {error}"),
    }
}

/// Just so much of a reader of Protocol Buffers.
#[cfg(feature = "profile")]
mod decoded {
    use std::collections::BTreeMap;

    #[derive(Default)]
    pub(super) struct Profile {
        /// Locations and their count.
        pub(super) samples: Vec<(Vec<u64>, u64)>,
        /// Functions of locations.
        locations: BTreeMap<u64, Vec<u64>>,
        /// Names of functions.
        functions: BTreeMap<u64, u64>,
        pub(super) table: Vec<String>,
    }

    enum Value<'a> {
        Number(u64),
        Bytes(&'a [u8]),
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = varint(&mut bytes);
            let value = match key & 7 {
                0 => Value::Number(value),
                2 => {
                    let (content, rest) = bytes.split_at(usize::try_from(value).unwrap());
                    bytes = rest;
                    Value::Bytes(content)
                }
                kind => panic!("wire type {kind}"),
            };
            fields.push((key >> 3, value));
        }
        fields
    }

    fn numbers(bytes: &[u8], field: u64) -> Vec<u64> {
        let number = |it| match it {
            (number, Value::Number(value)) if number == field => Some(value),
            _ => None,
        };
        fields(bytes).into_iter().filter_map(number).collect()
    }

    impl From<&[u8]> for Profile {
        fn from(bytes: &[u8]) -> Self {
            let mut profile = Self::default();
            for field in fields(bytes) {
                match field {
                    (2, Value::Bytes(sample)) => {
                        profile.samples.push((numbers(sample, 1), numbers(sample, 2)[0]));
                    }
                    (4, Value::Bytes(location)) => {
                        let lines = fields(location).into_iter().filter_map(|it| match it {
                            (4, Value::Bytes(line)) => Some(numbers(line, 1)[0]),
                            _ => None,
                        });
                        profile.locations.insert(numbers(location, 1)[0], lines.collect());
                    }
                    (5, Value::Bytes(function)) => {
                        profile
                            .functions
                            .insert(numbers(function, 1)[0], numbers(function, 2)[0]);
                    }
                    (6, Value::Bytes(text)) => profile.table.push(String::from_utf8(text.to_vec()).unwrap()),
                    _ => {}
                }
            }
            profile
        }
    }

    impl Profile {
        /// The share of samples with a function of that name in their stacks.
        pub(super) fn share(&self, name: &str) -> f64 {
            let is_it = |function: &u64| {
                let name_at = usize::try_from(self.functions[function]).unwrap();
                self.table[name_at].contains(name)
            };
            let has = |stack: &[u64]| stack.iter().any(|it| self.locations[it].iter().any(is_it));
            let all: u64 = self.samples.iter().map(|it| it.1).sum();
            let found: u64 = self.samples.iter().filter(|it| has(&it.0)).map(|it| it.1).sum();
            found as f64 / all.max(1) as f64
        }
    }
}
