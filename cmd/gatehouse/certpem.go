package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/cert"
)

// exportOptions are the flags of `cert pem`.
type exportOptions struct {
	key, force bool
	out        string
}

func (k *certCommands) pem() *cobra.Command {
	var o exportOptions
	c := &cobra.Command{
		Use: "pem NAME", Short: "Export a certificate with its chain as PEM; with --key its private key too", Args: cobra.ExactArgs(1),
		Long: "Export leaf and chain as PEM. The private key is only exported with --key; then a file is made with mode 0600, and a terminal is refused without --force.\n" +
			"A running process gives PEM out on a socket of level admin.",
		Example: `  gatehouse cert pem /etc/haproxy/certs/site.pem | openssl x509 -noout -text
  gatehouse cert pem /etc/haproxy/certs/site.pem --key --out backup.pem
  gatehouse cert pem --disk -f /etc/haproxy/haproxy.cfg @web/site`,
		RunE: func(c *cobra.Command, args []string) error {
			b, err := k.bundle(c, args[0])
			if err != nil {
				return err
			}
			return o.write(c.OutOrStdout(), b)
		},
	}
	c.Flags().BoolVar(&o.key, "key", false, "export the private key as well")
	c.Flags().StringVarP(&o.out, "out", "o", "", "write into this file, durably")
	c.Flags().BoolVar(&o.force, "force", false, "print a key to a terminal, replace a file that exists")
	return c
}

// bundle gets a certificate with its key.
func (k *certCommands) bundle(c *cobra.Command, name string) (*cert.Bundle, error) {
	if k.disk {
		held, err := k.onDisk(c.Context(), name)
		if err == nil && held.Bundle == nil {
			err = held.Err
		}
		return held.Bundle, err
	}
	client, err := k.running(c)
	if err != nil {
		return nil, err
	}
	text, err := client.Do(c.Context(), "dump", "ssl", "cert", name)
	if err != nil {
		return nil, k.unknown(err, name)
	}
	if text == "" {
		return nil, fmt.Errorf("%s is empty: nothing was committed yet", name)
	}
	return cert.Parse(name, []byte(text))
}

func (o exportOptions) write(w io.Writer, b *cert.Bundle) error {
	data, perm := b.CertPEM(), os.FileMode(0o644)
	if o.key {
		if !b.HasKey() {
			return errors.New("there is no private key to export; leave --key out")
		}
		data, perm = b.PEM(), 0o600
	}
	switch {
	case o.out != "":
		return app.WriteNew(o.out, data, perm, o.force)
	case o.key && !o.force && isTerminal(w):
		return errors.New("this is a terminal, which keeps what it shows: write the key into a file (--out FILE), or insist (--force)")
	}
	_, err := w.Write(data)
	return err
}

// isTerminal tells whether w is a terminal, or any other character device but the null device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
