package postings

// hashOf is FNV-1a with 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/), followed by the finalizer of MurmurHash3,
// which spreads every bit over all and is a bijection, so it adds no collisions. It is part of the file's format.
func hashOf(facet string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(facet) {
		h = (h ^ uint64(facet[i])) * 0x100000001b3
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Hash is the number by which a facet is known.
func Hash(facet string) uint64 { return hashOf(facet) }
