// Command signer makes signatures for the tests of ferro-verify and has the libraries of sigstore and notation judge them, so that the fixtures are
// what those accept and refuse. It prints them as JSON.
//
// With FERRO_SIGNER naming the built program, the tests run on fresh signatures. Those that they run on without it are in
// crates/ferro-verify/tests/data/signatures.json: print new ones there when a kind of signature is added.
package main

import (
	"encoding/json"
	"log"
	"os"
)

func main() {
	fixtures, err := cosign()
	if err != nil {
		log.Fatal(err)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(fixtures); err != nil {
		log.Fatal(err)
	}
}
