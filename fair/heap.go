package fair

// A heap is a binary heap whose elements know their places, so that any of
// them can be moved or removed in O(log n).
type heap[T any] struct {
	items  []T
	before func(a, b T) bool
	place  func(T) *int // where an element keeps its index; -1 outside
}

// keptItems is for how many elements an empty heap keeps its memory.
const keptItems = 16

func (h *heap[T]) len() int { return len(h.items) }

func (h *heap[T]) top() (v T, ok bool) {
	if len(h.items) == 0 {
		return v, false
	}
	return h.items[0], true
}

func (h *heap[T]) push(v T) {
	h.items = append(h.items, v)
	*h.place(v) = len(h.items) - 1
	h.up(len(h.items) - 1)
}

// fix restores the order after the key of v changed; v may be outside.
func (h *heap[T]) fix(v T) {
	if i := *h.place(v); i >= 0 && !h.up(i) {
		h.down(i)
	}
}

// remove takes v out; v may be outside.
func (h *heap[T]) remove(v T) {
	i, last := *h.place(v), len(h.items)-1
	if i < 0 {
		return
	}
	h.swap(i, last)
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	*h.place(v) = -1
	if i < last && !h.up(i) {
		h.down(i)
	}
	if last == 0 && cap(h.items) > keptItems {
		h.items = nil
	}
}

func (h *heap[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	*h.place(h.items[i]), *h.place(h.items[j]) = i, j
}

func (h *heap[T]) up(i int) (moved bool) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.before(h.items[i], h.items[parent]) {
			break
		}
		h.swap(i, parent)
		i, moved = parent, true
	}
	return moved
}

func (h *heap[T]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return
		}
		if child+1 < len(h.items) && h.before(h.items[child+1], h.items[child]) {
			child++
		}
		if !h.before(h.items[child], h.items[i]) {
			return
		}
		h.swap(i, child)
		i = child
	}
}
