package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/cert"
	"gatehouse/internal/config"
	"gatehouse/internal/host"
)

// keywordRow is one line of docs/keywords.md.
type keywordRow struct {
	section string // the heading above it
	name    string // without its arguments; an action's or converter's "(*)" is left out
	where   string // places, in the tables that have such a column
	state   string
	use     string // how one writes it: the line of testdata/uses.txt, or the name alone
}

// TestEveryKeywordIsWhatItsPageSays writes a small configuration for each row of docs/keywords.md, and reads it as -c does. What is
// supported or without effect must be accepted, what is refused must be refused with file, line and "not supported", or what HAProxy says of a keyword it has dropped. A keyword that needs arguments
// brings a line in testdata/uses.txt.
func TestEveryKeywordIsWhatItsPageSays(t *testing.T) {
	keywordFiles(t)
	rows := keywordRows(t)
	p := &process{print: NewPrinter(t.Output()), newEngine: NewHouse}
	house, err := p.engine(host.Direct{}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		texts := keywordConfigs(row)
		if row.state == "refused" {
			texts = texts[:1]
		}
		var said []string
		ok := false
		for _, text := range texts {
			_, diags := house.Load(t.Context(), []config.Source{{Name: "F", Data: []byte(text)}})
			out := shown(diags)
			said = append(said, out)
			if row.state == "refused" {
				ok = diags.HasErrors() && slices.ContainsFunc(diags, func(d config.Diag) bool {
					return d.Level == config.LevelAlert && strings.Contains(d.String(), "[F:") && (strings.Contains(d.String(), "not supported") || strings.Contains(d.String(), "doesn't exist anymore"))
				})
			} else {
				ok = !diags.HasErrors()
			}
			if ok {
				break
			}
		}
		if !ok {
			t.Errorf("%s: %s is %s, and then:\n%s\n%s", row.section, row.name, row.state, texts[0], said[0])
		}
	}
	if len(rows) < 1500 {
		t.Errorf("only %d rows found", len(rows))
	}
}

// keywordConfigs are configurations that use the row, each in a place where it may stand; one of them must do.
func keywordConfigs(row keywordRow) []string {
	const times = "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n"
	const backends = "\nuserlist people\n user ann insecure-password pw\nhttp-errors pages\n errorfile 503 503.http\n" +
		"backend app\n server one 127.0.0.1:1\nbackend table\n stick-table type ipv6 size 10 store gpc(2),gpt(2),gpc_rate(2,1m)\n" +
		"backend old\n stick-table type ip size 10 store gpc0,gpc0_rate(1m),gpc1,gpc1_rate(1m),gpt0\n"
	listen := func(lines ...string) string {
		return times + "listen l\n bind 127.0.0.1:8\n stick-table type ip size 10 store " + storeAll + "\n " + strings.Join(lines, "\n ") + backends
	}
	use := row.use
	switch section := row.section; section {
	case "Sections":
		return []string{use + "\n", use + "\n directory https://ca.example.test/\n account-key a.key\n"}
	case "global":
		return []string{"global\n expose-experimental-directives\n " + use + "\n"}
	case "Proxies":
		plain := times + "PLACE\n " + use + backends
		place := strings.NewReplacer("PLACE", "listen l\n bind 127.0.0.1:8")
		switch {
		case strings.Contains(row.where, "listen"):
		case strings.Contains(row.where, "backend"):
			place = strings.NewReplacer("PLACE", "backend l")
		case strings.Contains(row.where, "frontend"):
			place = strings.NewReplacer("PLACE", "frontend l\n bind 127.0.0.1:8")
		default:
			place = strings.NewReplacer("PLACE", "defaults d")
		}
		return []string{place.Replace(plain), times + "defaults d\n " + use + backends}
	case "option", "timeout":
		return []string{listen(section+" "+use, "server s 127.0.0.1:1"), times + "defaults d\n " + section + " " + use + backends}
	case "bind and stats socket":
		bind := "frontend l\n bind 127.0.0.1:9 "
		return []string{times + bind + use + acmeSection, times + bind + "ssl crt site.pem " + use + acmeSection, "global\n stats socket unix@sock " + use + "\n",
			"global\n expose-experimental-directives\n" + times + bind + use + "\n"}
	case "server and default-server":
		server := "backend b\n server s 127.0.0.1:9 "
		tracked := "\n server tracked 127.0.0.1:9 check\n"
		return []string{times + server + use + tracked, times + server + "ssl verify none " + use + tracked}
	case "crt-store":
		return []string{"crt-store s\n " + use + "\n"}
	case "load and ssl-f-use":
		return []string{"crt-store s\n load crt site.pem " + use + acmeSection, "crt-store s\n load " + use + acmeSection}
	case "acme":
		return []string{"acme a\n directory https://ca.example.test/\n account-key a.key\n " + use + "\n", "acme a\n " + use + "\n"}
	case "gatehouse":
		return []string{"gatehouse\n " + use + "\n"}
	case "Sample fetches":
		return []string{listen("http-request set-var(txn.x) " + use), listen("http-response set-var(txn.x) " + use), listen("mode tcp", "tcp-request content set-var(sess.x) "+use),
			listen("mode tcp", "tcp-response content set-var(sess.x) "+use), listen("acl a " + use)}
	case "Converters":
		return []string{listen("http-request set-var(txn.x) str(1)," + use), listen("http-request set-var(txn.x) src," + use), listen("http-response set-var(txn.x) int(1)," + use)}
	case "ACL criteria with a match method of their own":
		return []string{listen("http-request deny if { " + use + " }"), listen("http-response deny if { " + use + " }"), listen("mode tcp", "tcp-request content reject if { "+use+" }")}
	case "Log format aliases":
		return []string{listen("log stdout local0", "log-format "+use)}
	default:
		set, ok := strings.CutPrefix(section, "Actions of ")
		if !ok {
			return []string{"# no configuration for " + section}
		}
		return []string{listen("declare capture request len 9", "declare capture response len 9", "filter bwlim-out slow default-limit 1k default-period 1s", set+" "+use), listen("mode tcp", set+" "+use),
			"global\n expose-experimental-directives\n" + listen(set+" "+use)}
	}
}

const (
	acmeSection = "\nacme ca\n directory https://ca.example.test/\n account-key a.key\n"
	// storeAll is everything a stick table can hold without arrays, which exclude the single counters.
	storeAll = "gpc0,gpc0_rate(1m),gpc1,gpc1_rate(1m),gpt0,conn_cnt,conn_cur,conn_rate(1m),sess_cnt,sess_rate(1m),http_req_cnt,http_req_rate(1m),http_err_cnt," +
		"http_err_rate(1m),http_fail_cnt,http_fail_rate(1m),bytes_in_cnt,bytes_in_rate(1m),bytes_out_cnt,bytes_out_rate(1m),glitch_cnt,glitch_rate(1m),server_id"
)

// echPEM is a key of Encrypted ClientHello, for public.test.
const echPEM = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIFsjk9BczybDwWu2zhhkZ7GaLqQnl/f3r1clXoYfDPzn
-----END PRIVATE KEY-----
-----BEGIN ECHCONFIG-----
AD7+DQA6BwAgACDdzp9gsVcxETYWscel04SMCCPieEKgfyzOT+NbRKd7dAAEAAEA
AQALcHVibGljLnRlc3QAAA==
-----END ECHCONFIG-----
`

// keywordRows reads docs/keywords.md and testdata/uses.txt.
func keywordRows(t testing.TB) []keywordRow {
	t.Helper()
	uses := keywordUses(t)
	page, err := os.ReadFile(filepath.Join(repository, "docs/keywords.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []keywordRow
	section, columns := "", []string(nil)
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(cells) < 4 || strings.HasPrefix(line, "|---") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|"))
		}
		if !strings.HasPrefix(cells[1], "`") {
			columns = cells
			continue
		}
		name, _, _ := strings.Cut(strings.Trim(cells[1], "`"), " ")
		row := keywordRow{section: section, name: strings.TrimSuffix(name, "(*)")}
		for i, column := range columns {
			switch column {
			case "Where":
				row.where = cells[i]
			case "State":
				row.state, _, _ = strings.Cut(cells[i], ":")
			}
		}
		key := section
		if strings.HasPrefix(section, "Actions of ") {
			key = "Actions"
		}
		row.use = row.name
		if use, ok := uses[key+"/"+row.name]; ok {
			row.use = use
		} else if row.state != "supported" && row.state != "partial" && !strings.HasPrefix(row.section, "Actions") && row.section != "Sample fetches" && row.section != "Converters" {
			row.use = row.name + strings.Repeat(" 1", strings.Count(cells[1], "<"))
		}
		if section == "bind and stats socket" || section == "server and default-server" || section == "load and ssl-f-use" {
			if !slices.ContainsFunc(strings.Fields(row.use), func(w string) bool { return strings.HasPrefix(w, row.name) }) {
				t.Errorf("%s does not use %s", row.use, row.name)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// keywordUses reads testdata/uses.txt: headings as on the page, and below them a keyword and its arguments on each line; where the
// keyword is not the first word it stands in front, with a colon.
func keywordUses(t testing.TB) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/uses.txt")
	if os.IsNotExist(err) {
		text, err = os.ReadFile(filepath.Join(repository, "internal/app/testdata/uses.txt"))
	}
	if err != nil {
		t.Fatal(err)
	}
	uses := map[string]string{}
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name := line[:strings.IndexAny(line+" ", " (")]
		if n, rest, ok := strings.Cut(line, ": "); ok && !strings.ContainsAny(n, " (") {
			name, line = n, rest
		}
		uses[section+"/"+name] = line
	}
	return uses
}

// repository is its root, as an absolute path: the test works in a folder of its own.
var repository = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

// keywordFiles makes the files that uses.txt names and goes to their folder.
func keywordFiles(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	keywordFilesIn(t, dir)
	t.Chdir(dir)
}

func keywordFilesIn(t testing.TB, dir string) {
	t.Helper()
	b, err := cert.NewDummy("ECDSA", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"site.pem": b.FilePEM(true), "ca.pem": b.CertPEM(), "crl.pem": emptyCRL(t), "sites.list": []byte("site.pem\n"), "m.map": []byte("1 1\n"),
		"n-n.map": []byte("1 1\n"), "n-ip.map": []byte("1 192.0.2.1\n"), "ip-n.map": []byte("192.0.2.0/24 1\n"), "ip-ip.map": []byte("192.0.2.0/24 192.0.2.1\n"), "503.http": []byte("HTTP/1.1 503 x\n\n"),
		"page.txt": []byte("x"), "case.txt": []byte("host Host\n"),
		"keys/a.ech":  []byte(echPEM),
		"ticket.keys": []byte(strings.Repeat(strings.Repeat("A", 64)+"\n", 3)),
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func shown(diags config.Diags) string {
	var b strings.Builder
	for i := range diags {
		fmt.Fprintf(&b, "[%s] %s\n", diags[i].Level, diags[i].String())
	}
	return b.String()
}
