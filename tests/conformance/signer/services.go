package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/go-openapi/runtime"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2"
	"github.com/spf13/cobra"
)

// services is what a signer talks to: registries, a certificate authority, logs of both versions, a timestamp authority.
func services() *cobra.Command {
	return &cobra.Command{
		Use: "services", Short: "Runs registries and an instance of Sigstore until its input ends, and prints where they are", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			signedAt = time.Now().UTC().Truncate(time.Second)
			a := newAuthority()
			quiet := registry.Logger(log.New(io.Discard, "", 0))
			sigstore := listen(a.serve(0))
			printed := map[string]any{
				"registry": listen(registry.New(quiet, registry.WithReferrersSupport(true))),
				"plain":    listen(registry.New(quiet)),
				"sigstore": "http://" + sigstore,
				// It says that all happened an hour later, when the certificates are not valid any more.
				"late":        "http://" + listen(a.serve(time.Hour)),
				"trustedRoot": a.trustedRoot(), "signingConfig": signingConfig(sigstore, 1), "tiledSigningConfig": signingConfig(sigstore, 2),
			}
			if err := json.NewEncoder(os.Stdout).Encode(printed); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, os.Stdin)
			return err
		},
	}
}

// listen serves on a port of its own until the program ends.
func listen(handler http.Handler) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() { log.Fatal(http.Serve(listener, handler)) }()
	return listener.Addr().String()
}

// signingConfig tells cosign 3 where everything is. Logs of the second version vouch for no time, for which there is the timestamp authority.
func signingConfig(host string, logVersion int) map[string]any {
	service := func(version int, path string) []any {
		return []any{map[string]any{
			"url": "http://" + host + path, "majorApiVersion": version, "operator": "test",
			"validFor": map[string]any{"start": signedAt.AddDate(-1, 0, 0).Format(time.RFC3339)},
		}}
	}
	one := map[string]any{"selector": "ANY"}
	config := map[string]any{
		"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"caUrls":    service(1, ""), "oidcUrls": service(1, ""), "rekorTlogUrls": service(logVersion, ""), "rekorTlogConfig": one,
	}
	if logVersion == 2 {
		config["tsaUrls"], config["tsaConfig"] = service(1, "/api/v1/timestamp"), one
	}
	return config
}

// serve answers as Fulcio, Rekor and a timestamp authority do. The log is ahead of the time by late.
func (a *authority) serve(late time.Duration) http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, answer func(http.ResponseWriter, *http.Request, []byte) error) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
			if err == nil {
				err = answer(w, r, body)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		})
	}
	handle("/api/v1/signingCert", a.certify)
	handle("/api/v2/signingCert", a.certify2)
	handle("/api/v1/log/entries", func(w http.ResponseWriter, r *http.Request, body []byte) error {
		return a.record(r.Context(), w, body, time.Now().Add(late))
	})
	handle("/api/v2/log/entries", a.record2)
	handle("/api/v1/timestamp", func(w http.ResponseWriter, _ *http.Request, body []byte) error {
		request, err := timestamp.ParseRequest(body)
		if err != nil {
			return err
		}
		w.WriteHeader(http.StatusCreated)
		_, err = w.Write(a.answer(request, time.Now()))
		return err
	})
	return mux
}

// certify gives certificates in the first form, PEM.
func (a *authority) certify(w http.ResponseWriter, r *http.Request, body []byte) error {
	var request struct {
		PublicKey struct{ Content []byte }
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	leaf, err := a.certificateFor(r, request.PublicKey.Content)
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	_, err = io.WriteString(w, armored("CERTIFICATE", leaf.Raw)+armored("CERTIFICATE", a.intermediate.Raw)+armored("CERTIFICATE", a.root.Raw))
	return err
}

// certify2 gives certificates in the second form, JSON.
func (a *authority) certify2(w http.ResponseWriter, r *http.Request, body []byte) error {
	var request struct {
		PublicKeyRequest struct{ PublicKey struct{ Content string } }
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	leaf, err := a.certificateFor(r, []byte(request.PublicKeyRequest.PublicKey.Content))
	if err != nil {
		return err
	}
	chain := []string{armored("CERTIFICATE", leaf.Raw), armored("CERTIFICATE", a.intermediate.Raw), armored("CERTIFICATE", a.root.Raw)}
	return json.NewEncoder(w).Encode(map[string]any{
		"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}},
	})
}

// certificateFor believes what the token says.
func (a *authority) certificateFor(r *http.Request, key []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("no public key")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(r.Header.Get("Authorization"), ".")
	if len(parts) != 3 {
		return nil, errors.New("no token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var claims struct{ Iss, Sub string }
	if err := json.Unmarshal(text, &claims); err != nil {
		return nil, err
	}
	return a.issue(public, claims.Sub, claims.Iss, a.certificateLog), nil
}

// record takes an entry into the log of the first version.
func (a *authority) record(ctx context.Context, w http.ResponseWriter, body []byte, at time.Time) error {
	proposed, err := models.UnmarshalProposedEntry(bytes.NewReader(body), runtime.JSONConsumer())
	if err != nil {
		return err
	}
	entry, err := types.UnmarshalEntry(proposed)
	if err != nil {
		return err
	}
	canonical, err := types.CanonicalizeEntry(ctx, entry)
	if err != nil {
		return err
	}
	made := a.logged(proposed.Kind(), entry.APIVersion(), canonical, at)
	proof := made["inclusionProof"].(map[string]any)
	hashes := []string{}
	for _, hash := range proof["hashes"].([][]byte) {
		hashes = append(hashes, hex.EncodeToString(hash))
	}
	leaf := sha256.Sum256(append([]byte{0}, canonical...))
	id := hex.EncodeToString(leaf[:])
	w.Header().Set("ETag", id)
	w.Header().Set("Location", "/api/v1/log/entries/"+id)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	return json.NewEncoder(w).Encode(map[string]any{id: map[string]any{
		"body": made["canonicalizedBody"], "integratedTime": at.Unix(), "logID": hex.EncodeToString(logID(a.rekorLog)), "logIndex": 1,
		"verification": map[string]any{
			"signedEntryTimestamp": made["inclusionPromise"].(map[string]any)["signedEntryTimestamp"],
			"inclusionProof": map[string]any{
				"checkpoint": proof["checkpoint"].(map[string]any)["envelope"], "hashes": hashes, "logIndex": 1, "treeSize": 3,
				"rootHash": hex.EncodeToString(proof["rootHash"].([]byte)),
			},
		},
	}})
}

// record2 takes an entry into the log of the second version, which knows hashes alone.
func (a *authority) record2(w http.ResponseWriter, _ *http.Request, body []byte) error {
	var request struct {
		HashedRekordRequestV002 struct {
			Digest    []byte         `json:"digest"`
			Signature map[string]any `json:"signature"`
		} `json:"hashedRekordRequestV002"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	if request.HashedRekordRequestV002.Signature == nil {
		return fmt.Errorf("not an entry of this log: %s", body)
	}
	entry := a.tile(map[string]any{
		"apiVersion": "0.0.2", "kind": "hashedrekord",
		"spec": map[string]any{"hashedRekordV002": map[string]any{
			"data":      map[string]any{"algorithm": "SHA2_256", "digest": request.HashedRekordRequestV002.Digest},
			"signature": request.HashedRekordRequestV002.Signature,
		}},
	})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	return json.NewEncoder(w).Encode(entry)
}

// token is what somebody would get from a provider of identities.
func token() *cobra.Command {
	return &cobra.Command{
		Use: "token ISSUER SUBJECT", Short: "Prints an identity token, which the services believe", Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			part := func(claims map[string]any) string {
				text, err := json.Marshal(claims)
				must(err)
				return base64.RawURLEncoding.EncodeToString(text)
			}
			now := time.Now()
			signed := part(map[string]any{"alg": "RS256", "typ": "JWT"}) + "." + part(map[string]any{
				"iss": args[0], "sub": args[1], "aud": "sigstore", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			})
			_, err := fmt.Printf("%s.%s\n", signed, base64.RawURLEncoding.EncodeToString(make([]byte, 256)))
			return err
		},
	}
}
