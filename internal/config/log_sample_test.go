package config

import "testing"

func TestSampleRanges(t *testing.T) {
	for _, row := range []struct{ text, want, err string }{
		{"1,3:5", "x.x..", ""}, {"2-4,1:5", "xxxx.", ""}, {"1:1", "x", ""},
		{"1", "", "Missing sample size"}, {":5", "", "no sampling ranges given"}, {"1:0", "", "wrong sample size '0' for sample range '1'"},
		{"1:x", "", "wrong sample size 'x' for sample range '1'"}, {"6:5", "", "sample size 5 should be greater or equal to 6 the maximum of the high ranges limits"},
		{"1-3,3:5", "", "ranges are overlapping at 3"}, {"3-1:5", "", "malformed sampling range '3-1'"}, {"0:5", "", "malformed sampling range '0'"},
		{"1:99999999", "", "wrong sample size '99999999' for sample range '1'"},
	} {
		slots, err := SampleSlots(row.text)
		got := ""
		for _, s := range slots {
			got += map[bool]string{true: "x", false: "."}[s]
		}
		if msg := ""; err != nil && err.Error() != row.err || err == nil && (row.err != msg || got != row.want) {
			t.Errorf("%s: %q, %v; want %q, %q", row.text, got, err, row.want, row.err)
		}
	}
}
