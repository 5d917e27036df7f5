package main

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"golang.org/x/crypto/ocsp"
)

// asked is a change that names responders.
func asked(addresses ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.OCSPServer = addresses }
}

// listed is a change that names lists.
func listed(addresses ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.CRLDistributionPoints = addresses }
}

// byAuthority has the time of signing vouched for.
func byAuthority(request *signature.SignRequest) {
	request.SigningScheme = signature.SigningSchemeX509SigningAuthority
}

// online makes the cases of responders.
func (c *revocationCases) online() {
	with := func(name string, change func(*ocsp.Response)) {
		host := c.host("ocsp")
		by := issue(anyAuthority, asked("http://"+host))
		c.hosts[host] = by.online(0, nil, change)
		c.judge("online "+name, by, by.sign(nil))
	}
	revoked := func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, signedAt.AddDate(0, -1, 0) }
	with("good", nil)
	with("revoked", revoked)
	with("unknown", func(r *ocsp.Response) { r.Status = ocsp.Unknown })
	with("old", func(r *ocsp.Response) { r.NextUpdate = signedAt.Add(time.Hour) })
	with("without an end", func(r *ocsp.Response) { r.NextUpdate = time.Time{} })
	with("from the future", func(r *ocsp.Response) { r.ThisUpdate = signedAt.AddDate(40, 0, 0) })
	with("about another", func(r *ocsp.Response) { r.SerialNumber = big.NewInt(99) })
	with("sha256", func(r *ocsp.Response) { r.IssuerHash = crypto.SHA256 })
	with("sha512", func(r *ocsp.Response) { r.IssuerHash = crypto.SHA512 })
	with("critical", func(r *ocsp.Response) {
		r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	})
	with("extended", func(r *ocsp.Response) {
		r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
	})
	with("revoked later", func(r *ocsp.Response) {
		revoked(r)
		r.ExtraExtensions = []pkix.Extension{invalidSince(signedAt.AddDate(0, 1, 0))}
	})
	for name, at := range map[string]time.Time{"later": signedAt.Add(time.Hour), "before": signedAt.Add(-time.Hour), "then": signedAt} {
		host := c.host("ocsp")
		by := issue(anyAuthority, asked("http://"+host))
		c.hosts[host] = by.online(0, nil, func(r *ocsp.Response) {
			revoked(r)
			r.ExtraExtensions = []pkix.Extension{invalidSince(at)}
		})
		c.judge("online authority, invalid "+name, by, by.sign(byAuthority))
	}
	c.delegates()
	c.answers()
}

// delegates makes the cases of those that answer for an issuer.
func (c *revocationCases) delegates() {
	with := func(name string, change func(*x509.Certificate)) {
		host := c.host("ocsp")
		by := issue(anyAuthority, asked("http://"+host))
		delegate, key := by.delegate(0, change)
		c.hosts[host] = by.online(0, key, func(r *ocsp.Response) { r.Certificate = delegate })
		c.judge("online delegate "+name, by, by.sign(nil))
	}
	with("good", nil)
	with("unchecked", func(d *x509.Certificate) {
		d.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}
	})
	with("for something else", func(d *x509.Certificate) { d.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })
	with("too old", func(d *x509.Certificate) { d.NotAfter = signedAt.Add(time.Hour) })
	host := c.host("ocsp")
	by, stranger := issue(anyAuthority, asked("http://"+host)), issue(anyAuthority, nil)
	delegate, key := stranger.delegate(0, nil)
	c.hosts[host] = by.online(0, key, func(r *ocsp.Response) { r.Certificate = delegate })
	c.judge("online delegate of a stranger", by, by.sign(nil))
	host = c.host("ocsp")
	by = issue(anyAuthority, asked("http://"+host))
	c.hosts[host] = by.online(0, stranger.keys[1], nil)
	c.judge("online by a stranger", by, by.sign(nil))
	host = c.host("ocsp")
	by = issue(anyAuthority, asked("http://"+host))
	c.hosts[host] = by.online(0, nil, func(r *ocsp.Response) { r.Certificate = by.chain[1] })
	c.judge("online by the root with its certificate", by, by.sign(nil))
	// Who signs vouches for itself.
	host = c.host("ocsp")
	by = issue(anyAuthority, asked("http://"+host))
	c.hosts[host] = by.online(0, by.keys[0], func(r *ocsp.Response) { r.Certificate = by.chain[0] })
	c.judge("online by the signer", by, by.sign(nil))
}

// answers makes the cases of servers that answer something else, or not at all.
func (c *revocationCases) answers() {
	good := func(by issued) served { return by.online(0, nil, nil) }
	of := func(status int, change func([]byte) []byte) func(issued) served {
		return func(by issued) served { return served{Status: status, Body: change(good(by).Body)} }
	}
	same := func(body []byte) []byte { return body }
	changed := func(body []byte) []byte { body[len(body)-1] ^= 1; return body }
	for name, answer := range map[string]func(issued) served{
		"later":       func(issued) served { return served{Status: 200, Body: ocsp.TryLaterErrorResponse} },
		"nothing":     func(issued) served { return served{Status: 200} },
		"garbage":     func(issued) served { return served{Status: 200, Body: []byte("<html>")} },
		"an error":    of(500, same),
		"created":     of(201, same),
		"changed":     of(200, changed),
		"cut short":   of(200, func(body []byte) []byte { return body[:len(body)-1] }),
		"with a tail": of(200, func(body []byte) []byte { return append(body, 0) }),
		"endless":     of(200, func([]byte) []byte { return make([]byte, 30_000) }),
	} {
		host := c.host("ocsp")
		by := issue(anyAuthority, asked("http://"+host))
		c.hosts[host] = answer(by)
		c.judge("online answer "+name, by, by.sign(nil))
	}
	for name, addresses := range map[string][]string{
		"nobody": {"http://nobody.example.com"}, "https": {"https://$1"}, "capitals": {"HTTP://$1/"}, "ldap": {"ldap://$1"},
		"nobody, good": {"http://nobody.example.com", "http://$1"}, "unknown, good": {"http://$2", "http://$1"},
		"good, nobody": {"http://$1", "http://nobody.example.com"}, "path": {"http://$1/a/b/"},
		"moved": {"http://$3"},
	} {
		first, second, third := c.host("ocsp"), c.host("ocsp"), c.host("ocsp")
		by := issue(anyAuthority, asked(filled(addresses, first, second, third)...))
		c.hosts[first] = good(by)
		c.hosts[second] = by.online(0, nil, func(r *ocsp.Response) { r.Status = ocsp.Unknown })
		c.hosts[third] = served{Status: 302, Location: "http://" + first + "/moved"}
		c.judge("online asks "+name, by, by.sign(nil))
	}
}

// lists makes the cases of lists.
func (c *revocationCases) lists() {
	with := func(name string, usage x509.KeyUsage, change func(*x509.RevocationList)) {
		host := c.host("crl")
		by := issue(usage, listed("http://"+host+"/crl"))
		c.hosts[host] = by.list(0, nil, change)
		c.judge("list "+name, by, by.sign(nil))
	}
	entries := func(entries ...x509.RevocationListEntry) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.RevokedCertificateEntries = entries }
	}
	early := signedAt.AddDate(0, -1, 0)
	other := x509.RevocationListEntry{SerialNumber: big.NewInt(3), RevocationTime: early}
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
	known := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}
	with("empty", anyAuthority, nil)
	with("of others", anyAuthority, entries(other))
	with("revoked", anyAuthority, entries(other, revokedEntry(0, early)))
	with("compromised", anyAuthority, entries(revokedEntry(1, early), other))
	with("held", anyAuthority, entries(revokedEntry(6, early)))
	with("removed", anyAuthority, entries(revokedEntry(8, early)))
	with("held, removed", anyAuthority, entries(revokedEntry(6, early), revokedEntry(8, signedAt)))
	with("removed, held", anyAuthority, entries(revokedEntry(8, early), revokedEntry(6, signedAt)))
	with("held, removed at once", anyAuthority, entries(revokedEntry(6, early), revokedEntry(8, early)))
	with("held, revoked", anyAuthority, entries(revokedEntry(6, early), revokedEntry(4, early)))
	with("invalid later", anyAuthority, entries(revokedEntry(1, early, invalidSince(signedAt.Add(time.Hour)))))
	with("entry critical", anyAuthority, entries(revokedEntry(1, early, unknown)))
	with("entry extended", anyAuthority, entries(revokedEntry(1, early, known)))
	with("critical entry of another", anyAuthority, entries(x509.RevocationListEntry{
		SerialNumber: big.NewInt(3), RevocationTime: early, ExtraExtensions: []pkix.Extension{unknown},
	}))
	with("critical", anyAuthority, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{unknown} })
	with("extended", anyAuthority, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{known} })
	with("with a scope", anyAuthority, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: oidScope, Critical: true, Value: []byte{0x30, 3, 0x81, 1, 0xff}}}
	})
	with("of changes alone", anyAuthority, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{extension(oidDeltaIndicator, true, 5, "")}
	})
	with("old", anyAuthority, func(l *x509.RevocationList) { l.NextUpdate = signedAt.Add(time.Hour) })
	with("from the future", anyAuthority, func(l *x509.RevocationList) { l.ThisUpdate = signedAt.AddDate(40, 0, 0) })
	with("of one that may not", x509.KeyUsageCertSign, nil)
	for name, at := range map[string]time.Time{"later": signedAt.Add(time.Hour), "before": signedAt.Add(-time.Hour)} {
		host := c.host("crl")
		by := issue(anyAuthority, listed("http://"+host))
		c.hosts[host] = by.list(0, nil, entries(revokedEntry(1, early, invalidSince(at))))
		c.judge("list authority, invalid "+name, by, by.sign(byAuthority))
	}
	stranger := issue(anyAuthority, nil)
	for name, answer := range map[string]func(issued) served{
		"by a stranger":  func(by issued) served { return by.list(0, stranger.keys[1], nil) },
		"without an end": func(by issued) served { return by.crudeList(1, time.Time{}) },
		"crude":          func(by issued) served { return by.crudeList(1, signedAt.AddDate(50, 0, 0)) },
		"version 1":      func(by issued) served { return by.crudeList(0, signedAt.AddDate(50, 0, 0)) },
		"missing":        func(by issued) served { return served{Status: 404, Body: by.list(0, nil, nil).Body} },
		"created":        func(by issued) served { return served{Status: 201, Body: by.list(0, nil, nil).Body} },
		"garbage":        func(issued) served { return served{Status: 200, Body: []byte("-----BEGIN X509 CRL-----")} },
	} {
		host := c.host("crl")
		by := issue(anyAuthority, listed("http://"+host))
		c.hosts[host] = answer(by)
		c.judge("list "+name, by, by.sign(nil))
	}
	c.listAddresses(entries(revokedEntry(1, early)))
}

// listAddresses makes the cases of several lists, and of lists beside responders.
func (c *revocationCases) listAddresses(revoked func(*x509.RevocationList)) {
	for name, addresses := range map[string][]string{
		"nobody": {"http://nobody.example.com"}, "https": {"https://$1"}, "capitals": {"HTTP://$1"}, "ldap": {"ldap://$1"},
		"empty, revoked": {"http://$1", "http://$2"}, "revoked, nobody": {"http://$2", "http://nobody.example.com"},
		"nobody, revoked": {"http://nobody.example.com", "http://$2"}, "empty, nobody": {"http://$1", "http://nobody.example.com"},
		"empty, empty": {"http://$1", "http://$1/again"}, "moved": {"http://$3"}, "empty, ldap": {"http://$1", "ldap://$1"},
	} {
		first, second, third := c.host("crl"), c.host("crl"), c.host("crl")
		by := issue(anyAuthority, listed(filled(addresses, first, second, third)...))
		c.hosts[first], c.hosts[second] = by.list(0, nil, nil), by.list(0, nil, revoked)
		c.hosts[third] = served{Status: 301, Location: "http://" + first + "/moved"}
		c.judge("lists "+name, by, by.sign(nil))
	}
	responders := map[string]func(*ocsp.Response){
		"good": nil, "revoked": func(r *ocsp.Response) { r.Status = ocsp.Revoked }, "unknown": func(r *ocsp.Response) { r.Status = ocsp.Unknown },
		"old": func(r *ocsp.Response) { r.NextUpdate = signedAt.Add(time.Hour) },
	}
	for online, response := range responders {
		for offline, list := range map[string]func(*x509.RevocationList){"empty": nil, "revoked": revoked} {
			responder, host := c.host("ocsp"), c.host("crl")
			by := issue(anyAuthority, func(t *x509.Certificate) {
				t.OCSPServer, t.CRLDistributionPoints = []string{"http://" + responder}, []string{"http://" + host}
			})
			c.hosts[responder], c.hosts[host] = by.online(0, nil, response), by.list(0, nil, list)
			c.judge("both "+online+", "+offline, by, by.sign(nil))
		}
	}
	host := c.host("crl")
	by := issue(anyAuthority, func(t *x509.Certificate) {
		t.OCSPServer, t.CRLDistributionPoints = []string{"http://nobody.example.com"}, []string{"http://" + host}
	})
	c.hosts[host] = by.list(0, nil, nil)
	c.judge("both nobody, empty", by, by.sign(nil))
}

// filled puts hosts in their places.
func filled(addresses []string, hosts ...string) []string {
	made := []string{}
	for _, address := range addresses {
		for at, host := range hosts {
			place := "$" + string(rune('1'+at))
			for i := 0; i+2 <= len(address); i++ {
				if address[i:i+2] == place {
					address = address[:i] + host + address[i+2:]
				}
			}
		}
		made = append(made, address)
	}
	return made
}

// changes makes the cases of lists of what has changed since another list.
func (c *revocationCases) changes() {
	early := signedAt.AddDate(0, -1, 0)
	indicator := func(number int) pkix.Extension { return extension(oidDeltaIndicator, true, number, "") }
	with := func(name string, base []x509.RevocationListEntry, answer func(issued) served, change func(*x509.Certificate)) {
		host, delta := c.host("crl"), c.host("delta")
		by := issue(anyAuthority, func(t *x509.Certificate) {
			t.CRLDistributionPoints = []string{"http://" + host}
			if change != nil {
				change(t)
			}
		})
		c.hosts[host] = by.list(0, nil, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = base
			l.ExtraExtensions = []pkix.Extension{freshest("http://nobody.example.com", "http://"+delta)}
		})
		if answer != nil {
			c.hosts[delta] = answer(by)
		}
		c.judge("changes "+name, by, by.sign(nil))
	}
	delta := func(number int64, since int, entries ...x509.RevocationListEntry) func(issued) served {
		return func(by issued) served {
			return by.list(0, nil, func(l *x509.RevocationList) {
				l.Number, l.RevokedCertificateEntries = big.NewInt(number), entries
				l.ExtraExtensions = []pkix.Extension{indicator(since)}
			})
		}
	}
	held := []x509.RevocationListEntry{revokedEntry(6, early)}
	with("none", nil, delta(6, 5), nil)
	with("revoked", nil, delta(6, 5, revokedEntry(1, signedAt)), nil)
	with("removed", held, delta(6, 5, revokedEntry(8, signedAt)), nil)
	with("removed before", held, delta(6, 5, revokedEntry(8, early.AddDate(0, -1, 0))), nil)
	with("held", nil, delta(6, 5, revokedEntry(6, signedAt)), nil)
	with("since long", nil, delta(6, 3), nil)
	with("since later", nil, delta(7, 6), nil)
	with("as old", nil, delta(5, 5), nil)
	with("older", nil, delta(4, 3), nil)
	with("much newer", nil, delta(1000, 5), nil)
	with("nowhere", nil, nil, nil)
	with("not of changes", nil, func(by issued) served {
		return by.list(0, nil, func(l *x509.RevocationList) { l.Number = big.NewInt(6) })
	}, nil)
	with("by a stranger", nil, func(by issued) served {
		return by.list(0, newKey(), func(l *x509.RevocationList) {
			l.Number, l.ExtraExtensions = big.NewInt(6), []pkix.Extension{indicator(5)}
		})
	}, nil)
	with("old", nil, func(by issued) served {
		return by.list(0, nil, func(l *x509.RevocationList) {
			l.Number, l.NextUpdate, l.ExtraExtensions = big.NewInt(6), signedAt.Add(time.Hour), []pkix.Extension{indicator(5)}
		})
	}, nil)
	named := func(t *x509.Certificate) { t.ExtraExtensions = []pkix.Extension{freshest("http://nobody.example.com")} }
	with("named by the certificate, too", nil, delta(6, 5), named)
	host := c.host("crl")
	by := issue(anyAuthority, func(t *x509.Certificate) {
		t.CRLDistributionPoints = []string{"http://" + host}
		named(t)
	})
	c.hosts[host] = by.list(0, nil, nil)
	c.judge("changes named by the certificate only", by, by.sign(nil))
}

// chains makes the cases of authorities between the signer and the root.
func (c *revocationCases) chains() {
	type status = func(*ocsp.Response)
	revoked := func(r *ocsp.Response) { r.Status = ocsp.Revoked }
	unknown := func(r *ocsp.Response) { r.Status = ocsp.Unknown }
	for name, statuses := range map[string][2]status{
		"good, good": {nil, nil}, "good, revoked": {nil, revoked}, "revoked, good": {revoked, nil}, "good, unknown": {nil, unknown},
		"unknown, revoked": {unknown, revoked}, "revoked, unknown": {revoked, unknown},
	} {
		signer, authority := c.host("ocsp"), c.host("ocsp")
		by := issue(anyAuthority, asked("http://"+signer), asked("http://"+authority))
		c.hosts[signer], c.hosts[authority] = by.online(0, nil, statuses[0]), by.online(1, nil, statuses[1])
		c.judge("chain "+name, by, by.sign(nil))
	}
	host := c.host("crl")
	by := issue(anyAuthority, nil, listed("http://"+host))
	c.hosts[host] = by.list(1, nil, nil)
	c.judge("chain unnamed, empty", by, by.sign(nil))
	// Who is on a list is told by its number alone, which here is that of another.
	host = c.host("crl")
	by = issue(anyAuthority, nil, listed("http://"+host))
	c.hosts[host] = by.list(1, nil, func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{revokedEntry(1, signedAt)}
	})
	c.judge("chain unnamed, of others", by, by.sign(nil))
	by = issue(anyAuthority, nil, nil)
	c.judge("chain that names nobody", by, by.sign(nil))
}

// clocks makes the cases of timestamps whose authorities may be revoked.
func (c *revocationCases) clocks() {
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	must(err)
	for name, change := range map[string]func(*ocsp.Response){
		"good": nil, "revoked": func(r *ocsp.Response) { r.Status = ocsp.Revoked }, "unknown": func(r *ocsp.Response) { r.Status = ocsp.Unknown },
	} {
		host := c.host("ocsp")
		clock := issue(anyAuthority, func(t *x509.Certificate) {
			t.Subject, t.ExtKeyUsage, t.OCSPServer = pkix.Name{CommonName: "clock"}, nil, []string{"http://" + host}
			t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
		})
		c.hosts[host] = clock.online(0, nil, change)
		a := &authority{clock: clock.chain[0], clockKey: clock.keys[0]}
		by := issue(anyAuthority, nil)
		envelope := stampedEnvelope(jws.MediaTypeEnvelope, by.sign(nil), func(made []byte) []byte { return a.token(made, signedAt.Add(time.Hour)) })
		c.judge("clock "+name, by, envelope, clock.chain[1])
	}
}
