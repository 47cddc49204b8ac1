package table

import "testing"

// The values are those of the reference implementation's command line tool, and of the specification for the empty text.
func TestHashIsXXHash(t *testing.T) {
	if got := xxh32(nil, 0); got != 0x02CC5D05 {
		t.Errorf("xxh32 of nothing is %#x", got)
	}
	if got := xxh64(nil, 0); got != 0xEF46DB3751D8E999 {
		t.Errorf("xxh64 of nothing is %#x", got)
	}
	long := []byte("Nobody inspects the spammish repetition")
	if got := xxh32(long, 0); got != 0xE2293B2F {
		t.Errorf("xxh32 of a text is %#x", got)
	}
	if got := xxh64(long, 0); got != 0xFBCEA83C8A378BF1 {
		t.Errorf("xxh64 of a text is %#x", got)
	}
}
