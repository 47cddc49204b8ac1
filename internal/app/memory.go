package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
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
