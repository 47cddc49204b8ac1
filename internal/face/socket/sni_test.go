package socket_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/cert"
	"gatehouse/internal/engine"
	"gatehouse/internal/face/socket"
)

// namesOf are two frontends with one bind line each.
type namesOf []engine.BindNames

func (n namesOf) BindNames() []engine.BindNames { return n }

func (n namesOf) IsFrontend(name string) bool { return name == "one" || name == "two" }

// sniList is a crt-list; its certificates are a.pem for a.example and w.pem for any.
const sniList = "DIR/a.pem *.a.example !www.a.example !ftp.a.example b.example\nDIR/w.pem UPPER.example *.w.example\n"

// indexOf is an index with the lines of a crt-list.
func indexOf(t *testing.T, list string) *cert.Index {
	t.Helper()
	x := cert.NewIndex(false)
	lines, err := cert.ParseList("list", []byte(list))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		data, err := os.ReadFile(line.Cert)
		if err != nil {
			t.Fatal(err)
		}
		b, err := cert.Parse(line.Cert, data)
		if err != nil {
			t.Fatal(err)
		}
		x.Add(&cert.Entry{Name: line.Cert, Line: line.N, Options: line.Options, Filters: line.Filters, Default: i == 0}, b)
	}
	return x
}

// sniServers are ours and a real one, with the frontends one and two.
var sniServers = map[string]func(t *testing.T, dir, list string) string{
	"ours": func(t *testing.T, dir, list string) string {
		names := namesOf{{Frontend: "one", File: "FILE", Line: 9, Index: indexOf(t, list)}, {Frontend: "two", File: "FILE", Line: 11, Index: indexOf(t, dir+"/w.pem\n")}}
		return serveUnix(t, newWorkerWith(t, socket.Options{Process: newFakeProcess(), Names: names}), t.TempDir(), "user")
	},
	"haproxy": func(t *testing.T, dir, list string) string {
		bin, version := findHAProxy(t)
		if older(version, "3.4") {
			t.Skipf("HAProxy answers so since 3.4, this is %s", version)
		}
		if err := os.WriteFile(dir+"/list", []byte(list), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := "global\n stats socket {dir}/user.sock level user\ndefaults\n mode http\n timeout client 1s\n timeout connect 1s\n" +
			"frontend one\n bind unix@{dir}/1.sock ssl crt-list " + dir + "/list\nfrontend two\n bind unix@{dir}/2.sock ssl crt " + dir + "/w.pem\n"
		return filepath.Join(startHAProxyWith(t, bin, strings.Replace(cfg, " timeout connect 1s\n", " timeout connect 1s\n timeout server 1s\n", 1), "user.sock", "-db"), "user.sock")
	},
}

var sniDates = regexp.MustCompile(`[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT`)
var sniFiles = regexp.MustCompile(`(one|two)/[^:\t]*:`)

func TestNamesAreShownAsHAProxys(t *testing.T) {
	for server, start := range sniServers {
		t.Run(server, func(t *testing.T) {
			dir := t.TempDir()
			for name, san := range map[string]string{"a.pem": "a.example", "w.pem": "w.example"} {
				if err := os.WriteFile(filepath.Join(dir, name), newPEM(t, san), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			sock := start(t, dir, strings.ReplaceAll(sniList, "DIR", dir))
			row := func(where, name, not, file string) string {
				return fmt.Sprintf("%s\t%s\t%s\tecdsa\t%s/%s\tDATE\tDATE\n", where, name, not, dir, file)
			}
			const head = "# Frontend/Bind\tSNI\tNegative Filter\tType\tFilename\tNotAfter\tNotBefore\n"
			const not = "!ftp.a.example !www.a.example "
			one := row("one/FILE:9", "b.example", "-", "a.pem") + row("one/FILE:9", "upper.example", "-", "w.pem") + row("one/FILE:9", "*", not, "a.pem") +
				row("one/FILE:9", "*.a.example", not, "a.pem") + row("one/FILE:9", "*.w.example", "-", "w.pem")
			two := row("two/FILE:11", "w.example", "-", "w.pem") + row("two/FILE:11", "*", "-", "w.pem")
			for _, step := range []struct{ say, want string }{
				{"show ssl sni", head + one + two},
				{"show ssl sni -f two", head + two},
				{"show ssl sni -f one", head + one},
				{"show ssl sni -A", head},
				{"show ssl sni -A -t 20d", head},
				{"show ssl sni -f two -t 40d -A", head + two},
				{"show ssl sni -f two -t 3456000 -A", head + two},
				{"show ssl sni -f", "'-f' requires a frontend name!\n"},
				{"show ssl sni -t", "'-t' requires an offset argument!\n"},
				{"show ssl sni -t 0", "'-t' expects a positive value\n"},
				{"show ssl sni -t x", "'-t x' : unexpected character 'x'\n"},
				{"show ssl sni -t 5y", "'-t 5y' : unexpected character 'y'\n"},
				{"show ssl sni -t 99999999999", "offset overflow '99999999999' (maximum value is 2147483647s or ~24855 days)\n"},
				{"show ssl sni -x", "Invalid parameters, 'show ssl sni' only supports '-f', '-A' or '-t' options!\n"},
			} {
				got := exchange(t, "unix", sock, step.say+"\n")
				got = sniFiles.ReplaceAllString(sniDates.ReplaceAllString(got, "DATE"), "$1/FILE:")
				if got != step.want+"\n" {
					t.Errorf("%s is answered\n%s\nwant\n%s", step.say, got, step.want)
				}
			}
			if server == "haproxy" {
				return // it lists everything for a frontend that does not exist (a bug of 3.4.0), and has providers of its own
			}
			for say, want := range map[string]string{"show ssl sni -f nope": "Couldn't find the specified frontend!\n\n", "show ssl providers": "Loaded providers : \n\t- go\n\n"} {
				if got := exchange(t, "unix", sock, say+"\n"); got != want {
					t.Errorf("%s is answered %q, want %q", say, got, want)
				}
			}
		})
	}
}
