package certstore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/cert"
	"gatehouse/internal/host"
)

// model is what the store should be, in a few numbers: certificates are 1 to 5, 0 is none.
type model struct {
	exists             bool
	committed, pending int
	saved              int  // what a restart finds
	listed             bool // stands in the directory's list, so it is in use
	inDir              bool // its file stands in the directory that the configuration names
}

// restart is what becomes of a name when the process is killed and started.
func (m *model) restart() {
	m.pending, m.committed, m.exists = 0, m.saved, m.saved > 0
	m.listed = m.inDir && m.exists
}

// do applies a command to the model and returns what the answer contains. With a broken disk, what would have to be written fails.
func (m *model) do(command string, p int, broken bool) (want string) {
	switch command {
	case "new":
		if m.exists {
			return "already exists!"
		}
		m.exists = true
		return "New empty"
	case "set":
		if !m.exists {
			return "not referenced"
		}
		was := m.pending
		m.pending = p
		if was > 0 {
			return "Transaction updated"
		}
		return "Transaction created"
	case "commit":
		if m.pending == 0 {
			return "No ongoing transaction! !"
		}
		p, m.pending = m.pending, 0
		if broken && m.saved != p {
			return "Failed!"
		}
		m.committed, m.saved = p, p
		return "Success!"
	case "abort":
		if m.pending == 0 {
			return "No ongoing transaction!"
		}
		m.pending = 0
		return "Transaction aborted"
	case "add":
		switch {
		case !m.exists:
			return "does not exist!"
		case m.committed == 0:
			return "is empty!"
		case m.listed:
			return "file already exists in this directory!"
		}
		m.listed = true
		return "Success!"
	case "remove":
		switch {
		case !m.exists:
			return "does not exist!"
		case m.committed == 0:
			return "is empty!"
		case !m.listed:
			return "can't be found"
		}
		m.listed = false
		return "deleted in crtlist"
	}
	switch { // del
	case m.pending > 0:
		return "ongoing transaction"
	case !m.exists:
		return "doesn't exist!"
	case m.listed:
		return "in use"
	case broken && !m.inDir && m.saved > 0:
		return "Can't remove"
	}
	m.exists, m.committed = false, 0
	if !m.inDir {
		m.saved = 0
	}
	return "deleted!"
}

// line is the command as the socket gets it.
func line(command, dir, name string) string {
	switch command {
	case "add", "remove":
		return map[string]string{"add": "add", "remove": "del"}[command] + " ssl crt-list " + dir + " " + name
	}
	return command + " ssl cert " + name
}

// TestNoSequenceOfCommandsLeavesTheStoreHalfChanged runs random commands, broken disks and kills against the model.
func TestNoSequenceOfCommandsLeavesTheStoreHalfChanged(t *testing.T) {
	var pairs [6]pair
	var bundles [6]*cert.Bundle
	for i := 1; i < len(pairs); i++ {
		pairs[i] = newPair(t, fmt.Sprintf("p%d.example", i))
		b, err := cert.Parse("", []byte(pairs[i].pem()))
		if err != nil {
			t.Fatal(err)
		}
		bundles[i] = b
	}
	commands := []string{"new", "set", "set", "commit", "commit", "abort", "add", "remove", "del"}
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(t, oneDir)
		w.write("start.pem", pairs[1].pem())
		names := []string{w.path("start.pem"), w.path("new.pem"), "free"}
		models := map[string]*model{names[0]: {exists: true, committed: 1, saved: 1, listed: true, inDir: true}, names[1]: {inDir: true}, names[2]: {}}
		r := w.start()
		var story []string
		for range 60 {
			name := names[random.IntN(len(names))]
			if random.IntN(15) == 0 {
				story = append(story, "kill and start")
				r = w.start()
				for _, m := range models {
					m.restart()
				}
			} else {
				command, p, broken := commands[random.IntN(len(commands))], 1+random.IntN(5), random.IntN(4) == 0
				if broken {
					w.fault = func(host.Step, string) error { return syscall.EIO }
				}
				text := line(command, w.dir, name)
				story = append(story, fmt.Sprintf("%s (certificate %d, broken disk %v)", text, p, broken))
				var payload []byte
				if command == "set" {
					payload = []byte(pairs[p].pem())
				}
				got, want := r.face.run(text, payload), models[name].do(command, p, broken)
				w.fault = nil
				if !strings.Contains(got, want) {
					t.Fatalf("seed %d:\n%s\nanswer %q, want %q", seed, strings.Join(story, "\n"), got, want)
				}
			}
			for name, m := range models {
				if err := m.compare(r, name, bundles[:]); err != nil {
					t.Fatalf("seed %d:\n%s\n%s: %v", seed, strings.Join(story, "\n"), name, err)
				}
			}
		}
	}
}

// compare says how the store differs from the model.
func (m *model) compare(r *running, name string, bundles []*cert.Bundle) error {
	shown, err := r.Show(name)
	if (err == nil) != m.exists {
		return fmt.Errorf("exists is %v, want %v", err == nil, m.exists)
	}
	b := r.Bundle(name)
	switch {
	case m.committed == 0 && b != nil:
		return fmt.Errorf("has a certificate, want none")
	case m.committed > 0 && (b == nil || !b.SamePEM(bundles[m.committed])):
		return fmt.Errorf("does not have certificate %d", m.committed)
	case m.exists && m.committed == 0 && !strings.Contains(shown, "Status: Empty"):
		return fmt.Errorf("shows as %s", shown)
	}
	pending, err := r.Dump("*" + name)
	if (err == nil) != (m.pending > 0) {
		return fmt.Errorf("an open transaction is there: %v, want certificate %d", err == nil, m.pending)
	}
	if m.pending > 0 && string(pending) != string(bundles[m.pending].PEM()) {
		return fmt.Errorf("another certificate than %d is pending", m.pending)
	}
	for _, e := range r.bind.index.Entries() {
		if e.Name != name {
			continue
		}
		if !m.listed || !e.Instance().Bundle.SamePEM(bundles[m.committed]) {
			return fmt.Errorf("the bind line serves %v, want listed %v with certificate %d", e.Instance().Bundle.Names, m.listed, m.committed)
		}
		return nil
	}
	if m.listed && m.committed > 0 {
		return fmt.Errorf("the bind line does not serve it")
	}
	return nil
}
