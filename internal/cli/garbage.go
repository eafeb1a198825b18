package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// What the heap may grow by before it is collected. What lives is small here, and four times as much costs the processor a sixth less
// for a command than the usual twice; a large heap grows by no more than a fixed amount, so that memory stays flat, or twice.
const (
	mostPercent  = 300
	leastPercent = 100
	mostGarbage  = 192 << 20 // bytes
)

// garbage is the percentage for what lives, in bytes.
func garbage(live uint64) int {
	return int(min(mostPercent, max(leastPercent, mostGarbage*100/max(live, 1))))
}

// tuneGarbage sets how far the heap may grow, now and after each collection.
func tuneGarbage() {
	percent := mostPercent
	debug.SetGCPercent(percent)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var collected func(struct{})
	collected = func(struct{}) {
		metrics.Read(live)
		if p := garbage(live[0].Value.Uint64()); p != percent {
			percent = p
			debug.SetGCPercent(p)
		}
		runtime.AddCleanup(new(mark), collected, struct{}{})
	}
	runtime.AddCleanup(new(mark), collected, struct{}{})
}

// mark is what a collection finds first. It has a size of its own: what is tiny shares a block, and is not found while others live.
type mark [64]byte
