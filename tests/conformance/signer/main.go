// Command signer makes signatures for the tests of ferro-verify and checks each with sigstore's own library, so that the fixtures are what
// that library accepts and refuses. It prints them as JSON; CONTRIBUTING.md says when to run it.
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
