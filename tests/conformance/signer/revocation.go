package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"golang.org/x/crypto/ocsp"
)

// served is what a server answers to whatever it is asked.
type served struct {
	Status int    `json:"status"`
	Body   []byte `json:"body"`
	// Location is where a redirect leads.
	Location string `json:"location,omitempty"`
}

// servers answer by their host names; others cannot be reached.
type servers map[string]served

func (s servers) RoundTrip(request *http.Request) (*http.Response, error) {
	found, ok := s[request.URL.Host]
	if !ok {
		return nil, errors.New("no such host")
	}
	header := http.Header{}
	if found.Location != "" {
		header.Set("Location", found.Location)
	}
	return &http.Response{StatusCode: found.Status, Header: header, Body: io.NopCloser(bytes.NewReader(found.Body)), Request: request}, nil
}

// issued is a chain of certificates, root last, and their keys.
type issued struct {
	chain []*x509.Certificate
	keys  []*ecdsa.PrivateKey
}

const anyAuthority = x509.KeyUsageCertSign | x509.KeyUsageCRLSign

// issue makes a root and what is below it: one change for each certificate, the signer's first.
func issue(usage x509.KeyUsage, changes ...func(*x509.Certificate)) issued {
	made := issued{make([]*x509.Certificate, len(changes)+1), make([]*ecdsa.PrivateKey, len(changes)+1)}
	name := func(common string) pkix.Name {
		return pkix.Name{Country: []string{"US"}, Province: []string{"WA"}, Organization: []string{"Example"}, CommonName: common}
	}
	for at := len(changes); at >= 0; at-- {
		key := newKey()
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(at) + 2), Subject: name(fmt.Sprintf("authority %d", at)),
			NotBefore: signedAt.AddDate(-1, 0, 0), NotAfter: signedAt.AddDate(99, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: usage,
		}
		if at == 0 {
			template.Subject, template.IsCA, template.BasicConstraintsValid = name("signer"), false, false
			template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		}
		if at < len(changes) && changes[at] != nil {
			changes[at](template)
		}
		parent, parentKey := template, key
		if at < len(changes) {
			parent, parentKey = made.chain[at+1], made.keys[at+1]
		}
		made.keys[at], made.chain[at] = key, certificate(template, parent, key.Public(), parentKey)
	}
	return made
}

// sign makes an envelope about the artifact.
func (i issued) sign(change func(*signature.SignRequest)) []byte {
	signer, err := signature.NewLocalSigner(i.chain, i.keys[0])
	must(err)
	request := &signature.SignRequest{
		Payload: signature.Payload{ContentType: payloadType, Content: about("sha256:" + artifact())},
		Signer:  signer, SigningTime: signedAt, SigningScheme: signature.SigningSchemeX509, SigningAgent: "test",
	}
	if change != nil {
		change(request)
	}
	envelope, err := signature.NewEnvelope(jws.MediaTypeEnvelope)
	must(err)
	made, err := envelope.Sign(request)
	must(err)
	return made
}

// online is what a responder says of the certificate at a place of the chain; its issuer signs, unless the change embeds a certificate.
func (i issued) online(at int, key *ecdsa.PrivateKey, change func(*ocsp.Response)) served {
	issuer := i.chain[at+1]
	template := ocsp.Response{
		Status: ocsp.Good, SerialNumber: i.chain[at].SerialNumber, ThisUpdate: signedAt, NextUpdate: signedAt.AddDate(50, 0, 0),
		IssuerHash: crypto.SHA1,
	}
	if change != nil {
		change(&template)
	}
	responder := template.Certificate
	if responder == nil {
		responder = issuer
	}
	if key == nil {
		key = i.keys[at+1]
	}
	body, err := ocsp.CreateResponse(issuer, responder, template, key)
	must(err)
	return served{Status: 200, Body: body}
}

// delegate is a certificate, and its key, of whoever answers for the issuer of the certificate at a place of the chain.
func (i issued) delegate(at int, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "responder"},
		NotBefore: signedAt.AddDate(-1, 0, 0), NotAfter: signedAt.AddDate(99, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
	}
	if change != nil {
		change(template)
	}
	return certificate(template, i.chain[at+1], key.Public(), i.keys[at+1]), key
}

// list is a list of what the issuer of the certificate at a place of the chain has revoked.
func (i issued) list(at int, key *ecdsa.PrivateKey, change func(*x509.RevocationList)) served {
	template := &x509.RevocationList{Number: big.NewInt(5), ThisUpdate: signedAt, NextUpdate: signedAt.AddDate(50, 0, 0)}
	if change != nil {
		change(template)
	}
	if key == nil {
		key = i.keys[at+1]
	}
	// The library refuses to make lists for those that may not sign them.
	issuer := *i.chain[at+1]
	issuer.KeyUsage |= x509.KeyUsageCRLSign
	issuer.PublicKey = key.Public()
	body, err := x509.CreateRevocationList(rand.Reader, template, &issuer, key)
	must(err)
	return served{Status: 200, Body: body}
}

// crudeList is a list as the library does not make it.
func (i issued) crudeList(version int, next time.Time) served {
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	signed, err := asn1.Marshal(pkix.TBSCertificateList{
		Version: version, Signature: algorithm, Issuer: i.chain[1].Subject.ToRDNSequence(), ThisUpdate: signedAt, NextUpdate: next,
	})
	must(err)
	made := sign(i.keys[1], signed)
	body, err := asn1.Marshal(struct {
		Signed    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: signed}, algorithm, asn1.BitString{Bytes: made, BitLength: 8 * len(made)}})
	must(err)
	return served{Status: 200, Body: body}
}

// Extensions of lists and of their entries.
var (
	oidInvalidityDate = asn1.ObjectIdentifier{2, 5, 29, 24}
	oidDeltaIndicator = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidScope          = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidFreshest       = asn1.ObjectIdentifier{2, 5, 29, 46}
)

func extension(id asn1.ObjectIdentifier, critical bool, value any, parameters string) pkix.Extension {
	der, err := asn1.MarshalWithParams(value, parameters)
	must(err)
	return pkix.Extension{Id: id, Critical: critical, Value: der}
}

func invalidSince(at time.Time) pkix.Extension {
	return extension(oidInvalidityDate, false, at, "generalized")
}

// freshest names where changes to a list are found.
func freshest(addresses ...string) pkix.Extension {
	names := []byte{}
	for _, address := range addresses {
		names = append(names, tlv(0x86, []byte(address))...)
	}
	return pkix.Extension{Id: oidFreshest, Value: tlv(0x30, tlv(0x30, tlv(0xa0, tlv(0xa0, names))))}
}

func tlv(tag byte, content []byte) []byte {
	der, err := asn1.Marshal(asn1.RawValue{Class: int(tag >> 6), Tag: int(tag & 0x1f), IsCompound: tag&0x20 != 0, Bytes: content})
	must(err)
	return der
}

// revokedEntry is an entry about the signer.
func revokedEntry(reason int, at time.Time, extensions ...pkix.Extension) x509.RevocationListEntry {
	return x509.RevocationListEntry{SerialNumber: big.NewInt(2), RevocationTime: at, ReasonCode: reason, ExtraExtensions: extensions}
}

// revocations has signatures judged whose certificates may be revoked.
func revocations() map[string]any {
	c := &revocationCases{made: map[string]any{}, hosts: servers{}}
	before := http.DefaultTransport
	http.DefaultTransport = c.hosts
	defer func() { http.DefaultTransport = before }()
	c.online()
	c.lists()
	c.changes()
	c.chains()
	c.clocks()
	documents := map[string]string{}
	for name, text := range revocationPolicies() {
		documents[name] = string(text)
	}
	return map[string]any{"cases": c.made, "policies": documents, "servers": c.hosts}
}

func revocationPolicies() map[string][]byte {
	with := func(level string, changes map[string]string, stores ...string) []byte {
		verification := map[string]any{"level": level}
		if changes != nil {
			verification["override"] = changes
		}
		text, err := json.Marshal(map[string]any{"version": "1.0", "trustPolicies": []any{map[string]any{
			"name": "p", "registryScopes": []string{"*"}, "trustStores": stores, "trustedIdentities": []string{"*"},
			"signatureVerification": verification,
		}}})
		must(err)
		return text
	}
	return map[string][]byte{
		"strict": with("strict", nil, "ca:x", "signingAuthority:x"), "permissive": with("permissive", nil, "ca:x", "signingAuthority:x"),
		"unasked":         with("strict", map[string]string{"revocation": "skip"}, "ca:x", "signingAuthority:x"),
		"stamped":         with("strict", nil, "ca:x", "tsa:x"),
		"stamped-unasked": with("strict", map[string]string{"revocation": "skip"}, "ca:x", "tsa:x"),
	}
}

type revocationCases struct {
	made  map[string]any
	hosts servers
	count int
}

// host is a name that nobody answers to yet.
func (c *revocationCases) host(kind string) string {
	c.count++
	return fmt.Sprintf("%s-%d.example.com", kind, c.count)
}

// judge records what becomes of an envelope whose root is trusted.
func (c *revocationCases) judge(name string, by issued, envelope []byte, trusted ...*x509.Certificate) {
	trusted = append(trusted, by.chain[len(by.chain)-1])
	verdicts, certificates := map[string]string{}, []string{}
	for policy, text := range revocationPolicies() {
		// Where timestamps are asked for, nothing else is told by signatures without.
		if strings.HasPrefix(policy, "stamped") && !strings.HasPrefix(name, "clock") {
			continue
		}
		verdicts[policy] = verdict(jws.MediaTypeEnvelope, text, envelope, store(trusted))
	}
	for _, root := range trusted {
		certificates = append(certificates, armored("CERTIFICATE", root.Raw))
	}
	c.made[name] = map[string]any{"envelope": string(envelope), "verdicts": verdicts, "trusted": certificates}
}
