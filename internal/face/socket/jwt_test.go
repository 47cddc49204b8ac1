package socket_test

import (
	"os"
	"path/filepath"
	"testing"

	"gatehouse/internal/cert"
	"gatehouse/internal/certstore"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/host"
)

// jwtServers are ours and a real one, each with a.pem for a bind line and b.pem, aliased @tokens/b, for tokens.
var jwtServers = map[string]func(t *testing.T, dir string) string{
	"ours": func(t *testing.T, dir string) string {
		store := certstore.New(certstore.Options{Host: host.Direct{}})
		plan := store.Plan(certstore.LoadRules{Ephemeral: true})
		b, err := certstore.NewSource("@tokens/b", dir+"/b.pem", certstore.FromStore, []cert.LoadSetting{{Name: "jwt", Arg: "on"}}, certstore.Bases{})
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range []certstore.Source{{Name: dir + "/a.pem", File: dir + "/a.pem"}, b} {
			if err := plan.Declare(src); err != nil {
				t.Fatal(err)
			}
		}
		store.Apply(plan, nil)
		return serveUnix(t, newWorkerWith(t, socket.Options{Process: newFakeProcess(), Certificates: store}), t.TempDir(), "admin")
	},
	"haproxy": func(t *testing.T, dir string) string {
		bin, version := findHAProxy(t)
		if older(version, "3.4") {
			t.Skipf("HAProxy has these commands since 3.4, this is %s", version)
		}
		cfg := "global\n stats socket {dir}/admin.sock level admin\ncrt-store tokens\n load crt " + dir + "/b.pem alias b jwt on\ndefaults\n mode http\n timeout client 1s\n" +
			" timeout connect 1s\n timeout server 1s\nfrontend f\n bind unix@{dir}/f.sock ssl crt " + dir + "/a.pem\n"
		return filepath.Join(startHAProxyWith(t, bin, cfg, "admin.sock", "-db"), "admin.sock")
	},
}

func TestJWTCommandsAnswerAsHAProxy(t *testing.T) {
	for server, start := range jwtServers {
		t.Run(server, func(t *testing.T) {
			dir := certDir(t)
			pem, err := os.ReadFile(filepath.Join(dir, "a.pem"))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "b.pem"), pem, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			sock := start(t, dir)
			a := dir + "/a.pem"
			for _, step := range []struct{ say, want string }{
				{"show ssl jwt", "# filename\n@tokens/b\n\n"},
				{"add ssl jwt " + a, "\n"},
				{"show ssl jwt", "# filename\n" + a + "\n@tokens/b\n\n"},
				{"del ssl jwt @tokens/b", "\n"},
				{"show ssl jwt", "# filename\n" + a + "\n\n"},
				{"del ssl cert " + a, "Can't remove the certificate: certificate '" + a + "' in use for JWT validation, can't be deleted!\n\n"},
				{"del ssl jwt " + a, "\n"},
				{"show ssl jwt", "# filename\n\n"},
				{"add ssl jwt nope", "Can't display the certificate: Not found or the certificate is a bundle!\n\n"},
				{"add ssl jwt", "'add ssl cert' expects a filename\n\n"},
				{"del ssl jwt", "'del ssl cert' expects a filename\n\n"},
			} {
				if got := exchange(t, "unix", sock, step.say+"\n"); got != step.want {
					t.Errorf("%s: %q, want %q", step.say, got, step.want)
				}
			}
		})
	}
}
