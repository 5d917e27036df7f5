package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/digitorus/timestamp"
)

// signedAt is when everything happened; certificates live for ten minutes around it.
var signedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// authority is a certificate authority, a timestamp authority, a log of certificates and a log of signatures.
type authority struct {
	root, intermediate, clock *x509.Certificate
	intermediateKey, clockKey *ecdsa.PrivateKey
	certificateLog, rekorLog  *ecdsa.PrivateKey
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	return key
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func certificate(template, parent *x509.Certificate, public, private any) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, private)
	must(err)
	parsed, err := x509.ParseCertificate(der)
	must(err)
	return parsed
}

func newAuthority() *authority {
	rootKey := newKey()
	a := &authority{intermediateKey: newKey(), clockKey: newKey(), certificateLog: newKey(), rekorLog: newKey()}
	ca := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"test"}},
			NotBefore: signedAt.AddDate(-1, 0, 0), NotAfter: signedAt.AddDate(9, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	template := ca(1, "root")
	a.root = certificate(template, template, rootKey.Public(), rootKey)
	template = ca(2, "intermediate")
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	template.MaxPathLenZero = true
	a.intermediate = certificate(template, a.root, a.intermediateKey.Public(), rootKey)
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	must(err)
	a.clock = certificate(&x509.Certificate{
		SerialNumber: big.NewInt(4), Subject: pkix.Name{CommonName: "clock"},
		NotBefore: signedAt.AddDate(-1, 0, 0), NotAfter: signedAt.AddDate(9, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, a.root, a.clockKey.Public(), rootKey)
	return a
}

func logID(key *ecdsa.PrivateKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(err)
	sum := sha256.Sum256(der)
	return sum[:]
}

func sign(key *ecdsa.PrivateKey, data []byte) []byte {
	digest := sha256.Sum256(data)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	must(err)
	return signature
}

// leaf is a certificate for an identity, and its key. It is logged in the log of certificates unless that is nil.
func (a *authority) leaf(subject, issuer string, certificateLog *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key := newKey()
	return a.issue(key.Public(), subject, issuer, certificateLog), key
}

// issue makes a certificate for the key of an identity.
func (a *authority) issue(public crypto.PublicKey, subject, issuer string, certificateLog *ecdsa.PrivateKey) *x509.Certificate {
	uri, err := url.Parse(subject)
	must(err)
	issuerText, err := asn1.MarshalWithParams(issuer, "utf8")
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), URIs: []*url.URL{uri},
		NotBefore: signedAt.Add(-5 * time.Minute), NotAfter: signedAt.Add(5 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuerText}},
	}
	plain := certificate(template, a.intermediate, public, a.intermediateKey)
	if certificateLog == nil {
		return plain
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{
		Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: a.timestamps(plain, certificateLog),
	})
	return certificate(template, a.intermediate, public, a.intermediateKey)
}

// timestamps is a list with one signed certificate timestamp (RFC 6962) of a certificate.
func (a *authority) timestamps(plain *x509.Certificate, certificateLog *ecdsa.PrivateKey) []byte {
	issuer := sha256.Sum256(a.intermediate.RawSubjectPublicKeyInfo)
	tbs := plain.RawTBSCertificate
	time := binary.BigEndian.AppendUint64(nil, uint64(signedAt.UnixMilli()))
	signed := append([]byte{0, 0}, time...)
	signed = append(append(signed, 0, 1), issuer[:]...)
	signed = append(signed, byte(len(tbs)>>16), byte(len(tbs)>>8), byte(len(tbs)))
	signed = append(append(signed, tbs...), 0, 0)
	signature := sign(certificateLog, signed)
	stamp := append([]byte{0}, logID(certificateLog)...)
	stamp = append(append(stamp, time...), 0, 0, 4, 3)
	stamp = append(binary.BigEndian.AppendUint16(stamp, uint16(len(signature))), signature...)
	list := append(binary.BigEndian.AppendUint16(nil, uint16(len(stamp))), stamp...)
	list = append(binary.BigEndian.AppendUint16(nil, uint16(len(list))), list...)
	value, err := asn1.Marshal(list)
	must(err)
	return value
}

// timestamp is what the timestamp authority answers about a signature.
func (a *authority) timestamp(signature []byte, at time.Time) []byte {
	sum := sha256.Sum256(signature)
	return a.answer(&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:]}, at)
}

// answer is what the timestamp authority answers to a request.
func (a *authority) answer(request *timestamp.Request, at time.Time) []byte {
	stamp := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Time: at, Nonce: request.Nonce,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: true,
	}
	response, err := stamp.CreateResponseWithOpts(a.clock, a.clockKey, crypto.SHA256)
	must(err)
	return response
}

// tile is an entry of a log of the second version: its place in a tree of three, and no time.
func (a *authority) tile(body any) map[string]any {
	entry := a.entry(body, time.Unix(0, 0))
	delete(entry, "inclusionPromise")
	delete(entry, "integratedTime")
	return entry
}

// entry is an entry of the log of signatures: its promise, and its place in a tree of three.
func (a *authority) entry(body any, at time.Time) map[string]any {
	canonical, err := json.Marshal(body)
	must(err)
	kind := body.(map[string]any)
	return a.logged(kind["kind"].(string), kind["apiVersion"].(string), canonical, at)
}

// logged is an entry whose body is canonical already.
func (a *authority) logged(kind, version string, canonical []byte, at time.Time) map[string]any {
	text := base64.StdEncoding.EncodeToString(canonical)
	id := logID(a.rekorLog)
	promised, err := json.Marshal(map[string]any{
		"body": text, "integratedTime": at.Unix(), "logID": hex.EncodeToString(id), "logIndex": 1,
	})
	must(err)
	hash := func(prefix byte, parts ...[]byte) []byte {
		hasher := sha256.New()
		hasher.Write([]byte{prefix})
		for _, part := range parts {
			hasher.Write(part)
		}
		return hasher.Sum(nil)
	}
	first, last := hash(0, []byte("first")), hash(0, []byte("last"))
	root := hash(1, hash(1, first, hash(0, canonical)), last)
	origin := "rekor.example.com - 1"
	if kind == "hashedrekord" && version == "0.0.2" {
		origin = "rekor.example.com"
	}
	note := fmt.Sprintf("%s\n3\n%s\n", origin, base64.StdEncoding.EncodeToString(root))
	signature := append(id[:4:4], sign(a.rekorLog, []byte(note))...)
	checkpoint := fmt.Sprintf("%s\n\u2014 rekor.example.com %s\n", note, base64.StdEncoding.EncodeToString(signature))
	return map[string]any{
		"logIndex": "1", "logId": map[string]any{"keyId": id},
		"kindVersion":      map[string]any{"kind": kind, "version": version},
		"integratedTime":   fmt.Sprint(at.Unix()),
		"inclusionPromise": map[string]any{"signedEntryTimestamp": sign(a.rekorLog, promised)},
		"inclusionProof": map[string]any{
			"logIndex": "1", "treeSize": "3", "rootHash": root, "hashes": [][]byte{first, last},
			"checkpoint": map[string]any{"envelope": checkpoint},
		},
		"canonicalizedBody": text,
	}
}

// trustedRoot is the authority as trusted_root.json.
func (a *authority) trustedRoot() map[string]any {
	valid := map[string]any{"start": signedAt.AddDate(-1, 0, 0).Format(time.RFC3339)}
	log := func(key *ecdsa.PrivateKey, address string) []any {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		must(err)
		return []any{map[string]any{
			"baseUrl": address, "hashAlgorithm": "SHA2_256",
			"publicKey": map[string]any{"rawBytes": der, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid},
			"logId":     map[string]any{"keyId": logID(key)},
		}}
	}
	raw := func(certificate *x509.Certificate) any { return map[string]any{"rawBytes": certificate.Raw} }
	return map[string]any{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs":     log(a.rekorLog, "https://rekor.example.com"),
		"ctlogs":    log(a.certificateLog, "https://ct.example.com"),
		"certificateAuthorities": []any{map[string]any{
			"subject": map[string]any{"organization": "test", "commonName": "root"}, "uri": "https://fulcio.example.com",
			"certChain": map[string]any{"certificates": []any{raw(a.intermediate), raw(a.root)}}, "validFor": valid,
		}},
		"timestampAuthorities": []any{map[string]any{
			"subject": map[string]any{"organization": "test", "commonName": "root"}, "uri": "https://clock.example.com",
			"certChain": map[string]any{"certificates": []any{raw(a.clock), raw(a.root)}}, "validFor": valid,
		}},
	}
}
