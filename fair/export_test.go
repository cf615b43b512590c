package fair

// Recent is what an engine remembers of prefixes.
type Recent = recent

// Add and Has are the methods of a Recent.
func (r *recent) Add(prefix uint64)      { r.add(prefix) }
func (r *recent) Has(prefix uint64) bool { return r.has(prefix) }
