package socket_test

import (
	"encoding/json"
	"gatehouse/internal/stats"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/face/socket"
)

// ask is one command on a socket of level admin.
func ask(t *testing.T, p socket.Process, command string) string {
	t.Helper()
	return exchange(t, "unix", serveUnix(t, newWorkerWith(t, socket.Options{Process: p}), t.TempDir(), "admin"), command+"\n")
}

func TestShowInfoInItsFormats(t *testing.T) {
	text := ask(t, newFakeProcess(), "show info")
	if !strings.HasPrefix(text, "Name: HAProxy\nVersion: 3.4.0\nRelease_date: 2026/06/03\nNbthread: 2\nNbproc: 1\n") ||
		!strings.HasSuffix(text, "\nNbThreadGroups: 1\n\n") || strings.Contains(text, "description") {
		t.Errorf("show info:\n%s", text)
	}
	names := regexp.MustCompile(`(?m)^[^:\n]+`).FindAllString(text, -1)
	typed := strings.Split(strings.TrimSpace(ask(t, newFakeProcess(), "show info typed")), "\n")
	shape := regexp.MustCompile(`^\d+\.([^.]+)\.1:[MSKCP][AaCDGLMmNORT][CPSs][PV]:(s32|s64|u32|u64|str):`)
	if len(typed) != len(names) {
		t.Errorf("%d typed lines, %d plain ones", len(typed), len(names))
	}
	for i, line := range typed {
		if m := shape.FindStringSubmatch(line); m == nil || m[1] != names[i] {
			t.Errorf("typed line %q, the plain one is %q", line, names[i])
		}
	}
	if line := typed[0]; line != "0.Name.1:POSV:str:HAProxy" {
		t.Errorf("first typed line %q", line)
	}
	desc := ask(t, newFakeProcess(), "show info desc typed")
	if !strings.HasPrefix(desc, `0.Name.1:POSV:str:HAProxy:"product"`+"\n") {
		t.Errorf("with desc:\n%.200s", desc)
	}
	if float := ask(t, newFakeProcess(), "show info float typed"); !regexp.MustCompile(`(?m)^8\.Uptime_sec\.1:MDPV:flt:\d+(\.\d+)?$`).MatchString(float) {
		t.Errorf("with float:\n%.400s", float)
	}
	var fields []struct {
		Field struct {
			Pos  int
			Name string
		}
		Tags  map[string]string
		Value struct {
			Type  string
			Value any
		}
	}
	if err := json.Unmarshal([]byte(ask(t, newFakeProcess(), "show info json")), &fields); err != nil {
		t.Fatal(err)
	}
	if len(fields) != len(names) || fields[1].Field.Name != "Version" || fields[1].Value.Value != "3.4.0" || fields[1].Tags["origin"] != "Product" {
		t.Errorf("as json %d fields, the second is %+v", len(fields), fields[1])
	}
}

func TestShowStatAsJSONIsJSON(t *testing.T) {
	for command, rows := range map[string]int{
		"show stat json": 11, "show stat li1 -1 -1 json": 3, "show stat nope2 2 1": 0, "show stat 99 1 1 json": 0,
	} {
		text := ask(t, newFakeProcess(), command)
		if rows == 0 && !strings.Contains(command, "json") {
			if text != "No such proxy.\n\n" {
				t.Errorf("%s is answered %q", command, text)
			}
			continue
		}
		var got [][]struct {
			ObjType string
			ProxyID int `json:"proxyId"`
			Value   struct{ Type string }
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != rows {
			t.Errorf("%s: %d rows, %v, want %d\n%.300s", command, len(got), err, rows, text)
		}
	}
}

func TestOutputOfProcessCommands(t *testing.T) {
	for command, want := range map[string]string{
		"show env":                 "GATEHOUSE_TEST=one two\nOTHER=x=y\n\n",
		"show startup-logs":        "[NOTICE]   (1) : ready\n\n",
		"show errors":              "Total events captured on [{date}] : 3\n\nbad request\n\nbad response\n\n",
		"show errors be1":          "Total events captured on [{date}] : 3\n\nbad response\n\n",
		"show errors request":      "Total events captured on [{date}] : 3\n\nbad request\n\n",
		"show errors fe1 response": "Total events captured on [{date}] : 3\n\n",
		"show sess": "0x1a: proto=tcpv4 src=192.0.2.1:1000 fe=fe1 be=be1 srv=s1 ts=00 epoch=0 age=1m5s calls=1\n" +
			"0x1b: proto=tcpv4 src=192.0.2.2:1000 fe=fe1 be=<none> srv=<none> ts=00 epoch=0 age=2s calls=1\n\n",
		"show sess older 10":     "0x1a: proto=tcpv4 src=192.0.2.1:1000 fe=fe1 be=be1 srv=s1 ts=00 epoch=0 age=1m5s calls=1\n\n",
		"show sess older":        "Expects a minimum age (in seconds by default).\n\n",
		"show sess older x":      "Invalid age.\n\n",
		"show sess susp":         "\n",
		"show sess frontend fe2": "\n",
		"show sess frontend x":   "No such frontend.\n\n",
		"show sess x":            "Unsupported option 'x', try 'help' for more info.\n\n",
		"show sess 0x1c":         "Session not found.\n\n",
		"show errors nope":       "No such proxy.\n\n",
		"shutdown session":       "Session pointer expected (use 'show sess').\n\n",
		"shutdown session 0x1":   "No such session (use 'show sess').\n\n",
		"shutdown session 0x1a":  "\n",
		"show resolvers":         "\n",
		"show resolvers x":       "Can't find that resolvers section\n\n",
		"show servers conn be2":  stats.ServersConnHeader + "be2/t1 5/1 127.0.0.1 28904 - 5000 2 2 3 3 0 0 1 -1 1 1\n\n",
		"show servers conn nope": "Can't find backend.\n\n",
	} {
		got := regexp.MustCompile(`\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3}\]`).ReplaceAllString(ask(t, newFakeProcess(), command), "[{date}]")
		if got != want {
			t.Errorf("%s is answered\n%s\nwant\n%s", command, got, want)
		}
	}
}

func TestCommandsChangeTheProcess(t *testing.T) {
	p := newFakeProcess()
	for _, command := range []string{"clear counters", "clear counters all", "set maxconn global 100", "set maxconn frontend fe1 7",
		"shutdown frontend fe2", "set maxconn server be1/s1 3", "disable health be1/s1", "enable health be1/s1",
		"shutdown sessions server be1/s1", "set server be1/s2 state ready", "set server be1/s1 health down"} {
		if got := ask(t, p, command); got != "\n" {
			t.Errorf("%s is answered %q", command, got)
		}
	}
	s1, s2 := p.proxies[2].servers[0], p.proxies[2].servers[1]
	if len(p.cleared) != 2 || p.cleared[0] || !p.cleared[1] || p.maxconn != 100 || p.proxies[0].maxconn != 7 || !p.proxies[1].shut {
		t.Errorf("process: cleared %v, maxconn %d, fe1 %d, fe2 shut %v", p.cleared, p.maxconn, p.proxies[0].maxconn, p.proxies[1].shut)
	}
	if s1.maxconn != 3 || !s1.checked || s1.killed != 1 || s1.up || s2.state != "ready" {
		t.Errorf("servers: %+v, s2 is %s", s1, s2.state)
	}
}
