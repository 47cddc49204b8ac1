package certstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"gatehouse/internal/cert"
)

// The index remembers what was found out about the PEM files that a start read, by their content: the next start takes it from there
// instead of parsing certificates and checking keys again. It is a cache. Content that is not in it is parsed, an index that is damaged or
// of another version counts as none, and what it says of a content cannot be true of another.

const (
	indexHead  = "gatehouse index 1\n"
	indexLimit = 1 << 30
	// indexFrom is how many certificates make an index worth its file: fewer are parsed in no time.
	indexFrom = 500
)

func indexPath(dir string) string { return filepath.Join(dir, "index") }

// digest is the SHA-256 of a file's content.
type digest = [sha256.Size]byte

// facts are what is known of contents. One plan's readers add to learned.
type facts struct {
	known map[digest]*cert.Facts // read from the index; never changed

	mu      sync.Mutex
	learned map[digest]*cert.Facts // guarded by mu: contents of this plan that are not in known
	met     int                    // guarded by mu: those that are
}

// parse is cert.Parse by way of what is known. sum is data's.
func (f *facts) parse(p *cert.Parser, name string, data []byte, sum digest) (*cert.Bundle, error) {
	if f == nil {
		return p.Parse(name, data)
	}
	if k := f.known[sum]; k != nil {
		f.mu.Lock()
		f.met++
		f.mu.Unlock()
		return p.ParseKnown(name, data, k)
	}
	b, err := p.Parse(name, data)
	if err != nil {
		return nil, err
	}
	if k, ok := b.Facts(); ok {
		f.mu.Lock()
		f.learned[sum] = &k
		f.mu.Unlock()
	}
	return b, nil
}

// readIndex reads the index of a state directory; without one nothing is known.
func (l *loader) readIndex(dir string) *facts {
	f := &facts{learned: map[digest]*cert.Facts{}}
	if dir == "" {
		return f
	}
	if data, err := l.host.ReadFile(indexPath(dir), indexLimit); err == nil {
		f.known = decodeIndex(data)
	}
	return f
}

// stale tells that the index should be written anew: it lacks certificates, or most of what it holds is of no use any more.
func (f *facts) stale() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.learned)+f.met >= indexFrom && (len(f.learned) > 0 || len(f.known) > 2*f.met)
}

// all are the facts to write. Those that this plan did not meet go when they are many.
func (f *facts) all() map[digest]*cert.Facts {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := map[digest]*cert.Facts{}
	if len(f.known) <= 2*(f.met+len(f.learned)) {
		maps.Copy(list, f.known)
	}
	maps.Copy(list, f.learned)
	return list
}

// writeIndex writes the index that the last Apply asked for.
func (s *Store) writeIndex() {
	f := s.toIndex.Swap(nil)
	if f == nil {
		return
	}
	dir, err := s.stateDir()
	if err == nil {
		err = s.o.Host.ReplaceFile(indexPath(dir), encodeIndex(f.all()), 0o600)
	}
	_ = err // a cache: the next start does without, as this one did
}

// encodeIndex writes a head, the facts by content, and a checksum over all of it.
func encodeIndex(list map[digest]*cert.Facts) []byte {
	b := binary.AppendUvarint([]byte(indexHead), uint64(len(list)))
	for _, sum := range slices.SortedFunc(maps.Keys(list), func(a, b digest) int { return bytes.Compare(a[:], b[:]) }) {
		f := list[sum]
		b = append(b, sum[:]...)
		b = append(b, f.Fingerprint[:]...)
		b = binary.AppendVarint(b, f.NotBefore)
		b = binary.AppendVarint(b, f.NotAfter)
		b = append(b, byte(f.KeyType))
		b = binary.AppendUvarint(b, uint64(f.KeyBits))
		b = binary.AppendUvarint(b, uint64(len(f.Names)))
		for _, name := range f.Names {
			b = binary.AppendUvarint(b, uint64(len(name)))
			b = append(b, name...)
		}
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decodeIndex reads what encodeIndex wrote, nil when it is not whole.
func decodeIndex(data []byte) map[digest]*cert.Facts {
	body, sum := data[:max(0, len(data)-sha256.Size)], data[max(0, len(data)-sha256.Size):]
	if is := sha256.Sum256(body); !bytes.Equal(is[:], sum) || !bytes.HasPrefix(body, []byte(indexHead)) {
		return nil
	}
	r := indexReader{rest: body[len(indexHead):]}
	n := r.number()
	list := make(map[digest]*cert.Facts, min(n, uint64(len(body)/64)))
	for range n {
		f := new(cert.Facts)
		var sum digest
		copy(sum[:], r.bytes(sha256.Size))
		copy(f.Fingerprint[:], r.bytes(sha256.Size))
		f.NotBefore, f.NotAfter = r.signed(), r.signed()
		f.KeyType, f.KeyBits = cert.KeyType(r.bytes(1)[0]), int32(r.number())
		f.Names = r.strings()
		if r.short {
			return nil
		}
		list[sum] = f
	}
	return list
}

// indexReader takes fields off an index. Where there are not enough it gives zeros and notes that.
type indexReader struct {
	rest  []byte
	short bool
}

func (r *indexReader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.short, r.rest = true, nil
		return make([]byte, min(max(n, 0), sha256.Size))
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

// strings reads a list whose elements share one allocation.
func (r *indexReader) strings() []string {
	ends := make([]int, min(r.number(), uint64(len(r.rest))))
	var text []byte
	for i := range ends {
		text = append(text, r.bytes(int(r.number()))...)
		ends[i] = len(text)
	}
	list, all, from := make([]string, len(ends)), string(text), 0
	for i, end := range ends {
		list[i], from = all[from:end], end
	}
	return list
}

func (r *indexReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.short, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *indexReader) signed() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.short, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}
