package postings

import "sync"

// cacheBlocks is how many blocks stay in memory: at most 8 MB. It pays for the facets that nearly every question has
// beside its rare one, whose blocks are few: a list of 5 million seqs as bits takes 150.
const cacheBlocks = 2048

type blockKey struct {
	run int64
	no  int
}

// blockCache keeps the cells of blocks that were read lately, by the clock algorithm. What it holds is never changed,
// and a run's number never comes again while an index is open, so nothing has to be taken out.
type blockCache struct {
	mu    sync.Mutex
	at    map[blockKey]int
	slots []cacheSlot
	hand  int
}

type cacheSlot struct {
	key   blockKey
	cells []byte
	used  bool // since the hand passed
}

func (c *blockCache) get(key blockKey) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.at[key]
	if !ok {
		return nil
	}
	c.slots[i].used = true
	return c.slots[i].cells
}

func (c *blockCache) put(key blockKey, cells []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.at[key]; ok {
		return
	}
	if c.at == nil {
		c.at = make(map[blockKey]int)
	}
	slot := cacheSlot{key: key, cells: cells}
	if len(c.slots) < cacheBlocks {
		c.at[key] = len(c.slots)
		c.slots = append(c.slots, slot)
		return
	}
	for c.slots[c.hand].used {
		c.slots[c.hand].used = false
		c.hand = (c.hand + 1) % len(c.slots)
	}
	delete(c.at, c.slots[c.hand].key)
	c.slots[c.hand] = slot
	c.at[key] = c.hand
	c.hand = (c.hand + 1) % len(c.slots)
}
