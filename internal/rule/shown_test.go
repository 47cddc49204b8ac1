package rule

import (
	"net/netip"
	"testing"

	"gatehouse/internal/stream"
)

func TestValuesAreShownWithTheirTypes(t *testing.T) {
	for _, row := range []struct {
		v           Value
		kind, shown string
	}{{integer(5), "sint", "5"}, {text([]byte("a b\x01")), "str", "a b."}, {address(netip.MustParseAddr("192.0.2.1")), "ipv4", "192.0.2.1"}, {Value{Kind: stream.KindBool, Int: 1}, "bool", "1"}} {
		if kind, shown, ok := Shown(row.v); !ok || kind != row.kind || shown != row.shown {
			t.Errorf("%v: %s %q %v, want %s %q", row.v, kind, shown, ok, row.kind, row.shown)
		}
	}
}
