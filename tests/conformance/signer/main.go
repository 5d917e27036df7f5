// Command signer makes signatures for the tests of ferro-verify and asks sigstore's own library about each bundle, so that the fixtures are
// what that library accepts and refuses. It prints them as JSON.
//
// With FERRO_SIGNER naming the built program, the tests run on fresh signatures. Those that they run on without it are in
// crates/ferro-verify/tests/data/cosign.json: print new ones there when a kind of signature is added.
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
