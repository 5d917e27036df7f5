//! Copies of what a leader serves, on the loopback interface.

use ferro_artifact::server::FileServer;
use ferro_artifact::storage::StorageOptions;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

const GIT: SourceKind = SourceKind {
    kind: "GitRepository",
    plural: "gitrepositories",
};

fn storage(folder: &TempDir) -> Storage {
    Storage::open(StorageOptions::new(folder.path(), "leader")).unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(GIT.kind, "ns", name)
}

/// Stores an artifact and says what its object would advertise.
fn publish(storage: &Storage, name: &str, content: &str) -> Artifact {
    let path = ArtifactPath::new(GIT.kind, "ns", name, &format!("{}.tar.gz", content.len())).unwrap();
    let written = storage.publish_blocking(&path, |out| out.write_all(content.as_bytes()));
    let (stored, ()) = written.unwrap();
    Artifact {
        digest: stored.digest.to_string(),
        path: path.to_string(),
        size: i64::try_from(stored.size).ok(),
        url: "http://127.0.0.1:1/nobody".to_owned(),
        ..Artifact::default()
    }
}

struct World {
    leader: Storage,
    mirror: Mirror,
    copies: Storage,
    _folders: [TempDir; 2],
}

impl World {
    /// A leader that serves, or is gone, and a replica.
    async fn new(is_served: bool) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (leader, copies) = (storage(&folders[0]), storage(&folders[1]));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        if is_served {
            let server = FileServer::new(folders[0].path()).unwrap();
            tokio::spawn(server.serve(listener, CancellationToken::new()));
        }
        let (_, address) = watch::channel(Some(Some(address)));
        let mirror = Mirror::new(copies.clone(), address).unwrap();
        Self {
            leader,
            mirror,
            copies,
            _folders: folders,
        }
    }

    fn list(&self, all: &[(&str, &Artifact)]) {
        let all = all
            .iter()
            .map(|(name, artifact)| (key(name), Some((*artifact).clone())));
        self.mirror.listed(GIT, all.collect());
    }

    async fn copy(&self) {
        self.mirror.remove_gone().await;
        self.mirror.copy_these(self.mirror.missing(), COPY_TIME).await;
    }

    fn has(&self, artifact: &Artifact) -> bool {
        let path = ArtifactPath::parse(&artifact.path).unwrap();
        self.copies.verify_blocking(&path, &artifact.digest).unwrap() == Integrity::Intact
    }

    fn standing(&self, artifact: &Artifact) -> Option<Standing> {
        let path = ArtifactPath::parse(&artifact.path).unwrap();
        self.mirror.state().wanted.get(&path).map(|it| it.standing)
    }
}

#[tokio::test]
async fn what_is_advertised_is_copied_and_removed_with_its_object() {
    let world = World::new(true).await;
    let (a, b) = (
        publish(&world.leader, "a", "1"),
        publish(&world.leader, "b", "22"),
    );
    world.list(&[("a", &a), ("b", &b)]);
    world.copy().await;
    world.mirror.is_complete().await;
    assert!(world.has(&a) && world.has(&b));
    assert!(world.mirror.missing().is_empty());
    // The next one, and an object that went while nobody watched.
    let next = publish(&world.leader, "a", "333");
    world.list(&[("a", &next)]);
    world.copy().await;
    assert!(world.has(&next) && !world.has(&b));
    assert!(world.has(&a), "the last one is kept for those who still fetch it");
    world.list(&[]);
    world.copy().await;
    assert!(!world.has(&next) && !world.has(&a));
}

#[tokio::test]
async fn what_is_there_is_not_fetched_and_not_removed() {
    let world = World::new(false).await;
    // Another replica's, in a shared directory.
    let shared = publish(&world.copies, "a", "1");
    world.list(&[("a", &shared)]);
    world.copy().await;
    assert_eq!(world.standing(&shared), Some(Standing::Here));
    world.list(&[]);
    world.copy().await;
    assert!(world.has(&shared), "that is the leader's business");
}

#[tokio::test]
async fn what_is_not_as_advertised_is_not_stored() {
    let world = World::new(true).await;
    let real = publish(&world.leader, "a", "12345");
    let forged = Artifact {
        digest: format!("sha256:{}", "0".repeat(64)),
        ..real.clone()
    };
    let small = Artifact {
        size: Some(4),
        ..real.clone()
    };
    for wrong in [&forged, &small] {
        world.list(&[("a", wrong)]);
        world.copy().await;
        assert_eq!(world.standing(wrong), Some(Standing::Missing));
        assert!(!world.has(&real));
    }
    // A status that names the file of another object.
    world.list(&[("b", &real)]);
    world.copy().await;
    assert!(world.standing(&real).is_none() && !world.has(&real));
    // The leader says that it has none: a replica does not wait for it to become ready.
    let gone = Artifact {
        path: "gitrepository/ns/a/gone.tar.gz".to_owned(),
        ..real
    };
    world.list(&[("a", &gone)]);
    world.copy().await;
    assert_eq!(world.standing(&gone), Some(Standing::Nowhere));
    world.mirror.is_complete().await;
}

#[tokio::test]
async fn client_waits_for_what_is_on_its_way() {
    let world = World::new(true).await;
    let artifact = publish(&world.leader, "a", "1");
    let path = Path::new(&artifact.path);
    let copying = async {
        // The client has heard of it first.
        tokio::task::yield_now().await;
        world.list(&[("a", &artifact)]);
        world.copy().await;
    };
    let (obtained, ()) = tokio::join!(world.mirror.obtain(path), copying);
    assert!(obtained && world.has(&artifact));
    // Somebody removed the file: it is fetched again.
    world
        .copies
        .remove_blocking(&ArtifactPath::parse(&artifact.path).unwrap())
        .unwrap();
    let copying = async {
        tokio::task::yield_now().await;
        world.copy().await;
    };
    let (obtained, ()) = tokio::join!(world.mirror.obtain(path), copying);
    assert!(obtained && world.has(&artifact));
}

#[tokio::test(start_paused = true)]
async fn client_does_not_wait_for_ever() {
    let world = World::new(false).await;
    let obtained = world.mirror.obtain(Path::new("gitrepository/ns/a/1.tar.gz"));
    let start = tokio::time::Instant::now();
    assert!(!obtained.await);
    assert_eq!(start.elapsed(), UNHEARD);
    assert!(!world.mirror.obtain(Path::new("favicon.ico")).await);
    assert_eq!(start.elapsed(), UNHEARD, "that is no artifact");
    let artifact = publish(&world.leader, "a", "1");
    world.list(&[("a", &artifact)]);
    assert!(!world.mirror.obtain(Path::new(&artifact.path)).await);
    assert_eq!(start.elapsed(), UNHEARD + ON_ITS_WAY);
    // A leader knows what there is, but for what it makes anew.
    world.mirror.state().leads = true;
    assert!(
        !world
            .mirror
            .obtain(Path::new("gitrepository/ns/b/1.tar.gz"))
            .await
    );
    assert_eq!(start.elapsed(), UNHEARD + ON_ITS_WAY);
    let made = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        publish(&world.copies, "a", "1");
    };
    let (obtained, ()) = tokio::join!(world.mirror.obtain(Path::new(&artifact.path)), made);
    assert!(obtained);
}
