package rule

import (
	"flag"
	"os"
	"strings"
	"testing"

	"gatehouse/internal/config"
)

var update = flag.Bool("update", false, "rewrite docs/keywords.md")

func TestKeywordsPageIsCurrent(t *testing.T) {
	const page = "../../docs/keywords.md"
	want := config.KeywordsMarkdown() + KeywordsMarkdown()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the tables say (%v); run go test ./internal/rule -run KeywordsPage -update", page, err)
	}
}

func TestKeywordsPageNamesWhatHAProxyKnows(t *testing.T) {
	page := KeywordsMarkdown()
	for _, row := range []string{
		"| `deny` | supported |", "| `cache-use` | refused |", "| `path` | supported |", "| `ssl_fc_exporter_secret` | refused |",
		"| `lower` | supported |", "| `aes_gcm_dec` | refused |", "| `%ci` | supported |", "| `path_beg` | supported | `path -m beg` |",
	} {
		if !strings.Contains(page, row) {
			t.Errorf("no row %s", row)
		}
	}
	for name := range partial {
		if actions[name] == nil && fetches[name] == nil && converters[name] == nil {
			t.Errorf("%q is partial and not there", name)
		}
	}
}
