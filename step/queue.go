package step

// before reports whether q is served before o: by priority, then arrival.
func (q *sequence) before(o *sequence) bool {
	if q.Priority != o.Priority {
		return q.Priority < o.Priority
	}
	return q.arrival < o.arrival
}

// A queue is a heap of the waiting sequences for container/heap.
type queue []*sequence

func (w queue) Len() int           { return len(w) }
func (w queue) Less(i, j int) bool { return w[i].before(w[j]) }
func (w queue) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push is for container/heap.
func (w *queue) Push(x any) {
	q := x.(*sequence)
	q.index = len(*w)
	*w = append(*w, q)
}

// Pop is for container/heap.
func (w *queue) Pop() any {
	n := len(*w) - 1
	q := (*w)[n]
	(*w)[n] = nil
	*w = (*w)[:n]
	return q
}
