package app

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

const (
	mutationSeed  = 20261
	mutationCases = 1200
	// startTime bounds one start and its stop.
	startTime = 20 * time.Second
)

// TestWhatACheckAcceptsStartsAndWhatItRefusesDoesNot mutates our own configurations and holds -c against a start: real listeners, real
// files, then a soft stop. A second process, which lives as long as the test, is given the same texts as reloads.
func TestWhatACheckAcceptsStartsAndWhatItRefusesDoesNot(t *testing.T) {
	m := newMutator(t, mutationSeed)
	t.Chdir(m.dir)
	old := newBox(t)
	running := old.process(t, "", false)
	served := running.run(t)
	accepted, refused := 0, 0
	for i := range mutationCases {
		text := m.next()
		ok := sameVerdicts(t, text)
		if ok {
			accepted++
		} else {
			refused++
		}
		if reloaded := running.reload(t, text); reloaded != ok {
			t.Errorf("case %d: a start says %v, a reload %v\n%s\n%s", i, ok, reloaded, text, running.said())
		}
		if t.Failed() {
			break
		}
	}
	served(t)
	t.Logf("%d configurations started, %d were refused", accepted, refused)
	if accepted < mutationCases/5 || refused < mutationCases/5 {
		t.Errorf("of %d configurations %d are accepted and %d refused: the mutations are too wild or too tame", mutationCases, accepted, refused)
	}
}

// FuzzMutatedStart is the same property for the mutations of further seeds.
func FuzzMutatedStart(f *testing.F) {
	m := newMutator(f, 0)
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		t.Chdir(m.dir)
		m := mutator{Rand: seeded(seed), texts: m.texts, lines: m.lines, words: m.words}
		sameVerdicts(t, m.next())
	})
}

// FuzzStart is the same property for any text; our configurations are the seeds.
func FuzzStart(f *testing.F) {
	m := newMutator(f, 0)
	for _, text := range m.texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 64<<10 || strings.Contains(text, "fd@") || strings.Contains(text, "std") {
			return // too long, or descriptors of this process
		}
		t.Chdir(m.dir)
		sameVerdicts(t, text)
	})
}

// sameVerdicts checks text, starts it, and tells whether it started. The one difference is that of docs/differences.md: a certificate that
// cannot be used is an error of a check, and an ALERT of a start that serves all others.
func sameVerdicts(t *testing.T, text string) bool {
	t.Helper()
	b := newBox(t)
	check := b.process(t, text, true)
	checked := check.load(t)
	if n := b.changes.Load(); n > 0 {
		t.Errorf("a check opened or changed %d things of the machine:\n%s", n, text)
	}
	start := b.process(t, text, false)
	started := start.load(t) && start.apply(t)
	if started {
		start.run(t)(t)
	}
	onlyCertificates := !checked && started
	for _, fault := range check.faults(false) {
		onlyCertificates = onlyCertificates && slices.Contains(start.faults(true), fault)
	}
	if checked != started && !onlyCertificates {
		t.Errorf("a check says %v, a start %v\n%s\nthe check:\n%s\nthe start:\n%s", checked, started, text, check.said(), start.said())
	}
	return started
}

// box is the machine for one run: what it listens on is on loopback, at a port of its own or in a folder of its own, and what it writes
// stays in that folder. Names ending in .test or .example and localhost have an address.
type box struct {
	host.Direct
	dir     string
	changes atomic.Int64 // sockets opened and files touched
}

func newBox(t *testing.T) *box {
	t.Helper()
	return &box{dir: t.TempDir()}
}

// inside is where the box has what name says; relative names belong to the test's folder.
func (b *box) inside(name string) string {
	b.changes.Add(1)
	if !filepath.IsAbs(name) || strings.HasPrefix(name, b.dir) {
		return name
	}
	inner := filepath.Join(b.dir, name)
	_ = os.MkdirAll(filepath.Dir(inner), 0o700) // the call that asked for it tells what is wrong
	return inner
}

func (b *box) Listen(spec host.ListenSpec) (*os.File, error) {
	b.changes.Add(1)
	switch spec.Network {
	case "unix", "abns":
		spec.Network, spec.Path, spec.UID, spec.GID = "unix", filepath.Join(b.dir, fmt.Sprintf("s%d", b.changes.Load())), -1, -1
	default:
		spec.Addr = netip.MustParseAddrPort("127.0.0.1:0")
		spec.Interface, spec.MSS = "", 0
	}
	return b.Direct.Listen(spec)
}

func (b *box) ReplaceFile(name string, data []byte, perm fs.FileMode) error {
	return b.Direct.ReplaceFile(b.inside(name), data, perm)
}
func (b *box) Remove(name string) error   { return b.Direct.Remove(b.inside(name)) }
func (b *box) MkdirAll(name string) error { return b.Direct.MkdirAll(b.inside(name)) }
func (b *box) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return b.Direct.OpenFile(b.inside(name), flag, perm)
}

// ReadFile reads regular files only: others may make a reader wait.
func (b *box) ReadFile(name string, limit int64) ([]byte, error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return b.Direct.ReadFile(name, limit)
}

func (b *box) LookupIP(_ context.Context, name string) ([]netip.Addr, error) {
	for _, known := range []string{"localhost", ".test", ".example"} {
		if strings.HasSuffix(name, known) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// boxed is a process in its box.
type boxed struct {
	process
	box    *box
	engine Engine
	diags  config.Diags // of the last load
}

func (b *box) process(t *testing.T, text string, check bool) *boxed {
	t.Helper()
	args := []string{"-f", "F"}
	if check {
		args = append(args, "-c")
	}
	o, err := ParseArgs(args)
	if err != nil {
		t.Fatal(err)
	}
	p := &boxed{box: b}
	p.process = process{o: o, print: NewPrinter(io.Discard), newEngine: NewHouse, sources: sourceOf(text)}
	env := environment(o, p.sources, false)
	p.engine, err = NewHouse(WorkerOptions{
		Host: b, Flags: o.Flags, Env: env, Parse: parseOptions(o, env), Notify: p.print.Print, StartupLogs: p.print.Attempt,
		StateDir: func(*config.Config) string { return filepath.Join(b.dir, "state") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sourceOf is text and a second file, so that nothing is ordered from anybody.
func sourceOf(text string) []config.Source {
	return []config.Source{{Name: "F", Data: []byte(text)}, {Name: "G", Data: []byte("global\n    acme.scheduler off\n")}}
}

func (p *boxed) said() string { return p.print.Attempt() }

func (p *boxed) load(t *testing.T) (ok bool) {
	_, p.diags, ok = p.process.load(t.Context(), p.engine, p.box, p.sources)
	return ok
}

// faults are the texts of the ALERTs, those that keep a configuration from being used or those that are only told.
func (p *boxed) faults(soft bool) []string {
	var texts []string
	for _, d := range p.diags {
		if d.Level == config.LevelAlert && d.Soft == soft {
			texts = append(texts, d.Text)
		}
	}
	return texts
}

func (p *boxed) apply(t *testing.T) bool {
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs) // nbthread sets it
	diags := p.engine.Apply(t.Context())
	p.print.Diags(diags)
	return !diags.HasErrors()
}

// reload gives the process another text, as SIGUSR2 does.
func (p *boxed) reload(t *testing.T, text string) bool {
	p.print.NewAttempt()
	p.sources = sourceOf(text)
	return p.load(t) && p.apply(t)
}

// run lets the process serve. What it returns stops it softly, and waits until everything it started is gone.
func (p *boxed) run(t *testing.T) func(*testing.T) {
	ctx, cut := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan error, 1)
	go func() { done <- p.engine.Run(ctx) }()
	return func(t *testing.T) {
		t.Helper()
		defer cut()
		p.engine.SoftStop()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the run ended with %v\n%s", err, p.sources[0].Data)
			}
		case <-time.After(startTime):
			t.Errorf("a soft stop does not end\n%s", p.sources[0].Data)
		}
	}
}

// mutator makes configurations out of those of the examples, of the behaviour scripts and of the keywords' page.
type mutator struct {
	*rand.Rand
	dir   string // holds the files that the texts name; a run works there
	texts []string
	lines map[string][]string // by kind of section
	words []string            // of all lines
}

func newMutator(t testing.TB, seed uint64) *mutator {
	t.Helper()
	m := &mutator{Rand: seeded(seed), lines: map[string][]string{}, dir: t.TempDir()}
	dir := m.dir
	for name, value := range map[string]string{"DEMO_DIR": dir, "WORK": dir, "DEMO_DIRECTORY": "https://127.0.0.1:14000/dir"} {
		t.Setenv(name, value)
	}
	keywordFilesIn(t, dir)
	m.addExamples(t, dir)
	m.addScripts(t, dir)
	for _, text := range m.texts {
		kind := ""
		for line := range strings.Lines(text) {
			kind = kindAt(line, kind)
			m.lines[kind] = append(m.lines[kind], strings.TrimSuffix(line, "\n"))
		}
	}
	for _, row := range keywordRows(t) {
		m.addUse(row)
	}
	count := 0
	for _, kind := range slices.Sorted(maps.Keys(m.lines)) {
		count += len(m.lines[kind])
		for _, l := range m.lines[kind] {
			for _, w := range strings.Fields(l) {
				if !strings.Contains(w, "fd@") {
					m.words = append(m.words, w)
				}
			}
		}
	}
	if len(m.texts) < 40 || count < 2000 {
		t.Fatalf("only %d configurations of %d lines to begin with", len(m.texts), count)
	}
	return m
}

// kindAt is the kind of section that line begins, or the one it stands in.
func kindAt(line, kind string) string {
	word := kind
	if line != "" && line[0] > ' ' && line[0] != '#' {
		word, _, _ = strings.Cut(strings.TrimSpace(line), " ")
	}
	return word
}

// addUse adds a line that uses a keyword of the page to the kind of section where it may stand.
func (m *mutator) addUse(row keywordRow) {
	if row.state != "supported" && row.state != "partial" {
		return
	}
	add := func(line string, kinds ...string) {
		for _, k := range kinds {
			m.lines[k] = append(m.lines[k], " "+line)
		}
	}
	switch section := row.section; {
	case section == "global", section == "acme", section == "gatehouse", section == "crt-store":
		add(row.use, section)
	case section == "option", section == "timeout":
		add(section+" "+row.use, "defaults", "frontend", "backend", "listen")
	case section == "Proxies":
		for _, k := range []string{"defaults", "frontend", "backend", "listen"} {
			if strings.Contains(row.where, k) {
				add(row.use, k)
			}
		}
	case section == "bind and stats socket":
		add("bind 127.0.0.1:9 ssl crt site.pem "+row.use, "frontend", "listen")
		add("stats socket unix@admin.sock "+row.use, "global")
		add("stats socket 127.0.0.1:9 level user "+row.use, "global")
	case section == "server and default-server":
		add("server s 127.0.0.1:9 ssl verify none "+row.use, "backend", "listen")
	case section == "Sample fetches":
		add("http-request set-var(txn.x) "+row.use, "frontend", "backend", "listen")
	case section == "Converters":
		add("http-request set-var(txn.x) str(1),"+row.use, "frontend", "backend", "listen")
	case section == "Log format aliases":
		add("log-format "+row.use, "frontend", "listen", "defaults")
	case strings.HasPrefix(section, "Actions of "):
		add(strings.TrimPrefix(section, "Actions of ")+" "+row.use, "frontend", "backend", "listen")
	}
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, ^seed)) }

func (m *mutator) add(t testing.TB, dir, text string) {
	t.Helper()
	m.texts = append(m.texts, strings.ReplaceAll(text, "log stdout", "log 127.0.0.1:9"))
	giveFilesOf(t, dir, text)
}

func (m *mutator) addExamples(t testing.TB, dir string) {
	files, err := filepath.Glob(filepath.Join(repository, "examples/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, filepath.Join(repository, "examples/demo.cfg")) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, ".cfg") {
			m.add(t, dir, string(text))
		} else if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// addScripts takes the files of the txtar scripts: each begins with a line "-- name --".
func (m *mutator) addScripts(t testing.TB, dir string) {
	scripts, err := filepath.Glob(filepath.Join(repository, "cmd/gatehouse/behaviour/testdata/*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		data, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split("\n"+string(data), "\n-- ")[1:] {
			name, text, _ := strings.Cut(part, " --\n")
			if strings.HasSuffix(name, ".cfg") {
				m.add(t, dir, text)
			} else if name == filepath.Base(name) && !strings.HasSuffix(name, ".pem") {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// next is one configuration with one to four mutations.
func (m *mutator) next() string {
	lines := strings.Split(m.texts[m.IntN(len(m.texts))], "\n")
	for range 1 + m.IntN(4) {
		lines = m.mutate(lines)
	}
	return strings.Join(lines, "\n")
}

func (m *mutator) mutate(lines []string) []string {
	at := m.IntN(len(lines))
	kind := ""
	for _, l := range lines[:at] {
		kind = kindAt(l, kind)
	}
	pool := m.lines[kind]
	switch m.IntN(12) {
	case 0:
		return slices.Concat(lines[:at], lines[at+1:], []string{""})
	case 1:
		return slices.Insert(slices.Clone(lines), at, lines[m.IntN(len(lines))])
	case 2, 3, 4, 5, 6, 7, 8:
		if len(pool) > 0 {
			return slices.Insert(slices.Clone(lines), at, pool[m.IntN(len(pool))])
		}
	case 9:
		other := m.IntN(len(lines))
		lines = slices.Clone(lines)
		lines[at], lines[other] = lines[other], lines[at]
		return lines
	}
	lines = slices.Clone(lines)
	words := strings.Fields(lines[at])
	if len(words) == 0 {
		return lines
	}
	w := m.IntN(len(words))
	switch m.IntN(6) {
	case 0:
		words = slices.Delete(words, w, w+1)
	case 1:
		words = slices.Insert(words, w, words[m.IntN(len(words))])
	case 2:
		words[w] = m.numbers()
	case 3:
		at := m.IntN(len(words[w]))
		words[w] = words[w][:at] + string([]byte{byte(32 + m.IntN(95))}) + words[w][at+m.IntN(2):]
	default:
		words[w] = m.words[m.IntN(len(m.words))]
	}
	lines[at] = " " + strings.Join(words, " ")
	return lines
}

func (m *mutator) numbers() string {
	list := []string{"0", "1", "-1", "2147483647", "2147483648", "4294967296", "18446744073709551616", "0x10", "1k", "1s", "24d", "25d", "100%", "1.5", "", "''", "*", "0.0.0.0:0", "::", "/", "%", "\\", "{", "}", "!"}
	return list[m.IntN(len(list))]
}
