package main

import (
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/cert"
)

// makeOptions are the flags of `cert request` and `cert self-signed`.
type makeOptions struct {
	names   []string
	keyType string
	out     string
	subject string
	days    int
	ca      string
	force   bool
}

func (o *makeOptions) flags(c *cobra.Command) {
	c.Flags().StringSliceVar(&o.names, "names", nil, "host names, *.NAME and addresses, with commas between them")
	c.Flags().StringVar(&o.keyType, "key-type", "ecdsa", "key: "+strings.Join(cert.KeyTypes, ", "))
	c.Flags().StringVarP(&o.out, "out", "o", ".", "directory to write into")
	_ = c.MarkFlagRequired("names")
}

// base is what the files are called: the first name; a wildcard's star becomes an underscore.
func (o *makeOptions) base() (string, error) {
	if len(o.names) == 0 || strings.ContainsAny(o.names[0], "/\x00") || strings.HasPrefix(o.names[0], ".") {
		return "", fmt.Errorf("--names %s: a name is missing, or it cannot name a file", strings.Join(o.names, ","))
	}
	return filepath.Join(o.out, strings.NewReplacer("*", "_", ":", "_").Replace(o.names[0])), nil
}

func (k *certCommands) request() *cobra.Command {
	var o makeOptions
	c := &cobra.Command{
		Use: "request", Short: "Make a key and a signing request, for an authority that one buys from", Args: cobra.NoArgs,
		Long: "Make a private key NAME.key (mode 0600, never replacing one) and a signing request NAME.csr, NAME being the first of --names. Send the request to the authority;\n" +
			"what it sends back, `gatehouse cert install` puts together with the key.",
		Example: `  gatehouse cert request --names example.com,www.example.com --out /etc/haproxy/requests
  gatehouse cert request --names '*.example.com' --key-type rsa --subject /C=NL/O=Example
  gatehouse cert install --to /etc/haproxy/certs/example.pem example.com.crt bundle.crt   # when the answer is there`,
		RunE: func(c *cobra.Command, _ []string) error {
			base, err := o.base()
			if err != nil {
				return err
			}
			subject, err := subjectOf(o.subject)
			if err != nil {
				return err
			}
			key, err := cert.NewKey(o.keyType)
			if err != nil {
				return err
			}
			csr, err := cert.NewRequest(cert.Shape{Names: o.names, Subject: subject}, key)
			if err != nil {
				return err
			}
			text, err := cert.EncodeKey(key)
			if err == nil {
				err = app.WriteNew(base+".key", text, 0o600, false)
			}
			if err != nil {
				return err
			}
			if err := app.WriteNew(base+".csr", csr, 0o644, true); err != nil {
				return err
			}
			return k.print(c.OutOrStdout(), answer{fmt.Sprintf("%s.key  keep it; nobody else needs it\n%s.csr  send it to the authority, then: gatehouse cert install FILES...\n", base, base),
				map[string]string{"key": base + ".key", "request": base + ".csr"}})
		},
	}
	o.flags(c)
	c.Flags().StringVar(&o.subject, "subject", "", "further parts of the subject, such as /C=NL/O=Example")
	return c
}

// subjectOf reads /C=../O=... as openssl's -subj.
func subjectOf(text string) (pkix.Name, error) {
	var n pkix.Name
	for _, part := range strings.Split(strings.TrimPrefix(text, "/"), "/") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		field, ok := map[string]*[]string{"C": &n.Country, "O": &n.Organization, "OU": &n.OrganizationalUnit, "L": &n.Locality, "ST": &n.Province, "STREET": &n.StreetAddress, "postalCode": &n.PostalCode}[name]
		switch {
		case value == "":
			return n, fmt.Errorf("--subject: %q has no value", part)
		case name == "CN":
			n.CommonName = value
		case !ok:
			return n, fmt.Errorf("--subject: %q is none of C, ST, L, STREET, postalCode, O, OU, CN", name)
		default:
			*field = append(*field, value)
		}
	}
	return n, nil
}

func (k *certCommands) selfSigned() *cobra.Command {
	o := makeOptions{days: 90}
	c := &cobra.Command{
		Use: "self-signed", Short: "Make a self-signed certificate, or with --ca one of a local authority, to try things with", Args: cobra.NoArgs,
		Long: "Make NAME.pem with a key and a certificate in it, ready for a bind line's `crt`. With --ca DIR it is signed by the authority kept in DIR (ca.pem, ca.key), which is\n" +
			"made at the first call: clients that trust ca.pem trust all that come from it.",
		Example: `  gatehouse cert self-signed --names localhost,127.0.0.1
  gatehouse cert self-signed --names a.test --ca ./ca --out certs
  curl --cacert ca/ca.pem https://a.test/`,
		RunE: func(c *cobra.Command, _ []string) error {
			base, err := o.base()
			if err != nil {
				return err
			}
			if _, err := os.Stat(base + ".pem"); err == nil && !o.force {
				return fmt.Errorf("%s.pem exists already: choose another --out, or replace it with --force", base)
			}
			made, b, err := o.make(k.now())
			if err != nil {
				return err
			}
			if err := app.WriteNew(base+".pem", b.FilePEM(true), 0o600, o.force); err != nil {
				return err
			}
			return k.print(c.OutOrStdout(), answer{made + fmt.Sprintf("%s.pem  good until %s\n", base, b.NotAfter.UTC().Format(time.RFC3339)),
				map[string]string{"certificate": base + ".pem", "notAfter": b.NotAfter.UTC().Format(time.RFC3339)}})
		},
	}
	o.flags(c)
	c.Flags().IntVar(&o.days, "days", o.days, "days that it is good for")
	c.Flags().StringVar(&o.ca, "ca", "", "directory of the local authority that signs it; made when it is not there")
	c.Flags().BoolVar(&o.force, "force", false, "replace a certificate that exists")
	return c
}

// localCADays is how long a local authority is good for.
const localCADays = 3650

// make makes the certificate; text tells of an authority that was made for it.
func (o *makeOptions) make(now time.Time) (text string, b *cert.Bundle, err error) {
	if o.days < 1 || o.days > localCADays {
		return "", nil, fmt.Errorf("--days %d is not between 1 and %d", o.days, localCADays)
	}
	from := now.Add(-time.Hour) // clocks differ
	key, err := cert.NewKey(o.keyType)
	if err != nil {
		return "", nil, err
	}
	var ca *cert.Bundle
	if o.ca != "" {
		hostname, _ := os.Hostname()
		shape := cert.Shape{Subject: pkix.Name{Organization: []string{"gatehouse"}, CommonName: "Local CA of " + hostname}, NotBefore: from, NotAfter: from.AddDate(0, 0, localCADays), CA: true}
		var made bool
		if ca, made, err = app.LocalCA(o.ca, shape); err != nil {
			return "", nil, err
		}
		if !now.Before(ca.NotAfter) {
			return "", nil, errors.New("the local authority in " + o.ca + " has expired: remove ca.pem and ca.key to make a new one")
		}
		if made {
			text = fmt.Sprintf("%s  a new authority: let clients trust it\n", filepath.Join(o.ca, "ca.pem"))
		}
	}
	b, err = cert.Make(cert.Shape{Names: o.names, NotBefore: from, NotAfter: now.AddDate(0, 0, o.days)}, key, ca)
	return text, b, err
}
