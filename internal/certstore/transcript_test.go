package certstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
)

// socketFace prints what the command socket would: the store's results in the frame of surface 2.7 and 2.8.
type socketFace struct{ store *Store }

func (f socketFace) run(line string, payload []byte) string {
	words := strings.Fields(line)
	for len(words) < 6 {
		words = append(words, "")
	}
	name := words[3]
	switch strings.Join(words[:3], " ") {
	case "new ssl cert":
		return outcome(f.store.NewCert(name), "New empty certificate store '%s'!", name)
	case "set ssl cert":
		created, target, err := f.store.Set(name, payload, "test")
		verb := map[bool]string{true: "created", false: "updated"}[created]
		return outcome(err, "Transaction %s for certificate %s!", verb, target)
	case "commit ssl cert":
		dots := 0
		warnings, err := f.store.Commit(name, "test", func() { dots++ })
		return progress("Committing "+name, dots, warnings, err)
	case "abort ssl cert":
		return outcome(f.store.Abort(name), "Transaction aborted for certificate '%s'!", name)
	case "del ssl cert":
		return outcome(f.store.Delete(name), "Certificate '%s' deleted!", name)
	case "dump ssl cert":
		pem, err := f.store.Dump(name)
		return text(string(pem), err)
	case "show ssl cert":
		if name == "" {
			return f.names()
		}
		return text(f.store.Show(name))
	case "show ssl crt-list":
		switch {
		case name == "":
			return strings.Join(f.store.Lists(), "\n")
		case name == "-n":
			return f.list(words[4], true)
		}
		return f.list(name, false)
	case "add ssl crt-list":
		line, dots := words[4], 0
		if payload != nil {
			line = string(payload)
		}
		printed, err := f.store.AddLine(name, line, "test", "", func() { dots++ })
		return progress(fmt.Sprintf("Inserting certificate '%s' in crt-list '%s'", printed, trimSlashes(name)), dots, nil, err)
	case "del ssl crt-list":
		crt, _, _ := strings.Cut(words[4], ":")
		return outcome(f.store.DelLine(name, words[4]), "Entry '%s' deleted in crtlist '%s'!", crt, trimSlashes(name))
	}
	return "unknown command " + line
}

func (f socketFace) list(name string, numbers bool) string {
	var b strings.Builder
	err := f.store.ShowList(&b, name, numbers)
	return text(b.String(), err)
}

func (f socketFace) names() string {
	pending, all := f.store.Names()
	var lines []string
	if len(pending) > 0 {
		lines = append(lines, "# transaction")
	}
	for _, n := range pending {
		lines = append(lines, "*"+n)
	}
	return strings.Join(append(append(lines, "# filename"), all...), "\n")
}

func outcome(err error, format string, args ...any) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf(format, args...)
}

func text(s string, err error) string {
	if err != nil {
		return err.Error()
	}
	return s
}

func progress(title string, dots int, warnings []string, err error) string {
	lines := []string{title + strings.Repeat(".", dots)}
	lines = append(lines, warnings...)
	if err == nil {
		return strings.Join(append(lines, "Success!"), "\n")
	}
	if e, ok := err.(*Error); !ok || !e.Failed {
		return err.Error()
	}
	return strings.Join(append(lines, err.Error()), "\n")
}

// bindLine follows certificates and lists as a bind line does.
type bindLine struct {
	store   *Store
	where   string
	strict  bool
	index   *cert.Index
	entries map[string]*bindEntry
	refuse  error // what Prepare answers
}

type bindEntry struct {
	bind   *bindLine
	entry  *cert.Entry
	detach func()
}

func newBind(s *Store, where string, strict bool) *bindLine {
	return &bindLine{store: s, where: where, strict: strict, index: cert.NewIndex(strict), entries: map[string]*bindEntry{}}
}

func (b *bindLine) follow(list string, lines []cert.Line) {
	b.store.AttachList(list, b)
	for _, line := range lines {
		b.Add(line, b.store.Bundle(line.Cert))
	}
}

func key(line cert.Line) string { return fmt.Sprintf("%s:%d", line.Cert, line.N) }

func (b *bindLine) PrepareAdd(cert.Line, *cert.Bundle) error { return b.refuse }
func (b *bindLine) Add(line cert.Line, bundle *cert.Bundle) {
	e := &cert.Entry{Name: line.Cert, Line: line.N, Options: line.Options, Filters: line.Filters, Default: b.index.Len() == 0}
	u := &bindEntry{bind: b, entry: e}
	u.detach = b.store.Attach(line.Cert, u)
	b.entries[key(line)] = u
	if bundle != nil {
		b.index.Add(e, bundle)
	}
}
func (b *bindLine) Remove(line cert.Line) {
	u := b.entries[key(line)]
	delete(b.entries, key(line))
	b.index.Remove(u.entry)
	u.detach()
}
func (b *bindLine) Defaults(line cert.Line) []string {
	if u := b.entries[key(line)]; u != nil && u.entry.Default && !b.strict {
		return []string{b.where}
	}
	return nil
}

func (u *bindEntry) Prepare(b *cert.Bundle) error {
	if u.bind.refuse != nil {
		return u.bind.refuse
	}
	_, err := b.TLS()
	return err
}
func (u *bindEntry) Publish(b *cert.Bundle) { u.bind.index.Add(u.entry, b) }

// serving is the fingerprint that a bind line serves for a name.
func (b *bindLine) serving(sni string) string {
	e := b.index.Select(sni, cert.Caps{ECDSA: true, RSA: true})
	if e == nil {
		return ""
	}
	return fmt.Sprintf("%x", e.Instance().Bundle.Fingerprint[:4])
}

// copyTree copies a directory of testdata, so that commits have something to write to.
func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestHAProxyTranscript replays a session recorded from HAProxy 3.4.0 and wants the same answers.
func TestHAProxyTranscript(t *testing.T) {
	t.Chdir(copyTree(t, "testdata/haproxy"))
	data, err := os.ReadFile("transcript.txt")
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state")
	s := New(Options{Host: host.Direct{}, StateDir: state, State: opened(state), Now: func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }})
	p := s.Plan(LoadRules{Ephemeral: true})
	bases := Bases{Crt: "certs", Key: "certs"}
	for _, load := range []struct {
		crt, alias string
		settings   []cert.LoadSetting
	}{{"split.crt", "al", []cert.LoadSetting{{Name: "key", Arg: "split.crt.key"}}}, {"../certs/rsa.pem", "", nil}} {
		src, err := NewSource(StoreName("st", load.crt, load.alias, ""), load.crt, FromStore, load.settings, bases)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Declare(src); err != nil {
			t.Fatal(err)
		}
	}
	list, errs := p.DeclareList("l.list", "", false)
	dir, errs2 := p.DeclareDir("dir/", false)
	if problems := p.Problems(); len(errs)+len(errs2)+len(problems) > 0 {
		t.Fatal(errs, errs2, problems)
	}
	if _, err := p.DeclareCA("ca.pem", false); err != nil {
		t.Fatal(err)
	}
	s.Apply(p, func() {
		first, second := newBind(s, "haproxy.cfg:14", false), newBind(s, "haproxy.cfg:15", true)
		first.follow("l.list", list)
		second.follow("l.list", list)
		second.follow("dir", dir)
	})
	face := socketFace{s}
	for _, exchange := range strings.Split(string(data), "\n> ")[1:] {
		command, want, _ := strings.Cut(exchange, "\n")
		line, file, hasPayload := strings.Cut(command, " <<")
		var payload []byte
		if inline, ok := strings.CutPrefix(file, "!"); ok {
			payload = []byte(inline)
		} else if hasPayload {
			if payload, err = os.ReadFile(filepath.FromSlash(file)); err != nil {
				t.Fatal(err)
			}
		}
		got := strings.TrimRight(face.run(line, payload), "\n")
		if want = strings.TrimRight(want, "\n"); got != want {
			t.Errorf("> %s\ngot:\n%s\nwant:\n%s\n", command, got, want)
		}
	}
}
