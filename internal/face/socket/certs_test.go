package socket_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/acme"
	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/host"
)

// newPEM makes a certificate and its key for one name.
func newPEM(t *testing.T, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24 * 30)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
}

// bindLine follows one list as `bind ... ssl crt DIR` does.
type bindLine struct {
	store  *certstore.Store
	refuse error // what building a certificate meets
}

func (b *bindLine) PrepareAdd(cert.Line, *cert.Bundle) error { return b.refuse }
func (b *bindLine) Add(line cert.Line, _ *cert.Bundle)       { b.store.Attach(line.Cert, b) }
func (b *bindLine) Remove(cert.Line)                         {}
func (b *bindLine) Defaults(cert.Line) []string              { return nil }
func (b *bindLine) Prepare(*cert.Bundle) error               { return b.refuse }
func (b *bindLine) Publish(*cert.Bundle)                     {}

// ourCerts serves a store with one directory of certificates, which one bind line uses.
func ourCerts(t *testing.T, dir string) (sock string, bind *bindLine) {
	t.Helper()
	store := certstore.New(certstore.Options{Host: host.Direct{}})
	plan := store.Plan(certstore.LoadRules{})
	lines, errs := plan.DeclareDir(dir, true)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	bind = &bindLine{store: store}
	store.Apply(plan, func() {
		store.AttachList(strings.TrimRight(dir, "/"), bind)
		for _, line := range lines {
			bind.Add(line, store.Bundle(line.Cert))
		}
	})
	return serveUnix(t, newWorkerWith(t, socket.Options{Process: newFakeProcess(), Certificates: store}), t.TempDir(), "admin"), bind
}

// theirCerts runs a haproxy with the same directory.
func theirCerts(t *testing.T, dir string) (sock string) {
	t.Helper()
	bin, _ := findHAProxy(t)
	cfg := "global\n stats socket {dir}/admin.sock level admin\ndefaults\n mode http\n timeout client 1s\n timeout connect 1s\n" +
		" timeout server 1s\nfrontend f\n bind unix@{dir}/f.sock ssl crt " + dir + "\n"
	return filepath.Join(startHAProxyWith(t, bin, cfg, "admin.sock", "-db"), "admin.sock")
}

// servers are ours and a real one; conversations hold with both.
var servers = map[string]func(t *testing.T, dir string) string{
	"ours":    func(t *testing.T, dir string) string { sock, _ := ourCerts(t, dir); return sock },
	"haproxy": theirCerts,
}

// certDir is a directory with one certificate, a.pem.
func certDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.pem"), newPEM(t, "a.example"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDeployHookConversation is what acme.sh's haproxy hook says and looks for, one connection per command, both for a certificate
// that is there and for a new one.
func TestDeployHookConversation(t *testing.T) {
	for server, start := range servers {
		for _, name := range []string{"a.pem", "new.pem"} {
			t.Run(server+"/"+name, func(t *testing.T) {
				dir := certDir(t)
				sock := start(t, dir+"/")
				file := filepath.Join(dir, name)
				say := func(command, want string) {
					t.Helper()
					if got := exchange(t, "unix", sock, command+"\n"); got != want {
						t.Errorf("%.60q is answered\n%s\nwant\n%s", command, got, want)
					}
				}
				say("show ssl cert", "# filename\n"+dir+"/a.pem\n\n")
				data := newPEM(t, "b.example")
				if err := os.WriteFile(file, data, 0o600); err != nil { // the hook writes the file first
					t.Fatal(err)
				}
				if name == "new.pem" {
					say("show ssl crt-list", dir+"\n\n")
					say("new ssl cert "+file, "New empty certificate store '"+file+"'!\n\n")
				}
				say("set ssl cert "+file+" <<\n"+string(data), "Transaction created for certificate "+file+"!\n\n")
				dots := "."
				if name == "new.pem" {
					dots = "" // nothing uses it yet
				}
				say("commit ssl cert "+file, "Committing "+file+dots+"\nSuccess!\n\n")
				if name == "new.pem" {
					say("add ssl crt-list "+dir+" "+file, "Inserting certificate '"+file+"' in crt-list '"+dir+"'.\nSuccess!\n\n")
					say("show ssl cert", "# filename\n"+dir+"/a.pem\n"+file+"\n\n")
				}
			})
		}
	}
}

func TestTransactionsAnswerAsHAProxy(t *testing.T) {
	for server, start := range servers {
		t.Run(server, func(t *testing.T) {
			if server == "haproxy" {
				if _, version := findHAProxy(t); older(version, "3.0") {
					t.Skipf("HAProxy %s has no end patterns of payloads", version)
				}
			}
			dir := certDir(t)
			sock := start(t, dir)
			a := dir + "/a.pem"
			data := string(newPEM(t, "c.example"))
			spaced := strings.ReplaceAll(data, "-----BEGIN P", "\n\n-----BEGIN P")
			big := strings.Repeat(strings.Repeat("#", 99)+"\n", 700) + data // 70 kB; what is no PEM is skipped
			for _, step := range []struct{ say, want string }{
				{"new ssl cert", "'new ssl cert' expects a filename\n\n"},
				{"new ssl cert " + a, "Certificate '" + a + "' already exists!\n\n"},
				{"set ssl cert", "'set ssl cert' expects a filename and a certificate as a payload\n\n"},
				{"set ssl cert " + a, "'set ssl cert' expects a filename and a certificate as a payload\n\n"},
				{"set ssl cert " + a + " <<\n", "'set ssl cert' expects a filename and a certificate as a payload\n\n"},
				{"set ssl cert nope <<E\n" + data + "E", "Can't replace a certificate which is not referenced by the configuration!\nCan't update nope!\n\n"},
				{"commit ssl cert", "'commit ssl cert' expects a filename\n\n"},
				{"commit ssl cert " + a, "No ongoing transaction! !\nCan't commit " + a + "!\n\n"},
				{"abort ssl cert", "'abort ssl cert' expects a filename\n\n"},
				{"abort ssl cert " + a, "No ongoing transaction!\n\n"},
				{"set ssl cert " + a + " <<%E%\n" + spaced + "%E%", "Transaction created for certificate " + a + "!\n\n"},
				{"set ssl cert " + a + " <<%E%\n" + big + "%E%", "Transaction updated for certificate " + a + "!\n\n"},
				{"show ssl cert", "# transaction\n*" + a + "\n\n# filename\n" + a + "\n\n"},
				{"abort ssl cert " + a, "Transaction aborted for certificate '" + a + "'!\n\n"},
				{"set ssl cert " + a + " <<%E%;show version", "'set ssl cert' expects a filename and a certificate as a payload\n\n{version}\n\n"},
				{"del ssl cert", "'del ssl cert' expects a certificate name\n\n"},
				{"del ssl cert nope", "Can't remove the certificate: certificate 'nope' doesn't exist!\n\n"},
				{"del ssl cert " + a, "Can't remove the certificate: certificate '" + a + "' in use, can't be deleted!\n\n"},
				{"show ssl cert nope", "Can't display the certificate: Not found or the certificate is a bundle!\n\n"},
				{"add ssl crt-list", "'add ssl crtlist' expects a filename and a certificate name\n\n"},
				{"add ssl crt-list " + dir + "/", "'add ssl crtlist' expects a filename and a certificate name\n\n"},
				{"add ssl crt-list nope " + a, "Can't edit the crt-list: crt-list 'nope' does not exist!\n\n"},
				{"add ssl crt-list " + dir + "/ nope", "Can't edit the crt-list: certificate 'nope' does not exist!\n\n"},
				{"del ssl crt-list", "'del ssl crtlist' expects a filename and a certificate name\n\n"},
				{"del ssl crt-list nope " + a, "Can't delete the entry: crt-list 'nope' does not exist!\n\n"},
				{"show ssl crt-list -n", "'show ssl crt-list -n' expects a filename or a directory\n\n"},
				{"show ssl crt-list nope", "didn't find the specified filename\n\n"},
				{"show ssl crt-list " + dir, "# " + dir + "\n" + a + "\n\n"},
				{"new ssl cert x;del ssl cert x", "New empty certificate store 'x'!\n\nCertificate 'x' deleted!\n\n"},
			} {
				tr := &transcript{}
				got := tr.normalise(exchange(t, "unix", sock, step.say+"\n"), "{none}")
				// a blank line between the transaction and the names came and went with versions
				if strings.ReplaceAll(got, "\n\n#", "\n#") != strings.ReplaceAll(step.want, "\n\n#", "\n#") {
					t.Errorf("%.80q is answered\n%s\nwant\n%s", step.say, got, step.want)
				}
			}
		})
	}
}

// TestScriptsWithCRLFWork is ours alone: HAProxy waits for ever for the end of such a payload.
func TestScriptsWithCRLFWork(t *testing.T) {
	dir := certDir(t)
	sock, _ := ourCerts(t, dir)
	a := dir + "/a.pem"
	data := strings.ReplaceAll(string(newPEM(t, "d.example")), "\n", "\r\n")
	if got, want := exchange(t, "unix", sock, "set ssl cert "+a+" <<\r\n"+data+"\r\n"), "Transaction created for certificate "+a+"!\n\n"; got != want {
		t.Errorf("set: %q, want %q", got, want)
	}
	if got, want := exchange(t, "unix", sock, "commit ssl cert "+a+"\r\n"), "Committing "+a+".\nSuccess!\n\n"; got != want {
		t.Errorf("commit: %q, want %q", got, want)
	}
}

func TestABuildThatFailsSaysSoBelowItsTitle(t *testing.T) {
	dir := certDir(t)
	sock, bind := ourCerts(t, dir)
	a := dir + "/a.pem"
	exchange(t, "unix", sock, "set ssl cert "+a+" <<E\n"+string(newPEM(t, "e.example"))+"E\n")
	bind.refuse = errors.New("this bind line cannot have it")
	got := exchange(t, "unix", sock, "commit ssl cert "+a+"\n")
	if want := "Committing " + a + "\nthis bind line cannot have it\nFailed!\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDumpIsTheFile(t *testing.T) {
	dir := certDir(t)
	sock, _ := ourCerts(t, dir)
	got := exchange(t, "unix", sock, "dump ssl cert "+dir+"/a.pem\n")
	data, err := os.ReadFile(dir + "/a.pem")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]bool{}
	for rest := []byte(got); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks[string(b.Bytes)] = true
	}
	n := 0
	for rest := data; ; n++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if !blocks[string(b.Bytes)] {
			t.Errorf("%s is missing in\n%s", b.Type, got)
		}
	}
	if n != len(blocks) || !strings.HasSuffix(got, "-----\n\n") {
		t.Errorf("%d blocks, %d in the file; the answer ends %q", len(blocks), n, got[len(got)-10:])
	}
}

// TestSocatScripts runs a shell script with socat, as people write them.
func TestSocatScripts(t *testing.T) {
	if _, err := exec.LookPath("socat"); err != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "all" {
			t.Fatalf("%v; install the package socat", err)
		}
		t.Skipf("%v; install the package socat", err)
	}
	dir := certDir(t)
	sock, _ := ourCerts(t, dir)
	pemFile := filepath.Join(t.TempDir(), "big.pem")
	data := append(bytes.Repeat([]byte(strings.Repeat("#", 63)+"\n\n"), 1500), newPEM(t, "f.example")...)
	if err := os.WriteFile(pemFile, data, 0o600); err != nil {
		t.Fatal(err)
	}
	script := `
A=$1 SOCK=$2 PEM=$3
echo "set ssl cert $A <<%EOF%
$(cat $PEM)
%EOF%" | socat - UNIX:$SOCK
echo "commit ssl cert $A" | socat UNIX:$SOCK -
echo "prompt
show version
quit" | socat - UNIX:$SOCK
printf 'show cli level\r\n' | socat - UNIX:$SOCK
`
	a := dir + "/a.pem"
	out, err := exec.Command("sh", "-c", script, "sh", a, sock, pemFile).CombinedOutput()
	want := "Transaction created for certificate " + a + "!\n\nCommitting " + a + ".\nSuccess!\n\n\n> 3.4.0\n\n> admin\n\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

// fakeACME has one certificate that is due and one that is not.
type fakeACME struct{ renewed *[]string }

func (f fakeACME) Renew(name string) error {
	if name == "gone" {
		return fmt.Errorf("Can't find the certificate '%s'.", name)
	}
	*f.renewed = append(*f.renewed, name)
	return nil
}

func (fakeACME) Status() []acme.Row {
	return []acme.Row{
		{Certificate: "a.pem", Section: "LE", State: "Scheduled", Expires: time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC),
			Scheduled: time.Date(2000, 1, 2, 3, 4, 5, 0, time.UTC)},
		{Certificate: "b.pem", Section: "LE", State: "Stopped"},
	}
}

func TestACMECommands(t *testing.T) {
	var renewed []string
	w := newWorkerWith(t, socket.Options{Process: newFakeProcess(), ACME: fakeACME{&renewed}})
	sock := serveUnix(t, w, t.TempDir(), "admin")
	for say, want := range map[string]string{
		"acme renew":       ": not enough parameters\n\n",
		"acme renew gone":  "Can't find the certificate 'gone'.\n\n",
		"acme renew a.pem": "\n",
	} {
		if got := exchange(t, "unix", sock, say+"\n"); got != want {
			t.Errorf("%s is answered %q, want %q", say, got, want)
		}
	}
	if len(renewed) != 1 || renewed[0] != "a.pem" {
		t.Errorf("renewed %q", renewed)
	}
	lines := strings.Split(exchange(t, "unix", sock, "acme status\n"), "\n")
	header := "# certificate\tsection\tstate\texpiration date (UTC)\texpires in\tscheduled date (UTC)\tscheduled in"
	if len(lines) != 5 || lines[0] != header || lines[2] != "b.pem\tLE\tStopped\t-\t-\t-\t-" ||
		!strings.HasPrefix(lines[1], "a.pem\tLE\tScheduled\t2100-01-02T03:04:05Z\t") || !strings.HasSuffix(lines[1], "\t2000-01-02T03:04:05Z\t0d 0h00m00s") {
		t.Errorf("acme status:\n%s", strings.Join(lines, "\n"))
	}
}
