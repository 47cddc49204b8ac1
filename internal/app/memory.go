package app

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// heapFloor is up to which size the heap grows before garbage is collected, in bytes. An edge lives in a few MiB and makes all its
// garbage in handshakes; collecting at twice the live heap, as Go does, would mean a collection every seventy handshakes.
const heapFloor = 32 << 20

// maxGCPercent bounds the growth for the smallest heaps.
const maxGCPercent = 1600

// paceCollector keeps the collector at the larger of heapFloor and twice the live heap, once for the process. Who sets GOGC has the say.
var paceCollector = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" {
		(&pacer{percent: 100}).next()
	}
})

// pacer runs once after every collection, which is when a cleanup of something unreachable runs.
type pacer struct {
	percent int
	live    [1]metrics.Sample
}

func (p *pacer) next() {
	p.live[0].Name = "/gc/heap/live:bytes"
	metrics.Read(p.live[:])
	// Setting it stops the world for a moment, so only when it makes a difference.
	if percent := gcPercent(p.live[0].Value.Uint64()); percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	runtime.AddCleanup(new([16]byte), func(p *pacer) { p.next() }, p)
}

// gcPercent is GOGC for a live heap of so many bytes: the power of two times a hundred that reaches the floor, 100 above half of it.
func gcPercent(live uint64) int {
	percent := 100
	for percent < maxGCPercent && live+live*uint64(2*percent)/100 <= heapFloor {
		percent *= 2
	}
	return percent
}

// returnMemory gives what reading a configuration left behind back to the system, in the background.
func returnMemory() { go debug.FreeOSMemory() }

// settling is how often the process looks whether it has come to rest.
const settling = 15 * time.Second

// tidyMemory gives memory back to the system whenever the process has come to rest, until ctx is done. What a burst of handshakes left
// behind would otherwise stay: the collector runs when the heap has doubled, or after two minutes, and returns pages later still.
func tidyMemory(ctx context.Context) {
	allocs := [1]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	tick := time.NewTicker(settling)
	defer tick.Stop()
	var r rest
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(allocs[:])
		if r.worthwhile(allocs[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}

// rest tells when a process has come to rest after it had worked.
type rest struct {
	last uint64 // allocated in all when it was looked at last
	tidy uint64 // when memory was given back last
}

// Allocations, in bytes: less than restful between two looks is rest, and less than garbage since the last time is not worth a collection.
const (
	restful = 1 << 20
	garbage = 16 << 20
)

// worthwhile is told how much was allocated since the process began.
func (r *rest) worthwhile(allocated uint64) bool {
	quiet := allocated-r.last < restful
	r.last = allocated
	if !quiet || allocated-r.tidy < garbage {
		return false
	}
	r.tidy = allocated
	return true
}
