package main

import (
	"crypto/x509"
	"os"
	"path/filepath"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/registry/remote"
)

// notationCommands sign as notation does.
func notationCommands() *cobra.Command {
	group := &cobra.Command{Use: "notation", Short: "Signs as notation"}
	group.AddCommand(notationCertificates(), notationSign())
	return group
}

func notationCertificates() *cobra.Command {
	return &cobra.Command{
		Use: "certificates DIRECTORY", Short: "Makes root.crt, and chain.crt with signer.key, which it vouches for", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key := newKey()
			made := newSignatory(key, 99, nil)
			private, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				return err
			}
			root := armored("CERTIFICATE", made.root.Raw)
			for name, content := range map[string]string{
				"root.crt": root, "chain.crt": armored("CERTIFICATE", made.leaf.Raw) + root, "signer.key": armored("PRIVATE KEY", private),
			} {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(content), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func notationSign() *cobra.Command {
	format := "jws"
	command := &cobra.Command{
		Use: "sign DIRECTORY ARTIFACT", Short: "Signs with the key of a directory and pushes the signature", Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			by, err := signer.NewFromFiles(filepath.Join(args[0], "signer.key"), filepath.Join(args[0], "chain.crt"))
			if err != nil {
				return err
			}
			repository, err := remote.NewRepository(args[1])
			if err != nil {
				return err
			}
			repository.PlainHTTP = true
			options := notation.SignOptions{ArtifactReference: args[1]}
			options.SignatureMediaType = map[string]string{"jws": jws.MediaTypeEnvelope, "cose": cose.MediaTypeEnvelope}[format]
			_, err = notation.Sign(command.Context(), by, registry.NewRepository(repository), options)
			return err
		},
	}
	command.Flags().StringVar(&format, "signature-format", format, "jws or cose")
	return command
}
