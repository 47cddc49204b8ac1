package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/cert"
	"gatehouse/internal/runtimeapi"
)

// installOptions are the flags of `cert install`.
type installOptions struct {
	name, to, list string
	passphrase     string
	keys           []string
	dryRun, force  bool
}

// installed is what became of it.
type installed struct {
	Certificate *certificate `json:"certificate"`
	KeyFile     string       `json:"keyFile"`
	Notes       []string     `json:"notes"`
	Steps       []string     `json:"steps"` // done, or with --dry-run to be done
	DryRun      bool         `json:"dryRun"`
}

func (k *certCommands) install() *cobra.Command {
	var o installOptions
	c := &cobra.Command{
		Use: "install FILES...", Short: "Put a bought certificate, its key and its chain together and in place", Args: cobra.MinimumNArgs(1),
		Long: "Read what the authority sent, in any order and number of files: PEM, DER, PKCS#7 (.p7b), PKCS#12 (.p12, .pfx). The certificate is found, its chain put in order without\n" +
			"the root, and the key matched: of the files, or of the *.key files beside them, in the working directory or in --key-dir, where `cert request` left it.\n\n" +
			"With --to the result replaces one file, whole or not at all. Otherwise it is set and committed in the running process, which serves it at once and writes it\n" +
			"where its configuration reads it. --name says under which name; without it, it is the one whose certificate has the same names.",
		Example: `  gatehouse cert install --to /etc/haproxy/certs/site.pem site.crt bundle.crt site.key
  gatehouse cert install -f /etc/haproxy/haproxy.cfg site.p7b                  # renew what serves these names
  gatehouse cert install --name /etc/haproxy/certs/new.pem --crt-list /etc/haproxy/list.txt new.pfx --passphrase-file phrase
  gatehouse cert install --dry-run --to site.pem download/*`,
		RunE: func(c *cobra.Command, args []string) error {
			j, err := app.Gather(args, append([]string{"."}, o.keys...), o.secret(c.InOrStdin()))
			if err != nil {
				return err
			}
			done := &installed{KeyFile: j.KeyFile, Notes: j.Notes, DryRun: o.dryRun, Certificate: fromBundle(o.name, j.Bundle, k.now())}
			if err := o.usable(done.Certificate, k.now()); err != nil {
				return err
			}
			if o.to != "" {
				err = o.toFile(done, j.Bundle)
			} else {
				err = k.toProcess(c, &o, done, j.Bundle)
			}
			if err != nil {
				return err
			}
			filled([]*certificate{done.Certificate})
			return k.print(c.OutOrStdout(), answer{done.text(), done})
		},
	}
	c.Flags().StringVar(&o.name, "name", "", "name of the certificate in the running process")
	c.Flags().StringVar(&o.to, "to", "", "file to write, instead of asking a running process")
	c.Flags().StringVar(&o.list, "crt-list", "", "add the certificate to this crt-list or directory of the running process")
	c.Flags().StringVar(&o.passphrase, "passphrase-file", "", "file with the passphrase of PKCS#12 and encrypted keys; - is standard input")
	c.Flags().StringArrayVar(&o.keys, "key-dir", nil, "directory to look for the key in; may be repeated")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be done")
	c.Flags().BoolVar(&o.force, "force", false, "install a certificate that is expired or not valid yet")
	c.MarkFlagsMutuallyExclusive("to", "name")
	c.MarkFlagsMutuallyExclusive("to", "crt-list")
	return c
}

// secret reads the passphrase when it is needed: the first line of the file.
func (o *installOptions) secret(stdin io.Reader) func() ([]byte, error) {
	if o.passphrase == "" {
		return func() ([]byte, error) {
			return nil, fmt.Errorf("%w and needs a passphrase: --passphrase-file FILE (- for standard input)", cert.ErrPassphrase)
		}
	}
	return func() ([]byte, error) {
		in := stdin
		if o.passphrase != "-" {
			f, err := os.Open(o.passphrase)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			in = f
		}
		data, err := io.ReadAll(io.LimitReader(in, 4096))
		if err != nil {
			return nil, err
		}
		line, _, _ := bytes.Cut(data, []byte("\n"))
		return bytes.TrimSuffix(line, []byte("\r")), nil
	}
}

// usable refuses what no client would take today.
func (o *installOptions) usable(c *certificate, now time.Time) error {
	if o.force {
		return nil
	}
	if !now.Before(*c.NotAfter) {
		return fmt.Errorf("the certificate for %s expired on %s; --force installs it all the same", some(c.Names), c.NotAfter.Format(time.RFC3339))
	}
	if now.Before(*c.NotBefore) {
		return fmt.Errorf("the certificate for %s is not valid before %s; --force installs it all the same, check the clock of this machine first", some(c.Names), c.NotBefore.Format(time.RFC3339))
	}
	return nil
}

func (o *installOptions) toFile(done *installed, b *cert.Bundle) error {
	path, err := filepath.Abs(o.to)
	if err != nil {
		return err
	}
	done.Certificate.Name = path
	if o.dryRun {
		done.Steps = append(done.Steps, "write "+path)
		return nil
	}
	changed, err := app.WriteBundle(path, b)
	if err != nil {
		return err
	}
	if !changed {
		done.Steps = append(done.Steps, path+" holds it already")
		return nil
	}
	done.Steps = append(done.Steps, "wrote "+path)
	done.Notes = append(done.Notes, "a running process reads the file within seconds (watch on), or at its next reload")
	return nil
}

// toProcess sets and commits in the running process.
func (k *certCommands) toProcess(c *cobra.Command, o *installOptions, done *installed, b *cert.Bundle) error {
	if k.disk {
		return errors.New("--disk: say which file, with --to FILE")
	}
	ctx := c.Context()
	client, err := k.running(c)
	if err != nil {
		return fmt.Errorf("%w\nWithout a running process, --to FILE writes the certificate", err)
	}
	list, err := k.ask(ctx, client)
	if err != nil {
		return err
	}
	if o.name == "" {
		if o.name, err = sameNames(list, done.Certificate.Names); err != nil {
			return err
		}
	}
	if err := runtimeapi.CheckName(o.name); err != nil {
		return err
	}
	done.Certificate.Name = o.name
	at := slices.IndexFunc(list, func(c *certificate) bool { return c.Name == o.name })
	s := steps{ctx: ctx, client: client, name: o.name, fresh: at < 0, pem: b.FilePEM(true), list: o.list, done: done}
	if at >= 0 && list[at].Transaction {
		return fmt.Errorf("%s has a change that is not committed: commit or abort it first (abort ssl cert %s)", o.name, o.name)
	}
	if at >= 0 && list[at].SHA1 == done.Certificate.SHA1 && o.list == "" {
		done.Steps = append(done.Steps, "it serves already under "+o.name)
		return nil
	}
	if err := s.run(); err != nil {
		return err
	}
	if !o.dryRun {
		k.verify(ctx, client, done)
	}
	return nil
}

// sameNames finds the certificate that is being renewed.
func sameNames(list []*certificate, names []string) (string, error) {
	var found []string
	want := slices.Sorted(slices.Values(names))
	for _, c := range list {
		if slices.Equal(slices.Sorted(slices.Values(c.Names)), want) {
			found = append(found, c.Name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("the running process has no certificate for exactly %s: say under which name to install this one (--name), and add it to a list (--crt-list)", strings.Join(names, ","))
	}
	return "", fmt.Errorf("%s all have these names: say which to replace (--name)", strings.Join(found, ", "))
}

// steps are the commands of one installation. What fails is undone.
type steps struct {
	ctx    context.Context
	client *runtimeapi.Client
	name   string
	fresh  bool // the process does not know the name
	pem    []byte
	list   string // crt-list to add it to, "" for none
	done   *installed
}

func (s *steps) run() error {
	if s.fresh {
		if err := s.one(nil, "new", "ssl", "cert", s.name); err != nil {
			return err
		}
	}
	err := s.one(s.pem, "set", "ssl", "cert", s.name)
	if err == nil {
		err = s.one(nil, "commit", "ssl", "cert", s.name)
		if err != nil {
			s.undo("abort", "ssl", "cert", s.name)
		}
	}
	if err != nil {
		if s.fresh {
			s.undo("del", "ssl", "cert", s.name)
		}
		return err
	}
	if s.list == "" {
		return nil
	}
	if err := s.one(nil, "add", "ssl", "crt-list", s.list, s.name); err != nil {
		return fmt.Errorf("%w\nThe certificate is in the process as %s, and no bind line serves it", err, s.name)
	}
	return nil
}

// one runs a command, or only tells it. A commit and an addition say Success! when they are done.
func (s *steps) one(payload []byte, words ...string) error {
	line := strings.Join(words, " ")
	if s.done.DryRun {
		s.done.Steps = append(s.done.Steps, line)
		return nil
	}
	var text string
	var err error
	if payload != nil {
		text, err = s.client.DoPayload(s.ctx, payload, words...)
	} else {
		text, err = s.client.Do(s.ctx, words...)
	}
	if err == nil && (words[0] == "commit" || words[0] == "add") && !strings.Contains(text, "Success!") {
		err = errors.New(strings.TrimSpace(text))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	for _, said := range lines(text) {
		if words[0] == "commit" && said != "Success!" && !strings.HasPrefix(said, "Committing ") {
			s.done.Notes = append(s.done.Notes, said)
		}
	}
	s.done.Steps = append(s.done.Steps, line)
	return nil
}

// undo takes a step back; the error that made it necessary is the one to tell.
func (s *steps) undo(words ...string) {
	if !s.done.DryRun {
		_, _ = s.client.Do(context.WithoutCancel(s.ctx), words...)
	}
}

// verify notes when the process does not say that it serves the certificate.
func (k *certCommands) verify(ctx context.Context, client *runtimeapi.Client, done *installed) {
	text, err := client.Do(ctx, "show", "ssl", "cert", done.Certificate.Name)
	if err != nil {
		done.Notes = append(done.Notes, "whether it serves could not be asked: "+err.Error())
		return
	}
	now := &certificate{Name: done.Certificate.Name}
	now.readFacts(text, k.now())
	if now.SHA1 != done.Certificate.SHA1 {
		done.Notes = append(done.Notes, "the process shows another certificate under this name: somebody committed one meanwhile")
	}
	done.Certificate.Status = now.Status
	if slices.Contains(now.Status, "unused") {
		done.Notes = append(done.Notes, "no bind line uses it: add it to a list with --crt-list, or name it in the configuration and reload")
	}
	for _, s := range now.Status {
		if strings.HasPrefix(s, "unsaved") {
			done.Notes = append(done.Notes, "it serves, but is not on disk: "+s+"; see gatehouse doctor")
		}
	}
}

func (d *installed) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, good until %s, chain of %d, key from %s\n", printable(d.Certificate.Name), printable(strings.Join(d.Certificate.Names, ",")), d.Certificate.NotAfter.Format(time.DateOnly), len(d.Certificate.Chain), d.KeyFile)
	verb := ""
	if d.DryRun {
		verb = "would: "
	}
	for _, step := range d.Steps {
		fmt.Fprintf(&b, "  %s%s\n", verb, printable(step))
	}
	for _, note := range d.Notes {
		fmt.Fprintf(&b, "  note: %s\n", printable(note))
	}
	return b.String()
}
