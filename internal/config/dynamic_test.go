package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestServerAddressesExpandTheEnvironment(t *testing.T) {
	text := "backend b\n server s ${HOST}:$PORT\n server t ${NONE}:\n"
	cfg, diags := Parse([]Source{{Name: "F", Data: []byte(text)}}, ParseOptions{Env: map[string]string{"HOST": "192.0.2.1", "PORT": "81"}})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := cfg.Proxies[0].Servers
	if s[0].Addr.IP.String() != "192.0.2.1" || s[0].Addr.Port != 81 || s[1].Addr.Port != 0 {
		t.Errorf("got %+v and %+v", s[0].Addr, s[1].Addr)
	}
}

func TestServersAddedAtRunTimeAreReadAsHAProxyReadsThem(t *testing.T) {
	for line, want := range map[string]string{
		"":                                      "'server' expects <name> and <addr>[:<port>] as arguments.",
		"bad:80x":                               "invalid character 'x' in port number '80x' in 'bad:80x'",
		"127.0.0.1:1 wei":                       "unknown keyword 'wei'.",
		"127.0.0.1:1 redir /x":                  "'redir' option is not accepted for dynamic server",
		"127.0.0.1:1 no-ssl":                    "'no-ssl' option is not accepted for dynamic server",
		"127.0.0.1:1 resolvers x":               "'resolvers' option is not accepted for dynamic server",
		"127.0.0.1:1 weight 300":                "weight of server n is not within 0 and 256 (300)..",
		"127.0.0.1:1 verify x":                  "'verify' : unknown verify method 'x', only 'none' and 'required' are supported.",
		"127.0.0.1:1 agent-check":               "server n does not have agent port. Agent check has been disabled.",
		"127.0.0.1:1 check track a/b":           "unable to enable checks and tracking at the same time!",
		"127.0.0.1:1 tfo":                       "'tfo' option is not supported",
		"127.0.0.1:1 weight 5 check inter 1s":   "",
		"127.0.0.1:1 ssl verify none alpn h2":   "",
		"unix@/run/s.sock cookie c backup id 7": "",
	} {
		_, err := ParseServer("n", strings.Fields(line), ParseOptions{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	if _, err := ParseServer("n'", []string{"127.0.0.1"}, ParseOptions{}); err == nil || err.Error() != "character ''' is not permitted in server name 'n''." {
		t.Errorf("a bad name: %v", err)
	}
	s, err := ParseServer("n", strings.Fields("127.0.0.1:80 weight 7 check inter 3s rise 1 agent-check agent-port 9 agent-send x maxconn 4"), ParseOptions{})
	if err != nil || s.Weight != 7 || s.Inter != 3*time.Second || s.Rise != 1 || s.Fall != 3 || !s.AgentCheck || s.AgentPort != 9 || s.AgentSend != "x" || s.MaxConn != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	if names := DynamicServerKeywords(); slices.Contains(names, "redir") || !slices.Contains(names, "track") || !slices.Contains(names, "ssl") {
		t.Errorf("keywords: %v", names)
	}
}

func TestWhoCannotBeTracked(t *testing.T) {
	const text = "backend b\n server a 127.0.0.1:1 track z\n server b 127.0.0.1:1 track nope/s\n server c 127.0.0.1:1 track d\n server d 127.0.0.1:1\n" +
		" server e 127.0.0.1:1 track e\n server f 127.0.0.1:1 track g\n server g 127.0.0.1:1 track c2/h\nbackend c2\n server h 127.0.0.1:1 check\n"
	_, diags := Parse([]Source{{Name: "F", Data: []byte(text)}}, ParseOptions{})
	var got []string
	for _, d := range diags {
		if d.Level == LevelAlert {
			got = append(got, d.Text)
		}
	}
	want := []string{
		"[F:2] : 'server b/a' : unable to find required server 'z' for tracking.",
		"[F:3] : 'server b/b' : unable to find required proxy 'nope' for tracking.",
		"[F:4] : 'server b/c' : unable to use b/d for tracking as it does not have any check nor agent enabled.",
		"[F:6] : 'server b/e' : unable to track b/e as it belongs to a tracking chain looping back to b/e.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBalanceTakesWhatLooksAtNoRequest(t *testing.T) {
	for line, want := range map[string]string{
		"roundrobin": "roundrobin", "static-rr": "static-rr", "leastconn": "leastconn", "first": "first", "random": "random", "random(3)": "random",
		"random(0)": "", "random(x)": "", "source": "", "uri depth 3": "",
	} {
		cfg, diags := Parse([]Source{{Name: "F", Data: []byte("backend b\n balance " + line + "\n")}}, ParseOptions{})
		got := cfg.Proxies[0].Balance
		if diags.HasErrors() {
			got = ""
		}
		if got != want {
			t.Errorf("balance %s: %q, want %q", line, got, want)
		}
	}
}
