package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

const (
	subject = "https://github.com/org/app/.github/workflows/release.yml@refs/heads/main"
	issuer  = "https://token.actions.githubusercontent.com"
)

// A simple signature, as the layers of an image hold it.
type simple struct {
	Payload     []byte `json:"payload"`
	Signature   string `json:"signature"`
	Certificate string `json:"certificate,omitempty"`
	Bundle      string `json:"bundle,omitempty"`
}

// layer is what the artifact holds.
const layer = "content"

// manifest is that of the artifact which is signed, as `flux push artifact` makes it.
func manifest() []byte {
	config, content := sha256.Sum256([]byte("{}")), sha256.Sum256([]byte(layer))
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.cncf.flux.config.v1+json","digest":"sha256:%x","size":2},`+
		`"layers":[{"mediaType":"application/vnd.cncf.flux.content.v1.tar+gzip","digest":"sha256:%x","size":%d}]}`,
		config, content, len(layer))
}

// artifact is the digest of the artifact.
func artifact() string {
	return sum(manifest())
}

func sum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func payload(digest string) []byte {
	return []byte(`{"critical":{"identity":{"docker-reference":"registry.example.com/app"},"image":{"docker-manifest-digest":"sha256:` +
		digest + `"},"type":"cosign container image signature"},"optional":null}`)
}

func armored(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// fixtures makes signatures by keys of all kinds and by identities, as simple signatures and as bundles.
func fixtures() (map[string]any, error) {
	keys := map[string]any{}
	p256, p384, p521 := newKey(), curve(elliptic.P384()), curve(elliptic.P521())
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	for name, key := range map[string]crypto.Signer{"p256": p256, "p384": p384, "p521": p521, "rsa": rsaKey, "ed25519": edKey} {
		keys[name] = byKey(key, artifact())
	}
	a := newAuthority()
	trusted, err := json.Marshal(a.trustedRoot())
	must(err)
	bundles := map[string]any{}
	good := func() (*x509.Certificate, *ecdsa.PrivateKey) { return a.leaf(subject, issuer, a.certificateLog) }
	leaf, key := good()
	bundles["good"] = a.bundle(leaf, key, artifact(), signedAt)
	leaf, key = good()
	bundles["late"] = a.bundle(leaf, key, artifact(), signedAt.Add(time.Hour))
	leaf, key = good()
	other := sha256.Sum256([]byte("other"))
	bundles["other-digest"] = a.bundle(leaf, key, hex.EncodeToString(other[:]), signedAt)
	leaf, key = a.leaf(subject, issuer, nil)
	bundles["not-logged"] = a.bundle(leaf, key, artifact(), signedAt)
	leaf, key = a.leaf(subject, issuer, newKey())
	bundles["logged-elsewhere"] = a.bundle(leaf, key, artifact(), signedAt)
	stranger := newAuthority()
	stranger.rekorLog, stranger.certificateLog = a.rekorLog, a.certificateLog
	leaf, key = stranger.leaf(subject, issuer, a.certificateLog)
	bundles["other-authority"] = stranger.bundle(leaf, key, artifact(), signedAt)
	leaf, key = good()
	bundles["stamped"] = a.stamped(leaf, key, a, signedAt)
	leaf, key = good()
	bundles["stamped-late"] = a.stamped(leaf, key, a, signedAt.Add(time.Hour))
	leaf, key = good()
	bundles["stamped-elsewhere"] = a.stamped(leaf, key, stranger, signedAt)
	leaf, key = good()
	bundles["stamped-for-another"] = exchange(a.stamped(leaf, key, a, signedAt), a.timestamp([]byte("other"), signedAt))
	leaf, key = good()
	bundles["not-stamped"] = exchange(a.stamped(leaf, key, a, signedAt))
	leaf, key = good()
	bundles["in-toto"] = a.inToto(leaf, key, statement(artifact()))
	leaf, key = good()
	bundles["in-toto-other"] = a.inToto(leaf, key, []byte("other"))
	for name, made := range bundles {
		err := judge(trusted, made, strings.Contains(name, "stamped"))
		if (err == nil) != (name == "good" || name == "stamped" || name == "in-toto") {
			return nil, fmt.Errorf("sigstore's verdict on %s: %v", name, err)
		}
	}
	leaf, key = good()
	chart, packed := chart()
	sum := sha256.Sum256(chart)
	return map[string]any{
		"chart": map[string]any{
			"manifest": string(chart), "package": packed, "digest": fmt.Sprintf("sha256:%x", sum), "signed": byKey(p256, hex.EncodeToString(sum[:])),
		},
		"layer": layer, "manifest": string(manifest()),
		"digest": "sha256:" + artifact(), "subject": subject, "issuer": issuer,
		"trustedRoot": json.RawMessage(trusted), "keys": keys, "bundles": bundles,
		"keyless": a.simple(leaf, key), "notation": notary(),
	}, nil
}

func curve(c elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	must(err)
	return key
}

// byKey signs as `cosign sign --key` does: a simple signature and a bundle.
func byKey(key crypto.Signer, digest string) any {
	signer, err := signature.LoadSigner(key, crypto.SHA256)
	must(err)
	made, err := signer.SignMessage(bytes.NewReader(payload(digest)))
	must(err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(err)
	statement := statement(digest)
	enveloped, err := signer.SignMessage(bytes.NewReader(encoded(statement)))
	must(err)
	return map[string]any{
		"public": armored("PUBLIC KEY", der),
		"simple": simple{Payload: payload(digest), Signature: base64.StdEncoding.EncodeToString(made)},
		"bundle": map[string]any{
			"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
			"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": "x"}},
			"dsseEnvelope":         envelope(statement, enveloped),
		},
	}
}

func statement(digest string) []byte {
	text, err := json.Marshal(map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []any{map[string]any{"digest": map[string]any{"sha256": digest}}},
		"predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": map[string]any{},
	})
	must(err)
	return text
}

const inToto = "application/vnd.in-toto+json"

func encoded(statement []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(inToto), inToto, len(statement), statement)
}

func envelope(statement, signature []byte) any {
	return map[string]any{
		"payload": statement, "payloadType": inToto, "signatures": []any{map[string]any{"sig": signature}},
	}
}

// bundle signs by an identity, as cosign 3 does.
func (a *authority) bundle(leaf *x509.Certificate, key *ecdsa.PrivateKey, digest string, at time.Time) any {
	statement := statement(digest)
	made := sign(key, encoded(statement))
	wrapped, err := json.Marshal(envelope(statement, made))
	must(err)
	entry := a.entry(map[string]any{
		"apiVersion": "0.0.1", "kind": "dsse",
		"spec": map[string]any{
			"envelopeHash": hash(wrapped), "payloadHash": hash(statement),
			"signatures": []any{map[string]any{"signature": made, "verifier": []byte(armored("CERTIFICATE", leaf.Raw))}},
		},
	}, at)
	return bundled(leaf, entry, envelope(statement, made))
}

// hash is one of a log entry.
func hash(data []byte) map[string]any {
	return map[string]any{"algorithm": "sha256", "value": sum(data)}
}

// bundled is a bundle with one entry of a log.
func bundled(leaf *x509.Certificate, entry, envelope any) map[string]any {
	return map[string]any{
		"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{
			"certificate": map[string]any{"rawBytes": leaf.Raw}, "tlogEntries": []any{entry},
		},
		"dsseEnvelope": envelope,
	}
}

// inToto signs by an identity, with the entry that cosign made of attestations before there was one for envelopes. It says that a payload was signed.
func (a *authority) inToto(leaf *x509.Certificate, key *ecdsa.PrivateKey, payload []byte) any {
	statement := statement(artifact())
	made := sign(key, encoded(statement))
	wrapped, err := json.Marshal(envelope(statement, made))
	must(err)
	entry := a.entry(map[string]any{
		"apiVersion": "0.0.2", "kind": "intoto",
		"spec": map[string]any{"content": map[string]any{
			"envelope": map[string]any{"payloadType": inToto, "signatures": []any{map[string]any{
				"publicKey": []byte(armored("CERTIFICATE", leaf.Raw)), "sig": []byte(base64.StdEncoding.EncodeToString(made)),
			}}},
			"hash": hash(wrapped), "payloadHash": hash(payload),
		}},
	}, signedAt)
	return bundled(leaf, entry, envelope(statement, made))
}

// stamped signs by an identity, as cosign 3 does with a log of the second version; clock says when.
func (a *authority) stamped(leaf *x509.Certificate, key *ecdsa.PrivateKey, clock *authority, at time.Time) any {
	statement := statement(artifact())
	made := sign(key, encoded(statement))
	sum := sha256.Sum256(encoded(statement))
	entry := a.tile(map[string]any{
		"apiVersion": "0.0.2", "kind": "hashedrekord",
		"spec": map[string]any{"hashedRekordV002": map[string]any{
			"data": map[string]any{"algorithm": "SHA2_256", "digest": sum[:]},
			"signature": map[string]any{"content": made, "verifier": map[string]any{
				"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": map[string]any{"rawBytes": leaf.Raw},
			}},
		}},
	})
	return exchange(bundled(leaf, entry, envelope(statement, made)), clock.timestamp(made, at))
}

// exchange gives a bundle other timestamps.
func exchange(bundle any, responses ...[]byte) any {
	stamps := []any{}
	for _, response := range responses {
		stamps = append(stamps, map[string]any{"signedTimestamp": response})
	}
	material := bundle.(map[string]any)["verificationMaterial"].(map[string]any)
	material["timestampVerificationData"] = map[string]any{"rfc3161Timestamps": stamps}
	return bundle
}

// simple signs by an identity, as cosign 2 does.
func (a *authority) simple(leaf *x509.Certificate, key *ecdsa.PrivateKey) any {
	payload := payload(artifact())
	made := base64.StdEncoding.EncodeToString(sign(key, payload))
	sum := sha256.Sum256(payload)
	certificate := armored("CERTIFICATE", leaf.Raw)
	entry := a.entry(map[string]any{
		"apiVersion": "0.0.1", "kind": "hashedrekord",
		"spec": map[string]any{
			"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}},
			"signature": map[string]any{"content": made, "publicKey": map[string]any{"content": []byte(certificate)}},
		},
	}, signedAt)
	enclosed, err := json.Marshal(map[string]any{
		"SignedEntryTimestamp": entry["inclusionPromise"].(map[string]any)["signedEntryTimestamp"],
		"Payload": map[string]any{
			"body": entry["canonicalizedBody"], "integratedTime": signedAt.Unix(), "logIndex": 1,
			"logID": hex.EncodeToString(logID(a.rekorLog)),
		},
	})
	must(err)
	return simple{Payload: payload, Signature: made, Certificate: certificate, Bundle: string(enclosed)}
}

// judge asks sigstore's library, with the options that upstream verifies with, for bundles with a time of the log and those without.
func judge(trusted []byte, made any, stamped bool) error {
	material, err := root.NewTrustedRootFromJSON(trusted)
	if err != nil {
		return err
	}
	text, err := json.Marshal(made)
	must(err)
	parsed := &bundle.Bundle{}
	if err := parsed.UnmarshalJSON(text); err != nil {
		return err
	}
	times := verify.WithIntegratedTimestamps(1)
	if stamped {
		times = verify.WithSignedTimestamps(1)
	}
	verifier, err := verify.NewVerifier(material,
		verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1), times)
	if err != nil {
		return err
	}
	identity, err := verify.NewShortCertificateIdentity("", "^https://token", "", "^https://github.com/org/")
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(artifact())
	must(err)
	policy := verify.NewPolicy(verify.WithArtifactDigest("sha256", sum), verify.WithCertificateIdentity(identity))
	_, err = verifier.Verify(parsed, policy)
	return err
}
