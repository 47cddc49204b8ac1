package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes of commands that look for what is wrong.
const (
	exitSoon  = 1 // something will be wrong, or should be better
	exitWrong = 2 // something is wrong now, or could not be looked at
)

// Severities of what checks find.
const (
	levelError   = "error"
	levelWarning = "warning"
)

// flaw is one thing wrong with a certificate.
type flaw struct {
	Severity string `json:"severity"`
	Name     string `json:"name"`
	Problem  string `json:"problem"`
	Do       string `json:"do"` // what to do next
}

func (k *certCommands) check() *cobra.Command {
	days := 20
	c := &cobra.Command{
		Use: "check [DIR|FILE...]", Short: "Say what is wrong with certificates, or soon will be",
		Long: "Look for certificates that are expired, will be within --days, do not belong to their key, have a chain that does not link, bear no name, have a\n" +
			"weak key, are not saved, or whose key file others can read.\n\n" +
			"Exit code: 0 all is well; 1 something will be wrong or should be better; 2 something is wrong now, or could not be looked at.",
		Example: `  gatehouse cert check -f /etc/haproxy/haproxy.cfg       # of the process that serves this configuration
  gatehouse cert check --days 30 /etc/haproxy/certs      # of a directory
  gatehouse cert check --days 0 site.pem || echo replace it`,
		RunE: func(c *cobra.Command, args []string) error {
			list, err := k.collect(c, args)
			if err != nil {
				return exitCode{exitWrong, err}
			}
			byExpiry(list)
			found := []flaw{}
			for _, one := range list {
				found = append(found, one.flaws(k.now(), days)...)
			}
			if err := k.print(c.OutOrStdout(), answer{flawText(found, len(list)), found}); err != nil {
				return err
			}
			return ends(c, worst(found))
		},
	}
	c.Flags().IntVar(&days, "days", days, "tell of certificates that expire within so many days")
	return c
}

func worst(found []flaw) int {
	code := 0
	for _, f := range found {
		if f.Severity == levelError {
			return exitWrong
		}
		code = exitSoon
	}
	return code
}

func flawText(found []flaw, checked int) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%-7s  %s: %s\n         %s\n", f.Severity, printable(f.Name), printable(f.Problem), printable(f.Do))
	}
	fmt.Fprintf(&b, "%d certificates, %d findings\n", checked, len(found))
	return b.String()
}

// flaws says what is wrong with a certificate now, or will be within some days.
func (c *certificate) flaws(now time.Time, days int) (found []flaw) {
	add := func(severity, problem, do string) { found = append(found, flaw{severity, c.Name, problem, do}) }
	if c.Error != "" {
		add(levelError, c.Error, "install the certificate with its key: gatehouse cert install --to "+c.Name+" FILES...")
	}
	temporary := slices.Contains(c.Status, "temporary")
	if temporary {
		add(levelWarning, "a temporary certificate stands in until ACME has issued it", "see gatehouse acme status")
	}
	if c.NotAfter != nil && !temporary {
		c.dateFlaws(now, days, add)
	}
	if len(c.Names) == 0 && c.NotAfter != nil {
		add(levelWarning, "it bears no name, so only a default certificate or an SNI filter leads to it", "ask for one with names: gatehouse cert request --names NAME,...")
	}
	c.chainFlaws(add)
	if weak := c.weakKey(); weak != "" && !temporary {
		add(levelWarning, weak, "make a new key: gatehouse cert request --names "+strings.Join(c.Names, ","))
	}
	for _, s := range c.Status {
		if strings.HasPrefix(s, "unsaved") {
			add(levelWarning, "what serves is not on disk: "+s, "see gatehouse doctor, which names the path to mend")
		}
	}
	c.fileFlaws(add)
	return found
}

func (c *certificate) dateFlaws(now time.Time, days int, add func(severity, problem, do string)) {
	const renew = "renew it, then gatehouse cert install; an ACME one: gatehouse acme renew "
	date := c.NotAfter.Format(time.RFC3339)
	switch {
	case !now.Before(*c.NotAfter):
		add(levelError, fmt.Sprintf("it expired on %s", date), renew+c.Name)
	case c.NotBefore != nil && now.Before(*c.NotBefore):
		add(levelError, "it is not valid before "+c.NotBefore.Format(time.RFC3339), "wait, or set the clock of this machine right (timedatectl)")
	case c.NotAfter.Sub(now) < time.Duration(days)*24*time.Hour:
		add(levelWarning, fmt.Sprintf("it expires in %d days, on %s", *c.DaysLeft, date), renew+c.Name)
	}
}

// chainFlaws tells where the chain does not link. Names are compared, as `show ssl cert` tells them.
func (c *certificate) chainFlaws(add func(severity, problem, do string)) {
	issuer, child := c.Issuer, "the leaf"
	for i, l := range c.Chain {
		if l.Subject != issuer {
			add(levelError, fmt.Sprintf("certificate %d of the chain is %s, but %s was issued by %s", i+1, l.Subject, child, issuer),
				"put the chain in order: gatehouse cert install sorts what it is given")
			return
		}
		issuer, child = l.Issuer, l.Subject
	}
}

func (c *certificate) weakKey() string {
	bits := c.bits()
	switch {
	case strings.HasPrefix(c.Key, "RSA") && bits < 2048, strings.HasPrefix(c.Key, "EC") && bits < 224 && bits > 0, strings.HasPrefix(c.Key, "DSA"):
		return "its key is weak: " + c.Key
	}
	return ""
}

// fileFlaws looks at the files of this machine that hold the key.
func (c *certificate) fileFlaws(add func(severity, problem, do string)) {
	if len(c.Files) == 0 {
		return
	}
	key := c.Files[len(c.Files)-1]
	info, err := os.Stat(key)
	if err != nil { // the process runs on another machine, or the loader has told
		return
	}
	if mode := info.Mode().Perm(); mode&0o006 != 0 {
		add(levelError, fmt.Sprintf("its key file %s can be read or written by every user (mode %04o)", key, mode), "chmod o-rwx "+shellWord(key))
	}
}

// shellWord quotes a path so that a line can be pasted.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@:,=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
