package rule

import (
	"os"
	"strings"
	"testing"

	"gatehouse/internal/config"
)

// TestMessagesAreHAProxys replays testdata/messages.txt: a line of a frontend, then what HAProxy 3.4.0 says about it.
// testdata/own.txt has the lines about which we say something else: we refuse what it lets pass, RE2 words its errors in its
// own way, arguments are resolved at once and not at the end, and a plain redirect line is one of the http-request rules.
func TestMessagesAreHAProxys(t *testing.T) {
	own := map[string]string{}
	for _, r := range readRecords(t, "testdata/own.txt") {
		own[r[0]] = r[1]
	}
	theirs := readRecords(t, "testdata/messages.txt")
	for _, r := range theirs {
		line, want := r[0], r[1]
		if text, ok := own[line]; ok {
			if text == want {
				t.Errorf("%s: stands in own.txt without need", line)
			}
			want = text
		}
		if got := strings.TrimSuffix(messagesOf(line), "\n"); got != want {
			t.Errorf("## %s\n got: %s\nwant: %s", line, got, want)
		}
	}
	if len(theirs) < 150 {
		t.Errorf("only %d records", len(theirs))
	}
}

// readRecords reads "## LINE" and the text that follows it.
func readRecords(t *testing.T, name string) (records [][2]string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range strings.Split("\n"+string(data), "\n## ")[1:] {
		line, text, _ := strings.Cut(record, "\n")
		records = append(records, [2]string{line, strings.TrimSuffix(text, "\n")})
	}
	return records
}

// messagesOf compiles one line of a frontend.
func messagesOf(line string) string {
	c, d := newCompiler()
	w, err := config.SplitWords(line, nil)
	if err != nil {
		return err.Error()
	}
	r := []config.Rule{{Pos: testPos, Words: w[1:]}}
	switch w[0] {
	case "acl":
		c.ACLs([]config.ACL{{Pos: testPos, Name: w[1], Words: w[2:]}})
	case "http-request":
		c.HTTPRequest(r, nil)
	case "http-response":
		c.HTTPResponse(r, nil)
	case "http-after-response":
		c.HTTPAfterResponse(r, nil)
	case "redirect":
		c.HTTPRequest([]config.Rule{{Pos: testPos, Words: w}}, nil)
	case "log-format":
		c.Format(w[1], testPos, true)
	case "unique-id-format":
		c.UniqueIDFormat(w[1], testPos)
	}
	c.CaptureSlots()
	return diagTexts(d)
}
