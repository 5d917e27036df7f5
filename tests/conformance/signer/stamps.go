package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	gocose "github.com/veraison/go-cose"
)

const timestampHeader = "io.cncf.notary.timestampSignature"

// token is the timestamp of an authority without the answer around it.
func (a *authority) token(signature []byte, at time.Time) []byte {
	response, err := timestamp.ParseResponse(a.timestamp(signature, at))
	must(err)
	return response.RawToken
}

// stampedEnvelope puts a timestamp into an envelope; the signature does not cover it.
func stampedEnvelope(format string, envelope []byte, stamp func(signature []byte) []byte) []byte {
	if format == cose.MediaTypeEnvelope {
		message := gocose.NewSign1Message()
		must(message.UnmarshalCBOR(envelope))
		message.Headers.Unprotected[timestampHeader] = stamp(message.Signature)
		message.Headers.RawUnprotected = nil // which is what would be written otherwise
		made, err := message.MarshalCBOR()
		must(err)
		return made
	}
	var parts map[string]any
	must(json.Unmarshal(envelope, &parts))
	signature, err := base64.RawURLEncoding.DecodeString(parts["signature"].(string))
	must(err)
	parts["header"].(map[string]any)[timestampHeader] = stamp(signature)
	made, err := json.Marshal(parts)
	must(err)
	return made
}

// stamps makes signatures with timestamps, and has each judged by policies that ask for those in different ways.
func stamps() map[string]any {
	this := "sha256:" + artifact()
	clock, stranger := newAuthority(), newAuthority()
	good, old := newSignatory(newKey(), 99, nil), newSignatory(newKey(), 0, nil)
	trusted := store{good.root, old.root, clock.root}
	asked := func(level, when string, stores ...string) []byte {
		text, err := json.Marshal(map[string]any{"version": "1.0", "trustPolicies": []any{map[string]any{
			"name": "p", "registryScopes": []string{"*"}, "trustStores": stores, "trustedIdentities": []string{"*"},
			"signatureVerification": map[string]any{"level": level, "verifyTimestamp": when},
		}}})
		must(err)
		return text
	}
	policies := map[string][]byte{
		"none": asked("strict", "", "ca:x"), "unsaid": asked("strict", "", "ca:x", "tsa:x"), "always": asked("strict", "always", "ca:x", "tsa:x"),
		"expired": asked("strict", "afterCertExpiry", "ca:x", "tsa:x"), "lax": asked("permissive", "always", "ca:x", "tsa:x"),
	}
	by := func(clock *authority, at time.Time) func([]byte) []byte {
		return func(signature []byte) []byte { return clock.token(signature, at) }
	}
	early, late := signedAt.Add(-time.Hour), signedAt.Add(time.Hour)
	variants := map[string]struct {
		signer signatory
		stamp  func([]byte) []byte
	}{
		"good": {good, nil}, "good-stamped": {good, by(clock, late)},
		"old": {old, nil}, "old-stamped": {old, by(clock, early)}, "old-stamped-late": {old, by(clock, late)},
		"old-stamped-at-the-end":         {old, by(clock, signedAt)},
		"old-stamped-before-the-clock":   {old, by(clock, signedAt.AddDate(-2, 0, 0))},
		"old-stamped-by-a-stranger":      {old, by(stranger, early)},
		"good-stamped-by-a-stranger":     {good, by(stranger, late)},
		"old-stamped-for-another":        {old, func([]byte) []byte { return clock.token([]byte("other"), early) }},
		"old-stamped-with-the-answer":    {old, func(made []byte) []byte { return clock.timestamp(made, early) }},
		"old-stamped-with-something":     {old, func([]byte) []byte { return []byte("something") }},
		"old-stamped-with-one-cut-short": {old, func(made []byte) []byte { stamp := clock.token(made, early); return stamp[:len(stamp)-1] }},
		"old-stamped-and-changed": {old, func(made []byte) []byte {
			stamp := clock.token(made, early)
			stamp[len(stamp)-1] ^= 1
			return stamp
		}},
	}
	cases := map[string]any{}
	for _, format := range []string{jws.MediaTypeEnvelope, cose.MediaTypeEnvelope} {
		for name, variant := range variants {
			envelope := variant.signer.sign(format, this, nil)
			if variant.stamp != nil {
				envelope = stampedEnvelope(format, envelope, variant.stamp)
			}
			verdicts := map[string]string{}
			for policy, text := range policies {
				verdicts[policy] = verdict(format, text, envelope, trusted)
			}
			cases[name+" "+format] = map[string]any{"format": format, "envelope": envelope, "verdicts": verdicts}
		}
	}
	documents := map[string]string{}
	for name, text := range policies {
		documents[name] = string(text)
	}
	certificates := []string{}
	for _, root := range []*x509.Certificate(trusted) {
		certificates = append(certificates, armored("CERTIFICATE", root.Raw))
	}
	return map[string]any{"cases": cases, "policies": documents, "trusted": certificates}
}
