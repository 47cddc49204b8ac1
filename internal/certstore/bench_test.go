package certstore

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// plainReplace is the least that a durable replacement of a file takes: write, fsync, rename, fsync of the directory.
func plainReplace(b *testing.B, path string, data []byte) {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	must(b, err)
	_, err = f.Write(data)
	must(b, err)
	must(b, f.Sync())
	must(b, f.Close())
	must(b, os.Rename(path+".tmp", path))
	dir, err := os.Open(filepath.Dir(path))
	must(b, err)
	must(b, dir.Sync())
	must(b, dir.Close())
}

// BenchmarkDurableCommit is one set and commit with persist on, over 10,000 certificates and with history, beside a program that does nothing but
// replace the file: both in turn, on the same disk. ratio is the share of that program's rate that is left.
func BenchmarkDurableCommit(b *testing.B) {
	const n, used = 10000, 200
	w, _, names := manyDir(b, n)
	w.history = HistoryRules{Versions: 5}
	r := w.start()
	var pems [used][2][]byte
	for i := range pems {
		for j := range pems[i] {
			pems[i][j] = []byte(pairFor(b, testKey(), fmt.Sprintf("n%d.example", i)).pem())
		}
		r.first(r.entries[names[i]], false) // as the background does after a start
	}
	r.flushHistory(b.Context())
	plain := b.TempDir()
	var ours, theirs time.Duration
	i := 0
	for b.Loop() {
		data := pems[i%used][i/used%2]
		start := time.Now()
		plainReplace(b, filepath.Join(plain, fmt.Sprintf("%d.pem", i%used)), data)
		middle := time.Now()
		_, _, err := r.Set(names[i%used], data, "bench")
		must(b, err)
		_, err = r.Commit(names[i%used], "bench", nil)
		must(b, err)
		theirs, ours = theirs+middle.Sub(start), ours+time.Since(middle)
		if i++; i%used == 0 {
			start := time.Now()
			r.flushHistory(b.Context()) // Run does it beside the commits
			ours += time.Since(start)
		}
	}
	b.ReportMetric(float64(i)/ours.Seconds(), "commits/s")
	b.ReportMetric(float64(i)/theirs.Seconds(), "plain/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
}
