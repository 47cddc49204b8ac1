package config

// fingerprint counts the letter pairs of a word, its beginning and end included, and marks the letters that occur.
// Rows and columns: 1..26 letters, 27 digits, 28 anything else and the edges of the word. The distance between two
// fingerprints is what HAProxy compares for "did you mean"; equal numbers give equal suggestions.
type fingerprint [1024]uint8

func makeFingerprint(word string) *fingerprint {
	const edge = 28
	fp := new(fingerprint)
	from := edge
	for i := 0; i < len(word); i++ {
		to := edge
		switch c := word[i] | 0x20; {
		case c >= 'a' && c <= 'z' && isAlpha(word[i]):
			to = int(c-'a') + 1
		case isDigit(word[i]):
			to = 27
		}
		fp[to] = 1
		fp[32*from+to]++
		from = to
	}
	fp[32*from+edge]++
	return fp
}

func (fp *fingerprint) distance(other *fingerprint) int {
	sum := 0
	for i := range fp {
		if d := int(fp[i]) - int(other[i]); d < 0 {
			sum -= d
		} else {
			sum += d
		}
	}
	return sum
}

// Nearest returns the candidate that word was most likely meant to be, "" when none is near enough.
func Nearest(word string, candidates []string) string {
	if len(word) > maxSuggestLen {
		return ""
	}
	best, bestDist := "", -1
	fp := makeFingerprint(word)
	for _, c := range candidates {
		if dist := fp.distance(makeFingerprint(c)); bestDist < 0 || dist < bestDist {
			best, bestDist = c, dist
		}
	}
	if bestDist < 0 || bestDist > 2*len(word) || bestDist > 2*len(best) {
		return ""
	}
	return best
}

// maxSuggestLen keeps the eight-bit counters of a fingerprint from wrapping; no keyword is as long.
const maxSuggestLen = 200
