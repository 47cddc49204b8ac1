package socket_test

import (
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/engine"
	"gatehouse/internal/face/socket"
	"gatehouse/internal/listener"
)

// echPEM is a key of OpenSSL's form, for public.test.
const echPEM = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIFsjk9BczybDwWu2zhhkZ7GaLqQnl/f3r1clXoYfDPzn
-----END PRIVATE KEY-----
-----BEGIN ECHCONFIG-----
AD7+DQA6BwAgACDdzp9gsVcxETYWscel04SMCCPieEKgfyzOT+NbRKd7dAAEAAEA
AQALcHVibGljLnRlc3QAAA==
-----END ECHCONFIG-----
`

func TestECHCommandsAnswerAsHAProxy(t *testing.T) {
	binds := []engine.ECHBind{{Frontend: "f", Name: "f/@h.cfg:3", Alias: "f/tls", Keys: &listener.ECH{}}, {Frontend: "f", Name: "f/@h.cfg:4", Keys: &listener.ECH{}}}
	sock := serveUnix(t, newWorkerWith(t, socket.Options{Process: newFakeProcess(), ECH: func() []engine.ECHBind { return binds }}), t.TempDir(), "admin")
	age := regexp.MustCompile(`age: \d+`)
	const entry = "\nECH entry: 0 public_name: public.test age: N (has private key)\n" +
		"\t[fe0d,07,public.test,[0020,0001,0001],ddce9f60b15731113616b1c7a5d3848c0823e27842a07f2cce4fe35b44a77b74,00,00]\n"
	for _, step := range []struct{ say, want string }{
		{"show ssl ech", "***\nfrontend: f\n\nbind: f/@h.cfg:3\nno ECH config\n\nbind: f/@h.cfg:4\nno ECH config\n\n"},
		{"add ssl ech", "syntax: add ssl ech <name> <PEM file content>\n\n"},
		{"add ssl ech f/nope <<\n" + echPEM, "'add ssl ech' unable to locate referenced name\n\n"},
		{"add ssl ech f/tls <<\nnothing\n", "'add ssl ech' error adding provided PEM ECH value\n\n"},
		{"add ssl ech f/tls <<\n" + echPEM, "added a new ECH config to f/tls\n\n"},
		{"show ssl ech f/@h.cfg:3", "***\nECH for f/@h.cfg:3 " + entry + "\n"},
		{"show ssl ech f/nope", "'show ssl ech' unable to locate referenced name\n\n"},
		{"set ssl ech f/@h.cfg:3 <<\n" + echPEM, "set new ECH configs for f/@h.cfg:3\n\n"},
		{"del ssl ech f/tls 1000", "deleted ECH configs older than 1000 seconds from f/tls\n\n"},
		{"show ssl ech f/tls", "***\nECH for f/tls " + entry + "\n"},
		{"del ssl ech f/tls", "deleted all ECH configs from f/tls\n\n"},
		{"del ssl ech", "syntax: del ssl ech <name>\n\n"},
		{"show ssl ech f/tls", "***\nECH for f/tls no ECH config\n\n"},
	} {
		if got := age.ReplaceAllString(exchange(t, "unix", sock, "experimental-mode on; "+step.say+"\n"), "age: N"); strings.TrimPrefix(got, "\n") != step.want {
			t.Errorf("%s: %q, want %q", step.say, got, step.want)
		}
	}
	if got := exchange(t, "unix", sock, "show ssl ech\n"); got != "This command is restricted to experimental mode only.\n\n" {
		t.Errorf("without experimental-mode on: %q", got)
	}
}
