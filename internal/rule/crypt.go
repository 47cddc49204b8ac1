package rule

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Password hashes as crypt(3) writes them: $1$ (MD5), $5$ and $6$ (SHA-256 and SHA-512, Drepper's specification of 2008), the old DES
// scheme of two letters of salt, and bcrypt. No library known to us reads all of them.

// The bounds keep one hash of a configuration from stopping the process.
const (
	maxCryptRounds = 1_000_000
	maxBcryptCost  = 14
)

const cryptLetters = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// cryptKnown reports whether cryptMatches can read a hash.
func cryptKnown(want string) bool {
	if strings.HasPrefix(want, "$2") {
		cost, err := bcrypt.Cost([]byte(want))
		return err == nil && cost <= maxBcryptCost
	}
	_, ok := cryptLike(nil, want)
	return ok
}

// cryptMatches reports whether a password has the given hash, in a time that does not depend on where they differ.
func cryptMatches(password []byte, want string) bool {
	if strings.HasPrefix(want, "$2") {
		return cryptKnown(want) && bcrypt.CompareHashAndPassword([]byte(want), password) == nil
	}
	got, ok := cryptLike(password, want)
	return ok && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

// cryptLike hashes a password with the scheme and the salt of another hash.
func cryptLike(password []byte, want string) (string, bool) {
	switch {
	case strings.HasPrefix(want, "$1$"):
		return md5Crypt(password, want[3:]), true
	case strings.HasPrefix(want, "$5$"):
		return shaCrypt(password, "$5$", want[3:], sha256.New)
	case strings.HasPrefix(want, "$6$"):
		return shaCrypt(password, "$6$", want[3:], sha512.New)
	case len(want) >= 2 && strings.IndexByte(cryptLetters, want[0]) >= 0 && strings.IndexByte(cryptLetters, want[1]) >= 0:
		return desCrypt(password, want[:2]), true
	}
	return "", false
}

// saltOf is what stands before the next $, at most max bytes.
func saltOf(s string, max int) string {
	s, _, _ = strings.Cut(s, "$")
	return s[:min(len(s), max)]
}

// repeat writes block over and over until n bytes are written.
func repeat(h hash.Hash, block []byte, n int) {
	for ; n > len(block); n -= len(block) {
		h.Write(block)
	}
	h.Write(block[:n])
}

func sumOf(h hash.Hash, parts ...[]byte) []byte {
	h.Reset()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// appendLetters appends n letters of 24 bits, the lowest six first.
func appendLetters(dst []byte, high, mid, low byte, n int) []byte {
	w := uint32(high)<<16 | uint32(mid)<<8 | uint32(low)
	for ; n > 0; n-- {
		dst = append(dst, cryptLetters[w&63])
		w >>= 6
	}
	return dst
}

func md5Crypt(password []byte, rest string) string {
	salt := []byte(saltOf(rest, 8))
	h := md5.New()
	sum := sumOf(h, password, salt, password)
	h.Reset()
	h.Write(password)
	h.Write([]byte("$1$"))
	h.Write(salt)
	repeat(h, sum, len(password))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write([]byte{0})
		} else {
			h.Write(password[:1])
		}
	}
	sum = h.Sum(nil)
	for i := range 1000 {
		sum = round(h, i, sum, password, salt)
	}
	out := append(append([]byte("$1$"), salt...), '$')
	for _, t := range [][3]int{{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}} {
		out = appendLetters(out, sum[t[0]], sum[t[1]], sum[t[2]], 4)
	}
	return string(appendLetters(out, 0, 0, sum[11], 2))
}

// round is one of the rounds that MD5 and SHA schemes share.
func round(h hash.Hash, i int, sum, p, s []byte) []byte {
	h.Reset()
	first, last := sum, p
	if i&1 != 0 {
		first, last = p, sum
	}
	h.Write(first)
	if i%3 != 0 {
		h.Write(s)
	}
	if i%7 != 0 {
		h.Write(p)
	}
	h.Write(last)
	return h.Sum(sum[:0:0])
}

func shaCrypt(password []byte, prefix, rest string, algorithm func() hash.Hash) (string, bool) {
	rounds, said := 5000, ""
	if strings.HasPrefix(rest, "rounds=") {
		word, after, _ := strings.Cut(rest, "$")
		n, err := strconv.Atoi(word[len("rounds="):])
		if err != nil || n < 0 || n > maxCryptRounds {
			return "", false
		}
		rounds, rest = max(n, 1000), after
		said = "rounds=" + strconv.Itoa(rounds) + "$"
	}
	salt := []byte(saltOf(rest, 16))
	h := algorithm()
	alt := sumOf(h, password, salt, password)
	h.Reset()
	h.Write(password)
	h.Write(salt)
	repeat(h, alt, len(password))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write(alt)
		} else {
			h.Write(password)
		}
	}
	sum := h.Sum(nil)
	p := stretched(h, password, len(password), len(password))
	s := stretched(h, salt, 16+int(sum[0]), len(salt))
	for i := range rounds {
		sum = round(h, i, sum, p, s)
	}
	return prefix + said + string(salt) + "$" + shaLetters(sum), true
}

// stretched is the digest of data written times times, repeated to n bytes.
func stretched(h hash.Hash, data []byte, times, n int) []byte {
	h.Reset()
	for range times {
		h.Write(data)
	}
	sum := h.Sum(nil)
	out := make([]byte, n)
	for i := range out {
		out[i] = sum[i%len(sum)]
	}
	return out
}

// shaLetters writes a digest in the order of bytes that the schemes define.
func shaLetters(sum []byte) string {
	var out []byte
	third := len(sum) / 3
	a, b, c := 0, third, 2*third
	for range third {
		out = appendLetters(out, sum[a], sum[b], sum[c], 4)
		if len(sum) == sha512.Size {
			a, b, c = b+1, c+1, a+1
		} else {
			a, b, c = c+1, a+1, b+1
		}
	}
	if len(sum) == sha512.Size {
		return string(appendLetters(out, 0, 0, sum[63], 2))
	}
	return string(appendLetters(out, 0, sum[31], sum[30], 3))
}
