// Command signer makes signatures for the tests, with the libraries and commands of those whose signatures people verify.
//
// Without arguments it makes the fixtures of ferro-verify and has the libraries of sigstore and notation judge them, so that they are what those
// accept and refuse, and prints them as JSON. With FERRO_SIGNER naming the built program, the tests run on fresh signatures. Those that they run
// on without it are in crates/ferro-verify/tests/data/signatures.json: print new ones there when a kind of signature is added.
//
// Its commands sign artifacts in registries as cosign and notation do, and run what that takes.
package main

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use: "signer", Short: "Makes signatures for the tests", Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(*cobra.Command, []string) error {
			made, err := fixtures()
			if err != nil {
				return err
			}
			encoder := json.NewEncoder(os.Stdout)
			encoder.SetIndent("", " ")
			return encoder.Encode(made)
		},
	}
	root.AddCommand(cosign2(), cosign3(), notationCommands(), services(), token(), push(), move(), postpone())
	if root.Execute() != nil {
		os.Exit(1)
	}
}
