package rule

import "strings"

// The tables of DES (FIPS 46-3), counted from 1 as there; the S-boxes row by row, one hexadecimal digit an entry.
var (
	desPC1 = []byte{57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
		63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4}
	desPC2 = []byte{14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
		41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32}
	desP      = []byte{16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25}
	desShifts = []byte{1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1}
)

var desSBoxes = [8]string{
	"e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d",
	"f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9",
	"a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c",
	"7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e",
	"2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453",
	"c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d",
	"4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c",
	"d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b",
}

// desCrypt is the oldest scheme of crypt(3): 25 times DES of zeroes, keyed by eight letters, its expansion disturbed by the salt.
func desCrypt(password []byte, salt string) string {
	var key [64]byte // one bit a byte, here and below
	for i := range min(len(password), 8) {
		for j := range 7 {
			key[8*i+j] = password[i] >> (6 - j) & 1
		}
	}
	keys := desKeys(key[:])
	expand := desExpansion(salt)
	var left, right [32]byte
	for range 25 {
		for i := range 16 {
			left, right = right, desRound(left, right, keys[i][:], expand[:])
		}
		left, right = right, left
	}
	return salt + desLetters(append(left[:], right[:]...))
}

func desKeys(key []byte) (keys [16][48]byte) {
	var cd [56]byte
	for i, at := range desPC1 {
		cd[i] = key[at-1]
	}
	for n, by := range desShifts {
		for range by {
			c, d := cd[0], cd[28]
			copy(cd[:27], cd[1:28])
			copy(cd[28:55], cd[29:])
			cd[27], cd[55] = c, d
		}
		for i, at := range desPC2 {
			keys[n][i] = cd[at-1]
		}
	}
	return keys
}

// desExpansion is the table E, counted from 0, with the entries exchanged that the salt's bits name.
func desExpansion(salt string) (e [48]byte) {
	for i := range e {
		e[i] = byte((i/6*4 + i%6 + 31) % 32)
	}
	for i := range 2 {
		bits := strings.IndexByte(cryptLetters, salt[i])
		for j := range 6 {
			if k := 6*i + j; bits>>j&1 != 0 {
				e[k], e[k+24] = e[k+24], e[k]
			}
		}
	}
	return e
}

func desRound(left, right [32]byte, key, expand []byte) [32]byte {
	var mixed [48]byte
	for i, at := range expand {
		mixed[i] = right[at] ^ key[i]
	}
	var out [32]byte
	for i := range 8 {
		m := mixed[6*i : 6*i+6]
		row, col := m[0]<<1|m[5], m[1]<<3|m[2]<<2|m[3]<<1|m[4]
		v := strings.IndexByte("0123456789abcdef", desSBoxes[i][16*row+col])
		for j := range 4 {
			out[4*i+j] = byte(v >> (3 - j) & 1)
		}
	}
	for i, at := range desP {
		left[i] ^= out[at-1]
	}
	return left
}

// desLetters applies the final permutation and writes the block as eleven letters.
func desLetters(block []byte) string {
	var bits [66]byte
	for i := range 64 {
		// the inverse of the initial permutation: rows 40 8 48 16 56 24 64 32, then one less each
		column, row := i%8, i/8
		at := 8*(column/2) - row + 39
		if column%2 != 0 {
			at = 8*(column/2) - row + 7
		}
		bits[i] = block[at]
	}
	var out [11]byte
	for i := range out {
		n := 0
		for j := range 6 {
			n = n<<1 | int(bits[6*i+j])
		}
		out[i] = cryptLetters[n]
	}
	return string(out[:])
}
