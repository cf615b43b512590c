package step

// A memory hands out the blocks of the engine. A block is held by a number of
// sequences; free; or free but kept for its content, until the memory needs
// it for something else.
type memory struct {
	blocks  []block
	limit   int     // blocks that there may be
	free    []int32 // without content
	byHash  map[uint64]int32
	oldest  int32 // of the kept ones; none is -1
	newest  int32
	kept    int
	numUsed int
}

type block struct {
	hash       uint64 // of the content; 0 if that is not known
	holders    int32
	prev, next int32 // among the kept ones
}

const none = int32(-1)

func newMemory(tokens int) memory {
	return memory{limit: tokens / BlockTokens, byHash: map[uint64]int32{}, oldest: none, newest: none}
}

// available is how many blocks can be taken.
func (m *memory) available() int { return m.limit - m.numUsed }

// take returns a block for content with the hash, 0 if unknown. There must be
// one available.
func (m *memory) take() int32 {
	m.numUsed++
	if n := len(m.free); n > 0 {
		i := m.free[n-1]
		m.free = m.free[:n-1]
		m.blocks[i] = block{holders: 1}
		return i
	}
	if len(m.blocks) < m.limit {
		m.blocks = append(m.blocks, block{holders: 1})
		return int32(len(m.blocks) - 1)
	}
	i := m.oldest
	m.unkeep(i)
	delete(m.byHash, m.blocks[i].hash)
	m.blocks[i] = block{holders: 1}
	return i
}

// find returns the block whose content has the hash, or none.
func (m *memory) find(hash uint64) int32 {
	if i, ok := m.byHash[hash]; ok {
		return i
	}
	return none
}

// isKept reports whether block i counts as available.
func (m *memory) isKept(i int32) bool { return m.blocks[i].holders == 0 }

// hold adds a holder to block i, which find returned.
func (m *memory) hold(i int32) {
	if m.blocks[i].holders == 0 {
		m.unkeep(i)
		m.numUsed++
	}
	m.blocks[i].holders++
}

// name says what block i, which is held, contains now. If another block has
// that content, block i stays without name.
func (m *memory) name(i int32, hash uint64) {
	if hash == 0 || m.blocks[i].hash != 0 {
		return
	}
	if _, ok := m.byHash[hash]; ok {
		return
	}
	m.blocks[i].hash = hash
	m.byHash[hash] = i
}

// release takes one holder from block i.
func (m *memory) release(i int32) {
	b := &m.blocks[i]
	b.holders--
	if b.holders > 0 {
		return
	}
	m.numUsed--
	if b.hash == 0 {
		m.free = append(m.free, i)
		return
	}
	m.keep(i)
}

func (m *memory) keep(i int32) {
	m.kept++
	b := &m.blocks[i]
	b.prev, b.next = m.newest, none
	if m.newest != none {
		m.blocks[m.newest].next = i
	} else {
		m.oldest = i
	}
	m.newest = i
}

func (m *memory) unkeep(i int32) {
	m.kept--
	b := &m.blocks[i]
	if b.prev != none {
		m.blocks[b.prev].next = b.next
	} else {
		m.oldest = b.next
	}
	if b.next != none {
		m.blocks[b.next].prev = b.prev
	} else {
		m.newest = b.prev
	}
}
