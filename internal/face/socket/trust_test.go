package socket_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/certstore"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/host"
)

// newCA makes an authority and an empty list of it, both PEM.
func newCA(t *testing.T, name string, serial int64) (ca, crl string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte{byte(serial)},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(4000000000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Unix(1700000000, 0), NextUpdate: time.Unix(4000000000, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(0x1007), RevocationTime: time.Unix(1700000000, 0)}}}, c, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}))
}

// everywhere is a bind line with one certificate that verifies by every file of a directory.
type everywhere string

func (d everywhere) Uses(name string) int {
	if strings.HasPrefix(name, string(d)) {
		return 1
	}
	return 0
}

// trustServers are ours and a real one, each with a bind line that verifies by ca.pem and crl.pem of dir.
var trustServers = map[string]func(t *testing.T, dir string) string{
	"ours": func(t *testing.T, dir string) string {
		store := certstore.New(certstore.Options{Host: host.Direct{}})
		plan := store.Plan(certstore.LoadRules{Ephemeral: true})
		if _, err := plan.DeclareCA(dir+"/ca.pem", true); err != nil {
			t.Fatal(err)
		}
		if _, err := plan.DeclareCRL(dir+"/crl.pem", true); err != nil {
			t.Fatal(err)
		}
		store.Apply(plan, func() { store.AttachTrust(everywhere(dir)) })
		return serveUnix(t, newWorkerWith(t, socket.Options{Process: newFakeProcess(), Certificates: store}), t.TempDir(), "admin")
	},
	"haproxy": func(t *testing.T, dir string) string {
		bin, version := findHAProxy(t)
		if older(version, "3.4") {
			t.Skipf("HAProxy answers so since 3.4, this is %s", version)
		}
		cfg := "global\n stats socket {dir}/admin.sock level admin\n httpclient.ssl.verify none\ndefaults\n mode http\n timeout client 1s\n timeout connect 1s\n" +
			" timeout server 1s\nfrontend f\n bind unix@{dir}/f.sock ssl crt " + dir + "/a.pem ca-file " + dir + "/ca.pem crl-file " + dir + "/crl.pem verify optional\n"
		return filepath.Join(startHAProxyWith(t, bin, cfg, "admin.sock", "-db"), "admin.sock")
	},
}

// perRun are what differs between two runs.
var perRun = regexp.MustCompile(`(?m)^(SHA1 FingerPrint: ).*$|^@system-ca.*\n`)

func TestTrustFilesAnswerAsHAProxy(t *testing.T) {
	for server, start := range trustServers {
		t.Run(server, func(t *testing.T) {
			dir := certDir(t)
			one, oneCRL := newCA(t, "one", 0x11)
			two, twoCRL := newCA(t, "two", 0x22)
			for name, data := range map[string]string{"ca.pem": one, "crl.pem": oneCRL} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			sock := start(t, dir)
			ca, crl := dir+"/ca.pem", dir+"/crl.pem"
			certificate := func(number, serial, name string) string {
				return " \nCertificate #" + number + ":\nSerial: " + serial + "\nnotBefore: Nov 14 22:13:20 2023 GMT\nnotAfter: Oct  2 07:06:40 2096 GMT\n" +
					"Subject Alternative Name: \nAlgorithm: EC256\nSHA1 FingerPrint: \nSubject: /CN=" + name + "\nIssuer: /CN=" + name + "\n"
			}
			list := func(name string) string {
				return " \nCertificate Revocation List #1:\nVersion 2\nSignature Algorithm: ecdsa-with-SHA256\nIssuer: /CN=" + name +
					"\nLast Update: Nov 14 22:13:20 2023 GMT\nNext Update: Oct  2 07:06:40 2096 GMT\nRevoked Certificates:\n    Serial Number: 1007\n" +
					"        Revocation Date: Nov 14 22:13:20 2023 GMT\n"
			}
			for _, step := range []struct{ say, want string }{
				{"show ssl ca-file", "# filename\n" + ca + " - 1 certificate(s)\n\n"},
				{"show ssl ca-file " + ca, "Filename: " + ca + "\nStatus: Used\n" + certificate("1", "11", "one") + "\n"},
				{"show ssl ca-file " + ca + ":1", "Filename: " + ca + "\nStatus: Used\n" + certificate("1", "11", "one") + "\n"},
				{"show ssl ca-file " + ca + ":2", "\n"},
				{"show ssl ca-file " + ca + ":x", "wrong CA index after colons in '" + ca + ":x'!\n\n"},
				{"show ssl ca-file " + ca + ":0", "wrong CA index after colons in '" + ca + ":0'!\n\n"},
				{"show ssl ca-file *" + ca, "Can't display the CA file : Not found!\n\n"},
				{"show ssl ca-file " + crl, "Can't display the CA file : Not found!\n\n"},
				{"new ssl ca-file", "'new ssl ca-file' expects a filename\n\n"},
				{"new ssl ca-file " + ca, "CA file '" + ca + "' already exists!\n\n"},
				{"new ssl ca-file " + crl, "CA file '" + crl + "' already exists!\n\n"},
				{"new ssl ca-file n", "New CA file created 'n'!\n\n"},
				{"show ssl ca-file", "# filename\n" + ca + " - 1 certificate(s)\nn - 0 certificate(s)\n\n"},
				{"show ssl ca-file n", "\n"},
				{"set ssl ca-file", "'set ssl ca-file' expects a filename and CAs as a payload\n\n"},
				{"set ssl ca-file " + ca, "'set ssl ca-file' expects a filename and CAs as a payload\n\n"},
				{"set ssl ca-file nope <<\n" + two, "Can't replace a CA file which is not referenced by the configuration!\nCan't update nope!\n\n"},
				{"set ssl ca-file " + ca + " <<\nnothing\n", "Invalid payload\nCan't update " + ca + "!\n\n"},
				{"add ssl ca-file " + ca + " <<\n" + two, "transaction created for CA " + ca + "!\n\n"},
				{"add ssl ca-file " + ca + " <<\n" + two, "transaction updated for CA " + ca + "!\n\n"},
				{"show ssl ca-file", "# transaction\n*" + ca + " - 2 certificate(s)\n# filename\n" + ca + " - 1 certificate(s)\nn - 0 certificate(s)\n\n"},
				{"show ssl ca-file *" + ca, "Filename: *" + ca + "\nStatus: Uncommitted\n" + certificate("1", "11", "one") + certificate("2", "22", "two") + "\n"},
				{"show ssl ca-file *" + ca + ":2", "Filename: *" + ca + "\nStatus: Uncommitted\n" + certificate("2", "22", "two") + "\n"},
				{"del ssl ca-file " + ca, "Can't remove the CA file: ongoing transaction for the CA file '" + ca + "'\n\n"},
				{"set ssl ca-file " + ca + " <<\n" + two, "transaction updated for CA " + ca + "!\n\n"},
				{"commit ssl ca-file", "'commit ssl ca-file' expects a filename\n\n"},
				{"commit ssl ca-file " + ca, "Committing " + ca + ".\nSuccess!\n\n"},
				{"show ssl ca-file " + ca, "Filename: " + ca + "\nStatus: Used\n" + certificate("1", "22", "two") + "\n"},
				{"commit ssl ca-file " + ca, "No ongoing transaction! !\nCan't commit " + ca + "!\n\n"},
				{"abort ssl ca-file", "'abort ssl ca-file' expects a filename\n\n"},
				{"abort ssl ca-file " + ca, "No ongoing transaction!\n\n"},
				{"set ssl ca-file n <<\n" + two, "transaction created for CA n!\n\n"},
				{"abort ssl ca-file n", "Transaction aborted for certificate 'n'!\n\n"},
				{"set ssl ca-file n <<\n" + one, "transaction created for CA n!\n\n"},
				{"commit ssl ca-file n", "Committing n\nSuccess!\n\n"},
				{"show ssl ca-file n", "Filename: n\nStatus: Unused\n" + certificate("1", "11", "one") + "\n"},
				{"del ssl ca-file", "'del ssl ca-file' expects a CA file name\n\n"},
				{"del ssl ca-file nope", "Can't remove the CA file: CA file 'nope' doesn't exist!\n\n"},
				{"del ssl ca-file " + ca, "Can't remove the CA file: CA file '" + ca + "' in use, can't be deleted!\n\n"},
				{"del ssl ca-file n", "CA file 'n' deleted!\n\n"},
				{"show ssl crl-file", "# filename\n" + crl + "\n\n"},
				{"show ssl crl-file " + crl, "Filename: " + crl + "\nStatus: Used\n" + list("one") + "\n"},
				{"show ssl crl-file " + crl + ":1", "Filename: " + crl + "\nStatus: Used\n" + list("one") + "\n"},
				{"show ssl crl-file " + crl + ":2", "Filename: " + crl + "\nStatus: Used\n\n"},
				{"show ssl crl-file " + crl + ":x", "wrong CRL index after colons in '" + crl + ":x'!\n\n"},
				{"show ssl crl-file " + ca, "Can't display the CRL file : Not found!\n\n"},
				{"new ssl crl-file", "'new ssl crl-file' expects a filename\n\n"},
				{"new ssl crl-file " + ca, "CRL file '" + ca + "' already exists!\n\n"},
				{"new ssl crl-file c", "New CRL file created 'c'!\n\n"},
				{"show ssl crl-file c", "Filename: c\nStatus: Empty\n\n"},
				{"set ssl crl-file", "'set ssl crl-file' expects a filename and CRLs as a payload\n\n"},
				{"set ssl crl-file nope <<\n" + twoCRL, "Can't replace a CRL file which is not referenced by the configuration!\nCan't update nope!\n\n"},
				{"set ssl crl-file " + crl + " <<\nnothing\n", "Invalid payload\nCan't update " + crl + "!\n\n"},
				{"set ssl crl-file " + crl + " <<\n" + twoCRL, "transaction created for CRL " + crl + "!\n\n"},
				{"set ssl crl-file " + crl + " <<\n" + twoCRL, "transaction updated for CRL " + crl + "!\n\n"},
				{"show ssl crl-file", "# transaction\n*" + crl + "\n# filename\n" + crl + "\nc\n\n"},
				{"show ssl crl-file *" + crl, "Filename: *" + crl + "\nStatus: Uncommitted\n" + list("two") + "\n"},
				{"show ssl crl-file \\*" + crl, "Filename: *" + crl + "\nStatus: Uncommitted\n" + list("two") + "\n"},
				{"del ssl crl-file " + crl, "Can't remove the CRL file: ongoing transaction for the CRL file '" + crl + "'\n\n"},
				{"commit ssl crl-file", "'commit ssl ca-file' expects a filename\n\n"},
				{"commit ssl crl-file " + crl, "Committing " + crl + ".\nSuccess!\n\n"},
				{"commit ssl crl-file " + crl, "No ongoing transaction! !\nCan't commit " + crl + "!\n\n"},
				{"abort ssl crl-file", "'abort ssl crl-file' expects a filename\n\n"},
				{"abort ssl crl-file " + crl, "No ongoing transaction!\n\n"},
				{"show ssl crl-file " + crl, "Filename: " + crl + "\nStatus: Used\n" + list("two") + "\n"},
				{"del ssl crl-file", "'del ssl crl-file' expects a CRL file name\n\n"},
				{"del ssl crl-file nope", "Can't remove the CRL file: CRL file 'nope' doesn't exist!\n\n"},
				{"del ssl crl-file " + ca, "Can't remove the CRL file: 'del ssl crl-file' does not work on CA files!\n\n"},
				{"del ssl crl-file " + crl, "Can't remove the CRL file: CRL file '" + crl + "' in use, can't be deleted!\n\n"},
				{"del ssl crl-file c", "CRL file 'c' deleted!\n\n"},
			} {
				got := perRun.ReplaceAllString(exchange(t, "unix", sock, step.say+"\n"), "$1")
				if got != step.want {
					t.Errorf("%.80q is answered\n%s\nwant\n%s", step.say, got, step.want)
				}
			}
			if server != "ours" {
				return
			}
			for name, want := range map[string]string{ca: two, crl: twoCRL} { // durable before visible
				if got, err := os.ReadFile(name); err != nil || string(got) != want {
					t.Errorf("%s holds %q, %v; want what was committed", name, got, err)
				}
			}
		})
	}
}

// TestCommandsOnTrustFilesAreBounded is ours alone.
func TestCommandsOnTrustFilesAreBounded(t *testing.T) {
	dir := certDir(t)
	one, oneCRL := newCA(t, "one", 1)
	for name, data := range map[string]string{"ca.pem": one, "crl.pem": oneCRL} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sock := trustServers["ours"](t, dir)
	two, _ := newCA(t, "two", 2)
	padded := two + strings.Repeat(strings.Repeat("#", 1023)+"\n", 16<<10) // 16 MiB and a certificate
	if got := exchange(t, "unix", sock, "set ssl ca-file "+dir+"/ca.pem <<\n"+padded+"\n"); !strings.Contains(got, "The payload is too big") {
		t.Errorf("17 MiB: %.200q", got)
	}
	if got := exchange(t, "unix", sock, "new ssl ca-file "+strings.Repeat("x", 5000)+"\n"); got != "this cannot be the name of a file\n\n" {
		t.Errorf("a long name: %.200q", got)
	}
	if got := exchange(t, "unix", sock, "show ssl ca-file\n"); got != "# filename\n"+dir+"/ca.pem - 1 certificate(s)\n\n" {
		t.Errorf("afterwards: %q", got)
	}
}
