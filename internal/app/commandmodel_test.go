package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// versions is how many certificates every name has in the command fuzz; 0 stands for none.
const versions = 4

// commandModel is what the store should be after a sequence of commands: certificates are numbers from 1 to versions.
type commandModel struct {
	names map[string]*nameModel
	files map[string]*trustModel // CA and CRL files
	open  map[string]map[string]*memberModel
}

// nameModel is one certificate.
type nameModel struct {
	exists, listed     bool
	committed, saved   int
	pending            pairModel
	inDir              bool         // its file is in the directory that the configuration names
	was                map[int]bool // what a rollback can bring back
	host               string
	certs, keys, leafs [versions + 1]string // PEM
}

// pairModel is what a transaction holds: certificate and key, which need not fit.
type pairModel struct{ cert, key int }

// memberModel is a name in a transaction over many names.
type memberModel struct {
	pairModel
	fresh bool
}

// trustModel is a CA or CRL file that nothing uses.
type trustModel struct {
	kind, short        string
	exists             bool
	committed, pending int // 0: empty, none
}

func (p pairModel) open() bool  { return p.cert > 0 }
func (p pairModel) whole() bool { return p.cert == p.key }

// owner is the transaction over many names that a name is in, "" for none.
func (m *commandModel) owner(name string) string {
	for t, members := range m.open {
		if members[name] != nil {
			return t
		}
	}
	return ""
}

func (m *commandModel) newCert(name string) string {
	n := m.names[name]
	switch {
	case n.exists:
		return "already exists!"
	case m.owner(name) != "":
		return "is in the open transaction"
	}
	n.exists = true
	return "New empty certificate store '" + name + "'!"
}

// put is set ssl cert with a whole certificate, or with only a key.
func (p pairModel) put(v int, onlyKey bool) (next pairModel, ok bool) {
	if !onlyKey {
		return pairModel{v, v}, true
	}
	return pairModel{p.cert, v}, p.cert > 0
}

func (m *commandModel) set(name string, v int, onlyKey bool) string {
	n := m.names[name]
	switch {
	case !n.exists:
		return "which is not referenced by the configuration!"
	case m.owner(name) != "":
		return "is in the open transaction"
	}
	base := n.pending
	if !base.open() {
		base = pairModel{n.committed, n.committed}
	}
	next, ok := base.put(v, onlyKey)
	if !ok {
		return "has no certificate yet"
	}
	verb := "created"
	if n.pending.open() {
		verb = "updated"
	}
	n.pending = next
	return "Transaction " + verb + " for certificate " + name + "!"
}

func (n *nameModel) publish(v int) {
	n.exists, n.committed, n.saved = true, v, v
	n.was[v] = true
}

func (m *commandModel) commit(name string) string {
	n := m.names[name]
	switch {
	case !n.pending.open():
		return "No ongoing transaction! !"
	case !n.pending.whole():
		return "inconsistencies between private key and certificate"
	}
	n.publish(n.pending.cert)
	n.pending = pairModel{}
	return "\nSuccess!"
}

func (m *commandModel) abort(name string) string {
	n := m.names[name]
	if !n.pending.open() {
		return "No ongoing transaction!"
	}
	n.pending = pairModel{}
	return "Transaction aborted for certificate '" + name + "'!"
}

func (m *commandModel) del(name string) string {
	n := m.names[name]
	switch {
	case n.pending.open(), m.owner(name) != "":
		return "ongoing transaction for the certificate"
	case !n.exists:
		return "doesn't exist!"
	case n.listed:
		return "in use, can't be deleted!"
	}
	n.exists, n.committed = false, 0
	if !n.inDir {
		n.saved = 0
	}
	return "Certificate '" + name + "' deleted!"
}

// line is add (or del) ssl crt-list of the directory.
func (m *commandModel) line(name string, add bool) string {
	n := m.names[name]
	switch {
	case !n.exists:
		return "does not exist!"
	case n.committed == 0:
		return "is empty!"
	case add && n.listed:
		return "file already exists in this directory!"
	case !add && !n.listed:
		return "can't be found"
	}
	n.listed = add
	if add {
		return "\nSuccess!"
	}
	return "deleted in crtlist"
}

func (m *commandModel) begin(t string) string {
	if m.open[t] != nil {
		return "already exists!"
	}
	m.open[t] = map[string]*memberModel{}
	return "Transaction '" + t + "' begun!"
}

func (m *commandModel) newIn(t, name string) string {
	n, members := m.names[name], m.open[t]
	switch {
	case members == nil:
		return "No such transaction '" + t + "'!"
	case n.exists || members[name] != nil:
		return "already exists!"
	case m.owner(name) != "":
		return "is in the open transaction"
	}
	members[name] = &memberModel{fresh: true}
	return "New empty certificate store '" + name + "'!"
}

func (m *commandModel) setIn(t, name string, v int, onlyKey bool) string {
	n, members := m.names[name], m.open[t]
	switch {
	case members == nil:
		return "No such transaction '" + t + "'!"
	case !n.exists && members[name] == nil:
		return "which is not referenced by the configuration!"
	case n.pending.open():
		return "has a transaction of its own"
	case m.owner(name) != "" && members[name] == nil:
		return "is in the open transaction"
	}
	base := pairModel{n.committed, n.committed}
	if old := members[name]; old != nil && old.open() {
		base = old.pairModel
	}
	next, ok := base.put(v, onlyKey)
	if !ok {
		return "has no certificate yet"
	}
	members[name] = &memberModel{next, members[name] != nil && members[name].fresh}
	return "Transaction '" + t + "' updated for certificate " + name + "!"
}

func (m *commandModel) commitAll(t string) string {
	members := m.open[t]
	if members == nil {
		return "No such transaction '" + t + "'!"
	}
	for name, mem := range members {
		if m.names[name].exists == mem.fresh || !mem.whole() {
			return "Can't commit '" + t + "'!"
		}
	}
	for name, mem := range members {
		m.names[name].exists = true
		if mem.open() {
			m.names[name].publish(mem.cert)
		}
	}
	delete(m.open, t)
	return "\nSuccess!"
}

func (m *commandModel) abortAll(t string) string {
	if m.open[t] == nil {
		return "No such transaction '" + t + "'!"
	}
	delete(m.open, t)
	return "Transaction '" + t + "' aborted!"
}

// trust is a command on a CA or CRL file.
func (m *commandModel) trust(verb, name string, v int) string {
	f := m.files[name]
	switch verb {
	case "new":
		if f.exists {
			return "already exists!"
		}
		f.exists = true
		return "New " + f.short + " file created '" + name + "'!"
	case "set":
		if !f.exists {
			return "which is not referenced by the configuration!"
		}
		was := f.pending
		f.pending = v
		if was > 0 {
			return "transaction updated for " + f.short
		}
		return "transaction created for " + f.short
	case "commit":
		if f.pending == 0 {
			return "No ongoing transaction! !"
		}
		f.committed, f.pending = f.pending, 0
		return "\nSuccess!"
	case "abort":
		if f.pending == 0 {
			return "No ongoing transaction!"
		}
		f.pending = 0
		return "Transaction aborted for certificate '" + name + "'!"
	}
	switch { // del
	case f.pending > 0:
		return "ongoing transaction"
	case !f.exists:
		return "doesn't exist!"
	}
	f.exists, f.committed = false, 0
	return f.short + " file '" + name + "' deleted!"
}

// held is the transaction that a name is in, its own or one over many names.
func (m *commandModel) held(name string) pairModel {
	if t := m.owner(name); t != "" {
		return m.open[t][name].pairModel
	}
	return m.names[name].pending
}

// reload reads the directory again: what stands there is in use, with what was committed last. Open transactions go on; empty names and files without
// one are gone.
func (m *commandModel) reload() {
	for _, f := range m.files {
		f.exists = f.committed > 0 || f.pending > 0
	}
	for name, n := range m.names {
		if n.committed == 0 && !m.held(name).open() {
			n.exists = false
		}
		if !n.inDir || n.saved == 0 {
			continue
		}
		if !n.exists {
			n.exists, n.committed = true, n.saved
		}
		if n.committed > 0 {
			n.listed = true
		}
	}
}

// kill is what a start finds after kill -9.
func (m *commandModel) kill() {
	clear(m.open)
	for _, n := range m.names {
		n.pending, n.committed, n.exists = pairModel{}, n.saved, n.saved > 0
		n.listed = n.inDir && n.exists
	}
	for _, f := range m.files {
		f.pending = 0
		f.exists = f.committed > 0
	}
}

func newCommandModel(t testing.TB, dir string) *commandModel {
	t.Helper()
	m := &commandModel{names: map[string]*nameModel{}, files: map[string]*trustModel{}, open: map[string]map[string]*memberModel{}}
	for i, name := range []string{dir + "/certs/a.pem", dir + "/certs/b.pem", dir + "/certs/new.pem", "loose"} {
		n := &nameModel{inDir: name != "loose", was: map[int]bool{}, host: fmt.Sprintf("n%d.example", i)}
		for v := 1; v <= versions; v++ {
			n.certs[v], n.keys[v], n.leafs[v] = makePair(t, n.host, int64(10*i+v))
		}
		m.names[name] = n
	}
	m.files["ca-loose"] = &trustModel{kind: "ca-file", short: "CA"}
	m.files["crl-loose"] = &trustModel{kind: "crl-file", short: "CRL"}
	return m
}

// makePair makes a certificate that signed itself, and returns all of it, its key, and its certificate alone as PEM.
func makePair(t testing.TB, host string, serial int64) (whole, key, leaf string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	p8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	leaf = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p8}))
	return leaf + key, key, leaf
}

// sorted names, so that the same tape tells the same story.
func (m *commandModel) nameList() []string { return slices.Sorted(maps.Keys(m.names)) }

// contains asks whether an answer says what the model wants; "\nSuccess!" wants a line of its own, which clients look for.
func contains(answer, want string) bool {
	if line, ok := strings.CutPrefix(want, "\n"); ok {
		return slices.Contains(strings.Split(answer, "\n"), line)
	}
	return strings.Contains(answer, want)
}
