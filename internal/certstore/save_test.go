package certstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/cert"
	"gatehouse/internal/event"
	"gatehouse/internal/host"
)

func TestACommitIsInItsFileBeforeTheAnswer(t *testing.T) {
	w := newWorld(t, oneFile)
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	if err := os.Chmod(w.path("one.pem"), 0o660); err != nil {
		t.Fatal(err)
	}
	r := w.start()
	r.serves("a.example", old)
	r.mustDeploy(w.path("one.pem"), next.pem())
	r.serves("a.example", next)
	again := w.start()
	again.serves("a.example", next)
	if info, err := os.Stat(w.path("one.pem")); err != nil || info.Mode().Perm()&0o770 != 0o660 {
		t.Errorf("the file's mode is %v, %v; want the group to keep 0660", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(w.dir); len(entries) != 1 {
		t.Errorf("files left beside the certificate: %v", entries)
	}
	if _, err := os.Stat(w.state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a commit into a file made the state directory: %v", err)
	}
}

func TestPersistOffWritesNothing(t *testing.T) {
	w := newWorld(t, oneFile)
	w.persist = false
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	r := w.start()
	r.mustDeploy(w.path("one.pem"), next.pem())
	r.serves("a.example", next)
	if w.read("one.pem") != old.pem() {
		t.Error("the file was changed")
	}
	w.start().serves("a.example", old)
}

// TestAcmeShHaproxyHook is the dialogue of acme.sh's deploy hook, which writes the PEM itself first: surface 6.6.
func TestAcmeShHaproxyHook(t *testing.T) {
	w := newWorld(t, oneDir)
	w.write("zz.pem", newPair(t, "zz.example").pem())
	pem := w.path("a.example.pem")
	deploy := func(r *running, p pair, known bool) {
		t.Helper()
		content := p.cert + p.key // the hook drops empty lines
		w.write("a.example.pem", content)
		if got := strings.Split(r.face.run("show ssl cert", nil), "\n"); contains(got, pem) != known {
			t.Fatalf("show ssl cert lists %q: %v, want %v", pem, !known, known)
		}
		if !known {
			if got := strings.Split(r.face.run("show ssl crt-list", nil), "\n"); !contains(got, w.dir) {
				t.Fatalf("show ssl crt-list has no line %q: %q", w.dir, got)
			}
			if got := r.face.run("new ssl cert "+pem, nil); !strings.Contains(got, "New empty") {
				t.Fatal(got)
			}
		}
		// The shell's $(cat) takes the last line feed away.
		if got := r.face.run("set ssl cert "+pem, []byte(strings.TrimRight(content, "\n"))); !strings.Contains(got, "Transaction created") {
			t.Fatal(got)
		}
		if got := strings.Split(r.face.run("commit ssl cert "+pem, nil), "\n"); !contains(got, "Success!") {
			t.Fatal(got)
		}
		if !known {
			if got := r.face.run("add ssl crt-list "+w.dir+" "+pem, nil); !strings.Contains(got, "Success!") {
				t.Fatal(got)
			}
		}
		r.serves("a.example", p)
		if w.read("a.example.pem") != content {
			t.Error("the file that the hook wrote was replaced although it held the same")
		}
	}
	first, second, third := newPair(t, "a.example"), newPair(t, "a.example"), newPair(t, "a.example")
	r := w.start()
	deploy(r, first, false)
	deploy(r, second, true)
	after := w.start()
	after.serves("a.example", second)
	if got := after.face.run("show ssl crt-list "+w.dir, nil); !strings.Contains(got, "\n"+pem+"\n") {
		t.Errorf("after a restart the directory's list is %q", got)
	}
	deploy(after, third, true)
}

func contains(lines []string, line string) bool {
	for _, l := range lines {
		if l == line {
			return true
		}
	}
	return false
}

func TestANewNameInADirectoryIsWrittenThere(t *testing.T) {
	w := newWorld(t, oneDir)
	r := w.start()
	next := newPair(t, "new.example")
	name := w.path("new.pem")
	r.face.run("new ssl cert "+name, nil)
	r.mustDeploy(name, next.pem())
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the new file: %v, %v; want mode 0600", info, err)
	}
	again := w.start()
	again.serves("new.example", next)
}

func TestANameThatNoFileHoldsIsKeptInTheStateDirectory(t *testing.T) {
	w := newWorld(t, oneDir)
	next := newPair(t, "free.example")
	for _, name := range []string{"free.example", w.path("sub/free.pem"), w.path(".hidden.pem"), "@store/free"} {
		r := w.start()
		r.face.run("new ssl cert "+name, nil)
		r.mustDeploy(name, next.pem())
		again := w.start()
		if got := again.face.run("show ssl cert "+name, nil); !strings.Contains(got, "Status: Unused\n") {
			t.Errorf("after a restart %s shows as\n%s", name, got)
		}
		again.reload()
		if b := again.Bundle(name); b == nil || string(b.KeyPEM()) != next.key {
			t.Errorf("after a reload %s is %v", name, b)
		}
		if got := again.face.run("del ssl cert "+name, nil); got != "Certificate '"+name+"' deleted!" {
			t.Error(got)
		}
		if got, _ := w.start().Show(name); got != "" {
			t.Errorf("%s was deleted and is back after a restart", name)
		}
	}
	checkModes(t, w.state)
}

// checkModes wants nothing in the state directory to be readable by others.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		if info, _ := d.Info(); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
}

// TestBehindASymlinkTheStateDirectoryHoldsTheVersionUntilTheFileChanges plays certbot's live/ directory.
func TestBehindASymlinkTheStateDirectoryHoldsTheVersionUntilTheFileChanges(t *testing.T) {
	w := newWorld(t, oneFile)
	first, second, renewed := newPair(t, "a.example"), newPair(t, "a.example"), newPair(t, "a.example")
	w.write("archive1.pem", first.pem())
	if err := os.Symlink("archive1.pem", w.path("one.pem")); err != nil {
		t.Fatal(err)
	}
	r := w.start()
	r.mustDeploy(w.path("one.pem"), second.pem())
	if w.read("archive1.pem") != first.pem() {
		t.Fatal("the file behind the link was changed")
	}
	again := w.start()
	again.serves("a.example", second)

	// going back to what the file holds must not leave the second version waiting
	again.mustDeploy(w.path("one.pem"), first.pem())
	back := w.start()
	back.serves("a.example", first)
	back.mustDeploy(w.path("one.pem"), second.pem())

	w.write("archive2.pem", renewed.pem())
	if err := os.Remove(w.path("one.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("archive2.pem", w.path("one.pem")); err != nil {
		t.Fatal(err)
	}
	w.start().serves("a.example", renewed)
	w.write("archive2.pem", first.pem()) // the old content again: what superseded it once is gone
	w.start().serves("a.example", first)
}

// refuseIn fails every change below a directory.
func refuseIn(dir string, err error) func(host.Step, string) error {
	return func(_ host.Step, name string) error {
		if filepath.Dir(name) == dir {
			return err
		}
		return nil
	}
}

func TestInAReadOnlyDirectoryTheStateDirectoryHoldsTheVersion(t *testing.T) {
	for _, errno := range []error{syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		w := newWorld(t, oneFile)
		old, next := newPair(t, "a.example"), newPair(t, "a.example")
		w.write("one.pem", old.pem())
		w.fault = refuseIn(w.dir, errno)
		w.start().mustDeploy(w.path("one.pem"), next.pem())
		w.start().serves("a.example", next)

		w.locked = true // and nobody's state: memory only, which is said
		third := newPair(t, "a.example")
		r := w.start()
		got := r.deploy(w.path("one.pem"), third.pem())
		if !strings.Contains(got, "in memory only") || !strings.HasSuffix(got, "Success!") {
			t.Errorf("%v: commit without any place to keep it: %s", errno, got)
		}
		r.serves("a.example", third)
		r.reload()
		r.serves("a.example", third)
	}
}

func TestABrokenDiskRefusesTheCommitAndTheOldOneServes(t *testing.T) {
	for _, errno := range []error{syscall.EIO, syscall.EMFILE} {
		w := newWorld(t, oneFile)
		old, next := newPair(t, "a.example"), newPair(t, "a.example")
		w.write("one.pem", old.pem())
		r := w.start()
		w.fault = refuseIn(w.dir, errno)
		got := r.deploy(w.path("one.pem"), next.pem())
		want := fmt.Sprintf("Committing %s.\ncannot write '%s': %v\nFailed!", w.path("one.pem"), w.path("one.pem"), errno)
		if got != want {
			t.Errorf("commit on a broken disk answers %q, want %q", got, want)
		}
		r.serves("a.example", old)
		if len(w.events) == 0 || w.events[len(w.events)-1].Kind != event.CertUnsaved {
			t.Errorf("no event tells of it: %v", w.events)
		}
		w.fault = nil
		r.mustDeploy(w.path("one.pem"), next.pem()) // "Transaction created": the failed one is gone
		r.serves("a.example", next)
	}
}

func TestOneBadCertificateNeverStopsTheOthers(t *testing.T) {
	w := newWorld(t, oneDir)
	good := newPair(t, "good.example")
	other := newPair(t, "other.example")
	w.write("good.pem", good.pem())
	w.write("a-garbage.pem", "not a certificate\n")
	w.write("b-mismatch.pem", good.cert+other.key)
	w.write("c-nokey.pem", good.cert)
	cut := strings.Split(other.key, "\n")
	w.write("d-cut.pem", other.cert+strings.Join(cut[:2], "\n"))
	w.write("e-empty.pem", "")
	r := w.start()
	r.serves("good.example", good)
	want := map[string]string{
		"a-garbage.pem":  "unable to load certificate from file '%s': no start line.",
		"b-mismatch.pem": "inconsistencies between private key and certificate loaded '%s'.",
		"c-nokey.pem":    "No Private Key found in '%s.key'.",
		"d-cut.pem":      "unable to load private key from file '%s' (bad end line (line 10)).",
		"e-empty.pem":    "unable to load certificate from file '%s': no start line.",
	}
	lines := strings.Count(other.cert, "\n") + 2
	want["d-cut.pem"] = strings.Replace(want["d-cut.pem"], "line 10", fmt.Sprintf("line %d", lines), 1)
	for _, p := range r.plan.Problems() {
		base := filepath.Base(p.Name)
		if text := fmt.Sprintf(want[base], p.Name); !p.Fatal || p.Text != text {
			t.Errorf("problem of %s is %q (fatal %v), want %q", base, p.Text, p.Fatal, text)
		}
		delete(want, base)
	}
	if len(want) > 0 {
		t.Errorf("nothing was said of %v", want)
	}
	// a reload with a file that went bad keeps the last good version
	w.write("good.pem", good.cert)
	r.reload()
	r.serves("good.example", good)
	// and a commit makes a bad one good
	r.mustDeploy(w.path("c-nokey.pem"), other.pem())
	r.serves("other.example", other)
	w.start().serves("other.example", other)
}

// splitFiles declares one.pem with key, OCSP issuer and SCTs in files of their own.
func splitFiles(w *world, p *Plan) []error {
	src, err := NewSource("@s/one", w.path("one.crt"), FromStore, []cert.LoadSetting{{Name: "key", Arg: w.path("one.key")}}, Bases{})
	src.Persist, src.Pos = true, "cfg:1"
	return unjoin(errors.Join(err, p.Declare(src)))
}

func TestSplitFilesAreReplacedTogether(t *testing.T) {
	w := newWorld(t, splitFiles)
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.crt", old.cert)
	w.write("one.key", old.key)
	r := w.start()
	r.mustDeploy("@s/one", next.pem())
	if w.read("one.crt") != next.cert || w.read("one.key") != next.key {
		t.Error("the files do not hold the new pair")
	}
	w.start().serves("a.example", next)
	if left, _ := filepath.Glob(w.state + "/redo/*"); len(left) > 0 {
		t.Errorf("finished redo records were left: %v", left)
	}
	checkModes(t, w.state)
}

func TestAStaleSCTListIsNotServedWithTheNextCertificate(t *testing.T) {
	w := newWorld(t, oneFile)
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	w.write("one.pem.sctl", "\x00\x05\x00\x03abc")
	r := w.start()
	if got := r.Bundle(w.path("one.pem")).SCTL(); len(got) != 7 {
		t.Fatalf("SCT list of the first certificate: %q", got)
	}
	r.mustDeploy(w.path("one.pem"), next.pem())
	after := w.start()
	after.serves("a.example", next)
	c, err := after.Bundle(w.path("one.pem")).TLS()
	if err != nil || len(c.SignedCertificateTimestamps) != 0 {
		t.Errorf("the next certificate is sent with SCTs %q, %v", c.SignedCertificateTimestamps, err)
	}
}

func TestACommitThatFollowsAnUnfinishedRedoWins(t *testing.T) {
	w := newWorld(t, splitFiles)
	a, b, c := newPair(t, "a.example"), newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.crt", a.cert)
	w.write("one.key", a.key)
	r := w.start()
	w.fault = func(_ host.Step, name string) error {
		if name == w.path("one.key") {
			return syscall.ENOSPC
		}
		return nil
	}
	if got := r.deploy("@s/one", b.pem()); !strings.Contains(got, "the rest is in the redo log") || !strings.HasSuffix(got, "Success!") {
		t.Fatalf("commit with one file refused after the point of no return: %s", got)
	}
	w.start().serves("a.example", b) // half on disk, whole for whoever reads it
	if got := r.deploy("@s/one", c.pem()); !strings.Contains(got, "is not finished") {
		t.Fatalf("a commit over an unfinished one: %s", got)
	}
	w.fault = nil
	r.mustDeploy("@s/one", c.pem())
	w.start().serves("a.example", c)
	if w.read("one.crt") != c.cert || w.read("one.key") != c.key {
		t.Error("the files hold another pair")
	}
}

func TestAnOperatorsEditWinsOverAnUnfinishedRedo(t *testing.T) {
	w := newWorld(t, splitFiles)
	a, b, edit := newPair(t, "a.example"), newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.crt", a.cert)
	w.write("one.key", a.key)
	r := w.start()
	w.fault = refuseIn(w.dir, syscall.ENOSPC)
	r.deploy("@s/one", b.pem())
	w.fault = nil
	w.write("one.crt", edit.cert)
	w.write("one.key", edit.key)
	w.start().serves("a.example", edit)
}

// TestNoCrashLeavesAHalfChange kills the process at every step of a commit, one run per step, until a run needs no more: after each the next
// process serves the old or the new certificate, whole, and the new one if the answer was given.
func TestNoCrashLeavesAHalfChange(t *testing.T) {
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	single := func(w *world) { w.write("one.pem", old.pem()) }
	stories := []struct {
		name    string
		plan    func(*world, *Plan) []error
		prepare func(w *world)
		target  func(w *world) string
	}{
		{"one file", oneFile, single, func(w *world) string { return w.path("one.pem") }},
		{"certificate and key apart", splitFiles, func(w *world) { w.write("one.crt", old.cert); w.write("one.key", old.key) },
			func(*world) string { return "@s/one" }},
		{"behind a link", oneFile, func(w *world) {
			w.write("real.pem", old.pem())
			if err := os.Symlink("real.pem", w.path("one.pem")); err != nil {
				t.Fatal(err)
			}
		}, func(w *world) string { return w.path("one.pem") }},
		{"one file with a kept version", oneFile, func(w *world) {
			between := newPair(t, "a.example")
			w.write("one.pem", between.pem())
			w.fault = refuseIn(w.dir, syscall.EROFS)
			w.start().mustDeploy(w.path("one.pem"), old.pem())
			w.fault = nil
		}, func(w *world) string { return w.path("one.pem") }},
	}
	for _, story := range stories {
		for _, failure := range []error{host.ErrKilled, syscall.ENOSPC, syscall.EIO} {
			t.Run(fmt.Sprintf("%s, %v", story.name, failure), func(t *testing.T) {
				steps := 0
				for n := 1; ; n++ {
					if n > 200 {
						t.Fatal("no end of steps")
					}
					w := newWorld(t, story.plan)
					story.prepare(w)
					r := w.start()
					count, dead := 0, false
					w.fault = func(step host.Step, name string) error {
						count++
						if count == n || dead {
							dead = errors.Is(failure, host.ErrKilled)
							return failure
						}
						return nil
					}
					answer := r.deploy(story.target(w), next.pem())
					w.fault = nil
					// a disk that is full at this step leaves a debt, which is said
					said := strings.HasSuffix(answer, "Success!") && !strings.Contains(answer, "is not on disk yet")
					if !dead && !strings.HasSuffix(answer, "Success!") {
						r.serves("a.example", old) // refused: what served before still serves
					}
					after := w.start()
					got := after.Bundle(story.target(w))
					if got == nil || len(fatal(after.plan)) > 0 {
						t.Fatalf("step %d: after the crash nothing can be served: %v", n, after.plan.Problems())
					}
					isNew := string(got.KeyPEM()) == next.key
					if !isNew && string(got.KeyPEM()) != old.key {
						t.Fatalf("step %d: after the crash a third certificate is served", n)
					}
					if err := got.CheckKey(); err != nil {
						t.Fatalf("step %d: %v", n, err)
					}
					if said && !isNew {
						t.Fatalf("step %d: Success! was answered and the change is lost", n)
					}
					if count < n {
						break
					}
					steps++
					// the machine is well again: the same deployment works
					after.mustDeploy(story.target(w), next.pem())
					w.start().serves("a.example", next)
				}
				if steps < 3 {
					t.Errorf("only %d steps were tried", steps)
				}
			})
		}
	}
}

func fatal(p *Plan) (list []Problem) {
	for _, pr := range p.Problems() {
		if pr.Fatal {
			list = append(list, pr)
		}
	}
	return list
}

func TestADamagedKeptVersionIsToldAndTheFileServes(t *testing.T) {
	w := newWorld(t, oneFile)
	old, next := newPair(t, "a.example"), newPair(t, "a.example")
	w.write("one.pem", old.pem())
	w.fault = refuseIn(w.dir, syscall.EROFS)
	w.start().mustDeploy(w.path("one.pem"), next.pem())
	path := keptPath(w.state, w.path("one.pem"))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(data); i += 97 {
		bad := append([]byte{}, data...)
		bad[i] ^= 0x20
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r := w.start()
		r.serves("a.example", old)
		if p := r.plan.Problems(); len(p) != 1 || p[0].Fatal || !strings.Contains(p[0].Text, path) {
			t.Fatalf("byte %d flipped: problems are %v, want one that names %s", i, p, path)
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	w.start().serves("a.example", next)
}
