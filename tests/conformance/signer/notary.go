package main

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const repository = "registry.example.com/org/app"

// signatory is a root, and a certificate of it for signing.
type signatory struct {
	root, leaf *x509.Certificate
	key        crypto.Signer
}

// newSignatory makes certificates that are valid from signedAt on.
func newSignatory(key crypto.Signer, years int, change func(*x509.Certificate)) signatory {
	rootKey := newKey()
	name := func(common string) pkix.Name {
		return pkix.Name{
			Country: []string{"US"}, Province: []string{"WA"}, Locality: []string{"Seattle"},
			Organization: []string{"Example, Inc."}, CommonName: common,
		}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name("root"), NotBefore: signedAt.AddDate(-1, 0, 0), NotAfter: signedAt.AddDate(99, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root := certificate(template, template, rootKey.Public(), rootKey)
	template = &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: name("signer"), NotBefore: signedAt.AddDate(-1, 0, 0), NotAfter: signedAt.AddDate(years, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if change != nil {
		change(template)
	}
	return signatory{root, certificate(template, root, key.Public(), rootKey), key}
}

// sign makes an envelope of a format about an artifact.
func (s signatory) sign(format, digest string, change func(*signature.SignRequest)) []byte {
	signer, err := signature.NewLocalSigner([]*x509.Certificate{s.leaf, s.root}, s.key)
	must(err)
	request := &signature.SignRequest{
		Payload: signature.Payload{ContentType: payloadType, Content: about(digest)},
		Signer:  signer, SigningTime: signedAt, SigningScheme: signature.SigningSchemeX509, SigningAgent: "test",
	}
	if change != nil {
		change(request)
	}
	envelope, err := signature.NewEnvelope(format)
	must(err)
	made, err := envelope.Sign(request)
	must(err)
	return made
}

const payloadType = "application/vnd.cncf.notary.payload.v1+json"

// about is what is signed.
func about(digest string) []byte {
	payload, err := json.Marshal(map[string]any{"targetArtifact": map[string]any{
		"mediaType": ocispec.MediaTypeImageManifest, "digest": digest, "size": len(manifest()),
	}})
	must(err)
	return payload
}

// store has the same certificates in every store.
type store []*x509.Certificate

func (s store) GetCertificates(context.Context, truststore.Type, string) ([]*x509.Certificate, error) {
	return s, nil
}

func policy(level, store string, identities ...string) []byte {
	text, err := json.Marshal(map[string]any{"version": "1.0", "trustPolicies": []any{map[string]any{
		"name": "p", "registryScopes": []string{"*"}, "signatureVerification": map[string]any{"level": level},
		"trustStores": []string{store}, "trustedIdentities": identities,
	}}})
	must(err)
	return text
}

// verdict is what notation's library says: verified, ignored or refused.
func verdict(format string, text, envelope []byte, trusted store) string {
	var document trustpolicy.Document
	must(json.Unmarshal(text, &document))
	judge, err := verifier.New(&document, trusted, nil)
	must(err)
	target := ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest("sha256:" + artifact()), Size: int64(len(manifest())),
	}
	outcome, err := judge.Verify(context.Background(), target, envelope, notation.VerifierVerifyOptions{
		ArtifactReference: repository + "@sha256:" + artifact(), SignatureMediaType: format,
	})
	if err != nil {
		return "refused"
	}
	for _, result := range outcome.VerificationResults {
		if result.Error != nil && result.Type == trustpolicy.TypeAuthenticity {
			return "ignored"
		}
	}
	return "verified"
}

// notary makes signatures by certificates and has each judged by policies of all levels.
func notary() map[string]any {
	rsaKey := func(bits int) crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		must(err)
		return key
	}
	this := "sha256:" + artifact()
	good := newSignatory(newKey(), 99, nil)
	trusted := store{good.root}
	others := map[string]signatory{
		"p521": newSignatory(curve(elliptic.P521()), 99, nil), "rsa2048": newSignatory(rsaKey(2048), 99, nil),
		"rsa3072": newSignatory(rsaKey(3072), 99, nil), "rsa4096": newSignatory(rsaKey(4096), 99, nil),
		"old-certificate": newSignatory(newKey(), 0, nil),
		"somebody-else":   newSignatory(newKey(), 99, func(c *x509.Certificate) { c.Subject.Organization = []string{"Other"} }),
		// Where its issuer is found says nothing of revocation; nobody listens at these addresses.
		"issuer-named": newSignatory(newKey(), 99, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://127.0.0.1:1/ca"} }),
		"asked-online": newSignatory(newKey(), 99, func(c *x509.Certificate) { c.OCSPServer = []string{"http://127.0.0.1:1/ocsp"} }),
		"on-a-list":    newSignatory(newKey(), 99, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://127.0.0.1:1/crl"} }),
	}
	for _, other := range others {
		trusted = append(trusted, other.root)
	}
	// Nobody trusts this one.
	others["p384"] = newSignatory(curve(elliptic.P384()), 99, nil)
	policies := map[string][]byte{
		"anybody": policy("strict", "ca:x", "*"), "lax": policy("permissive", "ca:x", "x509.subject: C=US, S=WA, O=Example\\, Inc."),
		"strict":    policy("strict", "ca:x", "x509.subject: C=US, ST=WA, O=Example\\, Inc., CN=signer"),
		"audit":     policy("audit", "ca:x", "x509.subject: C=US, ST=WA, O=Nobody"),
		"authority": policy("strict", "signingAuthority:x", "*"),
	}
	made := map[string]any{"repository": repository}
	for name, format := range map[string]string{"cases": jws.MediaTypeEnvelope, "coseCases": cose.MediaTypeEnvelope} {
		signed := good.variants(format, this)
		for name, other := range others {
			signed[name] = other.sign(format, this, nil)
		}
		if format == cose.MediaTypeEnvelope {
			good.crafted(signed, this)
		}
		cases := map[string]any{}
		for name, envelope := range signed {
			verdicts := map[string]string{}
			for level, text := range policies {
				verdicts[level] = verdict(format, text, envelope, trusted)
			}
			written := any(string(envelope))
			if format == cose.MediaTypeEnvelope {
				written = envelope
			}
			cases[name] = map[string]any{"envelope": written, "verdicts": verdicts}
		}
		made[name] = cases
	}
	certificates, documents := []string{}, map[string]string{}
	for _, root := range trusted {
		certificates = append(certificates, armored("CERTIFICATE", root.Raw))
	}
	for level, text := range policies {
		documents[level] = string(text)
	}
	made["trusted"], made["policies"], made["stamps"], made["revocations"] = certificates, documents, stamps(), revocations()
	return made
}

// variants are envelopes as the library makes them.
func (s signatory) variants(format, this string) map[string][]byte {
	attribute := func(key string, critical bool) func(*signature.SignRequest) {
		return func(request *signature.SignRequest) {
			request.ExtendedSignedAttributes = []signature.Attribute{{Key: key, Critical: critical, Value: "x"}}
		}
	}
	expiring := func(at time.Time) func(*signature.SignRequest) {
		return func(request *signature.SignRequest) { request.Expiry = at }
	}
	return map[string][]byte{
		"good":          s.sign(format, this, nil),
		"future-expiry": s.sign(format, this, expiring(signedAt.AddDate(50, 0, 0))),
		"expired":       s.sign(format, this, expiring(signedAt.Add(time.Hour))),
		"other-digest":  s.sign(format, "sha256:"+fmt.Sprintf("%064d", 0), nil),
		"authority": s.sign(format, this, func(request *signature.SignRequest) {
			request.SigningScheme = signature.SigningSchemeX509SigningAuthority
		}),
		"content-type": s.sign(format, this, func(request *signature.SignRequest) { request.Payload.ContentType = "text/plain" }),
		"plugin":       s.sign(format, this, attribute("io.cncf.notary.verificationPlugin", true)),
		"lax-plugin":   s.sign(format, this, attribute("io.cncf.notary.verificationPlugin", false)),
		"attribute":    s.sign(format, this, attribute("x", false)),
		"critical":     s.sign(format, this, attribute("x", true)),
	}
}
