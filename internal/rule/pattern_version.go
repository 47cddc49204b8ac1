package rule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// dottedVersion is the method of the version ACLs; no -m names it.
const dottedVersion = "dotted version"

// buildVersions reads versions such as 3.3 and ranges of them, 3.1:3.3, ":3.3" or "3.1:" (manual 7.1.2).
func buildVersions(patterns []string, _ bool) (matcher, error) {
	m := matchRanges{}
	for _, p := range patterns {
		r, err := parseVersions(p)
		if err != nil {
			return nil, err
		}
		m.ranges = append(m.ranges, r)
	}
	return m, nil
}

func parseVersions(p string) ([2]int64, error) {
	i := strings.IndexAny(p, ":-")
	if i < 0 {
		n, ok := dotted(p)
		if !ok {
			return [2]int64{}, fmt.Errorf("'%s' is not a dotted number", p)
		}
		return [2]int64{n, n}, nil
	}
	r := [2]int64{math.MinInt64, math.MaxInt64}
	valid := len(p) > 1
	for side, word := range []string{p[:i], p[i+1:]} {
		if word == "" {
			continue
		}
		n, ok := dotted(word)
		r[side], valid = n, valid && ok
	}
	if !valid || r[0] > r[1] {
		return r, fmt.Errorf("'%s' is not a valid dotted number range", p)
	}
	return r, nil
}

// dotted reads MAJOR or MAJOR.MINOR as major*65536+minor.
func dotted(word string) (int64, bool) {
	major, minor, _ := strings.Cut(word, ".")
	a, err := strconv.ParseUint(major, 10, 32)
	if err != nil {
		return 0, false
	}
	b := uint64(0)
	if minor != "" {
		if b, err = strconv.ParseUint(minor, 10, 16); err != nil {
			return 0, false
		}
	}
	return int64(a<<16 + b), true
}
