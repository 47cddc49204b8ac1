package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/runtimeapi"
)

// certCommands are what `gatehouse cert` commands have in common: where certificates are looked for, and the clock.
type certCommands struct {
	*session
	files []string // -f
	disk  bool
	now   func() time.Time
}

// certGroup is `gatehouse cert`.
func (s *session) certGroup() *cobra.Command {
	k := &certCommands{session: s, now: time.Now}
	g := group("cert", "Certificates: list, check, request, install, export", k.list(), k.show(), k.check(), k.pem(), k.request(), k.install(), k.selfSigned(), k.history(), k.diff(), k.rollback())
	g.Long = "Certificates of a running process, of a configuration or of a directory.\n\n" +
		"A running process is asked over its stats socket: --socket names it, else the configuration that -f names, else " + defaultSocket + ".\n" +
		"With a directory or file as argument, or with --disk, no process is asked."
	g.PersistentFlags().StringArrayVarP(&k.files, "file", "f", nil, "configuration file or directory, as gatehouse -f; may be repeated")
	g.PersistentFlags().BoolVar(&k.disk, "disk", false, "read the disk, do not ask a running process")
	return g
}

// exitCode ends the program with a code of its own. A nil cause was told already.
type exitCode struct {
	code  int
	cause error
}

func (e exitCode) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.cause.Error()
}
func (e exitCode) Unwrap() error { return e.cause }

// ends makes a command end with a code without an error message of cobra's.
func ends(c *cobra.Command, code int) error {
	if code == 0 {
		return nil
	}
	c.SilenceErrors = true
	return exitCode{code: code}
}

// running finds the process to ask: --socket, else the first stats socket of the configuration that answers, else the default one. The error says what
// was tried.
func (k *certCommands) running(c *cobra.Command) (*runtimeapi.Client, error) {
	if len(k.files) == 0 || c.Flags().Changed("socket") {
		return k.dial(c.Context(), k.address())
	}
	addrs, err := app.ControlSockets(k.files)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no stats socket to ask a running process over: add `stats socket /run/gatehouse/admin.sock mode 660 level admin` to the global section, or use --disk", strings.Join(k.files, ", "))
	}
	var errs []error
	for _, addr := range addrs {
		client, err := k.dial(c.Context(), addr)
		if err == nil {
			return client, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// dial makes sure that somebody answers.
func (k *certCommands) dial(ctx context.Context, addr string) (*runtimeapi.Client, error) {
	client, err := runtimeapi.Dial(addr)
	if err != nil {
		return nil, err
	}
	if k.master {
		client.Prefix = "@1"
	}
	if _, err := client.Do(ctx, "show", "version"); err != nil {
		var refused *runtimeapi.Error
		if !errors.As(err, &refused) { // an answer of any kind is one
			return nil, fmt.Errorf("%w\nNo process answers at %s. Name its socket (--socket) or its configuration (-f), or read the disk (a directory, or -f with --disk)", err, addr)
		}
	}
	return client, nil
}

// collect lists the certificates of what the arguments and flags say.
func (k *certCommands) collect(c *cobra.Command, paths []string) ([]*certificate, error) {
	var held []app.Held
	var err error
	switch {
	case len(paths) > 0:
		held, err = app.InventoryDir(paths)
	case k.disk:
		held, err = app.Inventory(c.Context(), k.files)
	default:
		client, err := k.running(c)
		if err != nil {
			return nil, err
		}
		return k.ask(c.Context(), client)
	}
	if err != nil {
		return nil, err
	}
	list := make([]*certificate, 0, len(held))
	for _, h := range held {
		list = append(list, fromDisk(h, k.now()))
	}
	return list, nil
}

// askers is how many questions are under way at a time: one per certificate, because HAProxy tells the dates of one at a time.
const askers = 8

// ask lists what a running process holds.
func (k *certCommands) ask(ctx context.Context, client *runtimeapi.Client) ([]*certificate, error) {
	text, err := client.Do(ctx, "show", "ssl", "cert")
	if err != nil {
		return nil, err
	}
	list := namesIn(text)
	uses := usesOf(ctx, client)
	var wg sync.WaitGroup
	errs := make([]error, askers)
	for w := range askers {
		wg.Go(func() {
			for i := w; i < len(list) && errs[w] == nil; i += askers {
				errs[w] = k.describe(ctx, client, list[i])
				list[i].Uses = uses[list[i].Name]
			}
		})
	}
	wg.Wait()
	return list, errors.Join(errs...)
}

// namesIn reads the answer of `show ssl cert`.
func namesIn(text string) []*certificate {
	var list []*certificate
	at := map[string]*certificate{}
	for _, line := range lines(text) {
		if strings.HasPrefix(line, "# ") {
			continue
		}
		name, open := strings.CutPrefix(line, "*")
		c := at[name]
		if c == nil {
			c = &certificate{Name: name}
			at[name] = c
			list = append(list, c)
		}
		c.Transaction = c.Transaction || open
	}
	return list
}

// describe asks for one certificate. One that is gone meanwhile stays without facts.
func (k *certCommands) describe(ctx context.Context, client *runtimeapi.Client, c *certificate) error {
	text, err := client.Do(ctx, "show", "ssl", "cert", escapeStar(c.Name))
	var refused *runtimeapi.Error
	if errors.As(err, &refused) {
		c.Error = refused.Text
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for %s: %w", c.Name, err)
	}
	c.readFacts(text, k.now())
	return nil
}

// escapeStar keeps a name that starts with a star from meaning a transaction.
func escapeStar(name string) string {
	if strings.HasPrefix(name, "*") {
		return `\` + name
	}
	return name
}

// usesOf asks where certificates serve; a process that cannot tell gives none.
func usesOf(ctx context.Context, client *runtimeapi.Client) map[string][]string {
	uses := map[string][]string{}
	text, err := client.Do(ctx, "show", "ssl", "sni")
	if err != nil {
		return uses
	}
	for _, line := range lines(text) {
		cells := strings.Split(line, "\t")
		if len(cells) < 5 || strings.HasPrefix(line, "#") {
			continue
		}
		if name := cells[4]; !slices.Contains(uses[name], cells[0]) {
			uses[name] = append(uses[name], cells[0])
		}
	}
	return uses
}

// one finds one certificate by its name.
func (k *certCommands) one(c *cobra.Command, name string) (*certificate, error) {
	if !k.disk {
		client, err := k.running(c)
		if err != nil {
			return nil, err
		}
		text, err := client.Do(c.Context(), "show", "ssl", "cert", name)
		if err != nil {
			return nil, k.unknown(err, name)
		}
		found := &certificate{Name: strings.TrimPrefix(name, `\`)}
		found.readFacts(text, k.now())
		found.Uses = usesOf(c.Context(), client)[found.Name]
		return found, nil
	}
	held, err := k.onDisk(c.Context(), name)
	if err != nil {
		return nil, err
	}
	return fromDisk(held, k.now()), nil
}

// onDisk finds one certificate without a process: a name of the configuration, or a file.
func (k *certCommands) onDisk(ctx context.Context, name string) (app.Held, error) {
	var held []app.Held
	var err error
	if len(k.files) > 0 {
		held, err = app.Inventory(ctx, k.files)
	} else {
		held, err = app.InventoryDir([]string{name})
	}
	if err != nil {
		return app.Held{}, err
	}
	i := slices.IndexFunc(held, func(h app.Held) bool { return h.Name == name })
	if i < 0 {
		return app.Held{}, fmt.Errorf("%s is not a certificate of %s: `gatehouse cert list` tells the names", name, orHere(k.files))
	}
	return held[i], nil
}

func orHere(files []string) string {
	if len(files) == 0 {
		return "what was named"
	}
	return strings.Join(files, ", ")
}

// unknown adds what to do to a refusal.
func (k *certCommands) unknown(err error, name string) error {
	var refused *runtimeapi.Error
	if !errors.As(err, &refused) {
		return err
	}
	hint := "`gatehouse cert list` tells the names of the running process"
	if _, failed := os.Stat(name); failed == nil {
		hint += "; `gatehouse cert show --disk " + name + "` reads the file"
	}
	return fmt.Errorf("%s: %w\n%s", name, err, hint)
}
