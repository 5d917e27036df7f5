package main

import (
	"os"
	"time"

	"github.com/sigstore/cosign/v3/cmd/cosign/cli/options"
	cli "github.com/sigstore/cosign/v3/cmd/cosign/cli/sign"
	"github.com/sigstore/cosign/v3/cmd/cosign/cli/signcommon"
	"github.com/sigstore/cosign/v3/pkg/cosign"
	"github.com/spf13/cobra"
)

// cosign3 is as cosign2, with the commands of the next version.
func cosign3() *cobra.Command {
	group := &cobra.Command{Use: "cosign3", Short: "Signs as cosign 3"}
	group.AddCommand(generate(func() ([]byte, []byte, error) {
		keys, err := cosign.GenerateKeyPair(password)
		if err != nil {
			return nil, nil, err
		}
		return keys.PrivateBytes, keys.PublicBytes, nil
	}), sign3())
	return group
}

func sign3() *cobra.Command {
	o := &options.SignOptions{}
	command := &cobra.Command{Use: "sign IMAGE", Args: cobra.MinimumNArgs(1), RunE: func(command *cobra.Command, images []string) error {
		keys := options.KeyOpts{
			KeyRef: o.Key, PassFunc: password, SkipConfirmation: o.SkipConfirmation,
			FulcioURL: o.Fulcio.URL, IDToken: o.Fulcio.IdentityToken, FulcioAuthFlow: o.Fulcio.AuthFlow, RekorURL: o.Rekor.URL,
			OIDCIssuer: o.OIDC.Issuer, OIDCClientID: o.OIDC.ClientID, OIDCDisableProviders: o.OIDC.DisableAmbientProviders,
			TSAServerURL: o.TSAServerURL, NewBundleFormat: o.NewBundleFormat,
		}
		err := signcommon.LoadTrustedMaterialAndSigningConfig(command.Context(), &keys, o.UseSigningConfig, o.SigningConfigPath,
			o.Rekor.URL, o.Fulcio.URL, o.OIDC.Issuer, o.TSAServerURL, o.TrustedRootPath, o.TlogUpload,
			o.NewBundleFormat, "", o.Key, o.IssueCertificate, o.Output, "", o.OutputCertificate, o.OutputPayload, o.OutputSignature, "")
		if err != nil {
			return err
		}
		return cli.SignCmd(command.Context(), &options.RootOptions{Timeout: time.Minute}, keys, *o, images)
	}}
	o.AddFlags(command)
	return command
}

// generate is cosign's command that makes a key pair in files, cosign.key and cosign.pub unless told otherwise.
func generate(pair func() ([]byte, []byte, error)) *cobra.Command {
	prefix := "cosign"
	command := &cobra.Command{Use: "generate-key-pair", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		private, public, err := pair()
		if err != nil {
			return err
		}
		if err := os.WriteFile(prefix+".key", private, 0o600); err != nil {
			return err
		}
		return os.WriteFile(prefix+".pub", public, 0o644)
	}}
	command.Flags().StringVar(&prefix, "output-key-prefix", prefix, "what the names of the files begin with")
	return command
}
