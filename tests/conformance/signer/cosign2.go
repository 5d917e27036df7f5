package main

import (
	"os"
	"time"

	"github.com/sigstore/cosign/v2/cmd/cosign/cli/options"
	cli "github.com/sigstore/cosign/v2/cmd/cosign/cli/sign"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/spf13/cobra"
)

// cosign2 has those of cosign's commands that make signatures, with cosign's flags. They are put together here, because cosign's own
// package of all commands takes in the libraries of every cloud, which compile for minutes.
func cosign2() *cobra.Command {
	group := &cobra.Command{Use: "cosign2", Short: "Signs as cosign 2"}
	group.AddCommand(generate(func() ([]byte, []byte, error) {
		keys, err := cosign.GenerateKeyPair(password)
		if err != nil {
			return nil, nil, err
		}
		return keys.PrivateBytes, keys.PublicBytes, nil
	}), sign2())
	return group
}

func sign2() *cobra.Command {
	o := &options.SignOptions{}
	command := &cobra.Command{Use: "sign IMAGE", Args: cobra.MinimumNArgs(1), RunE: func(_ *cobra.Command, images []string) error {
		keys := options.KeyOpts{
			KeyRef: o.Key, PassFunc: password, SkipConfirmation: o.SkipConfirmation,
			FulcioURL: o.Fulcio.URL, IDToken: o.Fulcio.IdentityToken, FulcioAuthFlow: o.Fulcio.AuthFlow, RekorURL: o.Rekor.URL,
			OIDCIssuer: o.OIDC.Issuer, OIDCClientID: o.OIDC.ClientID, OIDCDisableProviders: o.OIDC.DisableAmbientProviders,
			TSAServerURL: o.TSAServerURL,
		}
		var err error
		if o.TrustedRootPath != "" {
			if keys.TrustedMaterial, err = root.NewTrustedRootFromPath(o.TrustedRootPath); err != nil {
				return err
			}
		}
		if o.SigningConfigPath != "" {
			if keys.SigningConfig, err = root.NewSigningConfigFromPath(o.SigningConfigPath); err != nil {
				return err
			}
		}
		return cli.SignCmd(&options.RootOptions{Timeout: time.Minute}, keys, *o, images)
	}}
	o.AddFlags(command)
	return command
}

// password protects private keys, as at cosign.
func password(bool) ([]byte, error) {
	return []byte(os.Getenv("COSIGN_PASSWORD")), nil
}
