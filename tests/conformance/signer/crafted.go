package main

import (
	"crypto/rand"
	"crypto/x509"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// crafted adds envelopes of COSE that the library does not make.
func (s signatory) crafted(signed map[string][]byte, this string) {
	const scheme, signing, expiry = "io.cncf.notary.signingScheme", "io.cncf.notary.signingTime", "io.cncf.notary.expiry"
	stamp := func(at time.Time) cbor.Tag { return cbor.Tag{Number: 1, Content: at.Unix()} }
	craft := func(change func(*cose.Sign1Message), after func(*cose.Sign1Message)) []byte {
		signer, err := cose.NewSigner(cose.AlgorithmES256, s.key)
		must(err)
		message := cose.NewSign1Message()
		message.Headers.Protected = cose.ProtectedHeader{
			cose.HeaderLabelAlgorithm: cose.AlgorithmES256, cose.HeaderLabelContentType: payloadType,
			cose.HeaderLabelCritical: []any{scheme}, scheme: "notary.x509", signing: stamp(signedAt),
		}
		message.Payload = about(this)
		if change != nil {
			change(message)
		}
		must(message.Sign(rand.Reader, nil, signer))
		message.Headers.Unprotected[cose.HeaderLabelX5Chain] = []any{s.leaf.Raw, s.root.Raw}
		if after != nil {
			after(message)
		}
		made, err := message.MarshalCBOR()
		must(err)
		return made
	}
	protected := func(pairs ...any) func(*cose.Sign1Message) {
		return func(message *cose.Sign1Message) {
			for at := 0; at < len(pairs); at += 2 {
				message.Headers.Protected[pairs[at]] = pairs[at+1]
			}
		}
	}
	chain := func(value any) func(*cose.Sign1Message) {
		return func(message *cose.Sign1Message) { message.Headers.Unprotected[cose.HeaderLabelX5Chain] = value }
	}
	stranger := newSignatory(newKey(), 99, func(c *x509.Certificate) { c.NotAfter = c.NotAfter.AddDate(1, 0, 0) })
	good := craft(nil, nil)
	made := map[string][]byte{
		"crafted":           good,
		"float-time":        craft(protected(signing, cbor.Tag{Number: 1, Content: float64(signedAt.Unix()) + 0.5}), nil),
		"untagged-time":     craft(protected(signing, signedAt.Unix()), nil),
		"text-time":         craft(protected(signing, cbor.Tag{Number: 0, Content: signedAt.Format(time.RFC3339)}), nil),
		"scheme-not-marked": craft(protected(cose.HeaderLabelCritical, []any{signing}), nil),
		"expiry-not-marked": craft(protected(expiry, stamp(signedAt.AddDate(50, 0, 0))), nil),
		"expiry-first":      craft(protected(expiry, stamp(signedAt.Add(-time.Hour)), cose.HeaderLabelCritical, []any{scheme, expiry}), nil),
		"unknown-scheme":    craft(protected(scheme, "notary.x510"), nil),
		"number-type":       craft(protected(cose.HeaderLabelContentType, 5), nil),
		"no-chain":          craft(nil, func(message *cose.Sign1Message) { delete(message.Headers.Unprotected, cose.HeaderLabelX5Chain) }),
		"chain-of-one":      craft(nil, chain(s.leaf.Raw)),
		"chain-reversed":    craft(nil, chain([]any{s.root.Raw, s.leaf.Raw})),
		"chain-of-another":  craft(nil, chain([]any{stranger.leaf.Raw, stranger.root.Raw})),
		"root-of-another":   craft(nil, chain([]any{s.leaf.Raw, stranger.root.Raw})),
		"payload-changed":   craft(nil, func(message *cose.Sign1Message) { message.Payload[0] = ' ' }),
		"no-payload":        craft(func(message *cose.Sign1Message) { message.Payload = []byte{} }, nil),
		"untagged":          good[1:],
		"trailing":          append(good[:len(good):len(good)], 0),
		"truncated":         good[:len(good)-1],
	}
	for name, envelope := range made {
		signed[name] = envelope
	}
}
